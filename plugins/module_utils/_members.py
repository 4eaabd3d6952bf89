"""Pure logic of a project's accounts: who joins, who leaves, and which access lists a shared folder needs."""

from __future__ import annotations

import json
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Forms that crypt(5) of Debian 12 and 13 knows and that are fit for passwords.
HASH = re.compile(r"\$(y|gy|7|2b|2y|6|5)\$[./A-Za-z0-9$=,]{20,}")
FOLDER = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Account:
    """What the host knows of an account."""

    login: str
    uid: int
    gid: int
    comment: str
    home: str
    password: str  # second field of shadow
    expires: str  # eighth field of shadow

    @property
    def locked(self) -> bool:
        """Locked by this platform: no password matches and the account has expired."""
        return self.password.startswith("!") and self.expires == "1"

    @property
    def has_password(self) -> bool:
        """Whether somebody, we or the user, has ever set a password."""
        return len(self.password.lstrip("!*")) > 1


def read_accounts(passwd: str, shadow: str) -> dict[str, Account]:
    """Accounts by login from the texts of passwd and shadow."""
    secrets = {line.split(":")[0]: line.split(":") for line in shadow.splitlines() if line.count(":") >= 7}
    accounts = {}
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) != 7:
            continue
        login, _, uid, gid, comment, home, _ = fields
        secret = secrets.get(login, ["", "!", *[""] * 6])
        accounts[login] = Account(login, int(uid), int(gid), comment, home, secret[1], secret[7])
    return accounts


def read_groups(text: str) -> dict[str, tuple[int, list[str]]]:
    """Groups from the text of group: name -> (gid, members)."""
    groups = {}
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) == 4:
            groups[fields[0]] = (int(fields[2]), [m for m in fields[3].split(",") if m])
    return groups


def complaints(
    wanted: dict[str, Any], accounts: dict[str, Account], groups: dict[str, tuple[int, list[str]]]
) -> list[str]:
    """Everything that stands in the way, each with what to do; hashes are never quoted.

    :param wanted: the module's parameters.
    """
    group, gid = wanted["group"], wanted["gid"]
    said = []
    if group in groups and groups[group][0] != gid:
        said.append(f"group {group} has gid {groups[group][0]} on this host, the data says {gid}: align the data")
    owner = next((name for name, (number, _) in groups.items() if number == gid and name != group), None)
    if owner:
        said.append(f"gid {gid} of {group} belongs to group {owner} on this host: give the project another gid")
    for member in wanted["accounts"]:
        said += clashes(member["login"], member["uid"], accounts, groups)
        given = wanted["password_hashes"].get(member["login"])
        if given and not HASH.fullmatch(given):
            who = member["login"]
            said.append(f"the password hash of {who} is not a crypt(5) hash: make one with `openssl passwd -6`")
    if wanted["collaboration"]:
        said += collaboration_clashes(collaborator(wanted["project"]), wanted, accounts, groups)
    return said + folder_complaints(wanted)


def collaborator(project: str) -> str:
    """Login of the account that runs a project's collaborative server; nobody can log in with it."""
    return f"{project}-collab"


def collaboration_clashes(
    login: str, wanted: dict[str, Any], accounts: dict[str, Account], groups: dict[str, tuple[int, list[str]]]
) -> list[str]:
    """Where somebody else has the name or the number of the collaborative server's account.

    Its uid is the project's gid: that number is the project's own on every machine and outlives them.
    """
    said = []
    if login in accounts and accounts[login].uid != wanted["gid"]:
        said.append(f"{login} has uid {accounts[login].uid}, the collaborative server needs {wanted['gid']}: remove it")
    other = next((a.login for a in accounts.values() if a.uid == wanted["gid"] and a.login != login), None)
    if other:
        said.append(f"uid {wanted['gid']} of {login} belongs to {other} on this host: give the project another gid")
    if login in groups or any(m["login"] == login for m in wanted["accounts"]):
        said.append(f"the name {login} is kept for the collaborative server: rename the group or member of that name")
    return said


