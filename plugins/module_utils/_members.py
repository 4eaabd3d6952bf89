"""Pure logic of a project's accounts: who joins, who leaves, and which access lists a shared folder needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

# Forms that crypt(5) of Debian 12 and 13 knows and that are fit for passwords.
HASH = re.compile(r"\$(y|gy|7|2b|2y|6|5)\$[./A-Za-z0-9$=,]{20,}")


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

    :param wanted: the module's ``group``, ``gid``, ``accounts`` and ``password_hashes``.
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


def stays_elsewhere(login: str, group: str, groups: dict[str, tuple[int, list[str]]], prefix: str) -> bool:
    """Whether a leaver of this project is still in another project of the same host."""
    return any(login in names for name, (_, names) in groups.items() if name.startswith(prefix) and name != group)


def default_acl(group: str) -> list[str]:
    """Default entries of a shared folder, as ``getfacl --default --omit-header`` prints them.

    They are what makes a colleague's file writable whatever the writer's umask is.
    """
    return ["user::rwx", "group::rwx", f"group:{group}:rwx", "mask::rwx", "other::---"]