def folder_complaints(wanted: dict[str, Any]) -> list[str]:
    """Read-only folders that cannot be: bad or repeated names, writers who are no members."""
    said, seen = [], set()
    logins = {member["login"] for member in wanted["accounts"]}
    for folder in wanted["read_only"]:
        name = folder["name"]
        if not FOLDER.fullmatch(name):
            said.append(f'read_only "{name}": write a name of lower case letters, digits, hyphens, underscores')
        if name in seen:
            said.append(f"read_only {name} is there twice: name it once, with all its writers")
        seen.add(name)
        strangers = sorted(set(folder["writers"]) - logins)
        if strangers:
            said.append(f"read_only {name}: {', '.join(strangers)} cannot write, not a member of {wanted['project']}")
    return said


def clashes(login: str, uid: int, accounts: dict[str, Account], groups: dict[str, tuple[int, list[str]]]) -> list[str]:
    """Where the name or the number of a member is already somebody else's on this host."""
    said = []
    if login in accounts and accounts[login].uid != uid:
        said.append(f"{login} has uid {accounts[login].uid} on this host, the data says {uid}: align the data")
    other = next((a.login for a in accounts.values() if a.uid == uid and a.login != login), None)
    if other:
        said.append(f"uid {uid} of {login} belongs to {other} on this host: give {login} another uid")
    if login not in accounts and login in groups and groups[login][0] != uid:
        said.append(f"a group {login} of another gid exists without an account {login}: remove or rename it")
    taken = next((name for name, (number, _) in groups.items() if number == uid and name != login), None)
    if taken:
        said.append(f"gid {uid}, which {login} needs too, belongs to group {taken}: give {login} another uid")
    return said


def leavers(group: str, wanted: list[str], groups: dict[str, tuple[int, list[str]]]) -> list[str]:
    """Members of the group on the host whom the data no longer names."""
    return sorted(set(groups.get(group, (0, []))[1]) - set(wanted))


def read_record(text: str) -> dict[str, list[str]]:
    """Logins by group whom the directory added.

    :raises ValueError: when this is no such record; nobody must be taken for a leaver then.
    """
    record = json.loads(text)
    if not isinstance(record, dict) or not all(isinstance(logins, list) for logins in record.values()):
        raise ValueError("the record of the directory's members is not a JSON object of lists: restore or delete it")
    return record


def write_record(path: Path, record: dict[str, list[str]]) -> None:
    """Replace the record; a reader sees the old one or the new, and only root reads it."""
    new = path.with_suffix(".role")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(json.dumps(record, indent=2) + "\n")
    new.replace(path)


def stays_elsewhere(login: str, group: str, groups: dict[str, tuple[int, list[str]]], prefix: str) -> bool:
    """Whether a leaver of this project is still in another project of the same host."""
    return any(login in names for name, (_, names) in groups.items() if name.startswith(prefix) and name != group)


def farewell(login: str, project: str, kept: dict[str, str] | None, check: bool) -> str:
    """What is said of a member who left: what was closed, and where everything is.

    :param kept: ``home`` and ``jobs``, where they are now; None when the account stays for another project.
    """
    verb = "would be" if check else "was"
    said = f"{login} is no longer in project {project}"
    if kept is None:
        return f"{said}: access to it {verb} ended; account and home stay for the other projects of this host"
    said += f": the account {verb} closed"
    if kept["home"]:
        said += f"; the whole home {verb} moved to {kept['home']}"
    if kept["jobs"]:
        said += f", crontab and at jobs to {kept['jobs']}"
    return f"{said}. Nothing is deleted; a member who comes back finds the home again"


def default_acl(group: str) -> list[str]:
    """Default entries of a shared folder, as ``getfacl --default --omit-header`` prints them.

    They are what makes a colleague's file writable whatever the writer's umask is.
    """
    return ["user::rwx", "group::rwx", f"group:{group}:rwx", "mask::rwx", "other::---"]


def reader_acl(gid: int, writers: list[int], execute: bool) -> bytes:
    """Access list of something in a read-only folder, in the form of the attribute ``system.posix_acl_access``.

    The owner and the writers write, the project's group reads, nobody else enters. The form (a version, then tag,
    permissions and id of each entry, in this order) is that of Linux's include/uapi/linux/posix_acl_xattr.h.

    :param gid: number of the project's group.
    :param writers: numbers of the accounts that may write.
    :param execute: whether it is a directory or a program.
    """
    read, write, nobody = 4 | execute, 6 | execute, 0xFFFFFFFF
    entries = [(0x01, write, nobody)]
    entries += [(0x02, write, uid) for uid in sorted(writers)]
    entries += [(0x04, read, nobody), (0x08, read, gid), (0x10, write, nobody), (0x20, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
