#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The accounts of a project's members and the folder they share, in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
module: project_members
short_description: Accounts of a project's members and the folder they share
version_added: "0.1.0"
description:
  - Makes the project's group, an account with a private home for each member, and the shared folder
    (setgid, default access list) with a link to it in each home.
  - A member of the group whom the data no longer names is locked and expired, all processes are ended (and the
    project's collaborative server, which may have an open connection to them), crontab and at jobs are taken away,
    and the home is moved to the archive. Nothing is deleted, and a member who comes back finds the home again.
  - A member who stays in another project of the host keeps account and home; only what belongs to this one ends.
  - Makes the account of the project's collaborative server, with which nobody can log in.
  - Makes read-only data folders, readable by the members and writable by the named writers alone.
  - Refuses, before any change, identities that clash with what is on the host.
options:
  project:
    description: Name of the project.
    type: str
    required: true
  group:
    description: Name of the project's group.
    type: str
    required: true
  gid:
    description: Number of the group.
    type: int
    required: true
  accounts:
    description: The members.
    type: list
    elements: dict
    required: true
    suboptions:
      login: {description: Account name., type: str, required: true}
      name: {description: Full name., type: str, default: ""}
      uid: {description: Number of the account and of its own group., type: int, required: true}
      email: {description: Accepted so that entries of the directory can be passed whole; not used., type: str}
      ssh_keys: {description: Accepted like C(email); not used., type: list, elements: str}
  password_hashes:
    description: crypt(5) hashes by login; an account without one cannot log in with a password.
    type: dict
    default: {}
  collaboration:
    description:
      - Make the account C(<project>-collab), which runs the project's collaborative server. It has no password and no
        login shell, the gid as its uid and the project's group as its own. V(false) closes the one that is there.
    type: bool
    default: false
  read_only:
    description: Data folders C(<data_root>/reference/<project>/<name>). One no longer named is closed, not deleted.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Name of the folder., type: str, required: true}
      writers: {description: Logins of the members who may write., type: list, elements: str, default: []}
  update_password:
    description: V(on_create) keeps what a user changed; V(always) sets the hash whenever it differs.
    type: str
    choices: [on_create, always]
    default: on_create
  data_root:
    description: Directory below which C(home), C(projects), C(reference) and C(archive) lie.
    type: path
    default: /srv/data
  shell:
    description: Login shell of new accounts.
    type: str
    default: /bin/bash
  group_prefix:
    description: Groups whose name begins so belong to projects; a leaver who is in another one is not locked.
    type: str
    default: proj-
  directory_record:
    description:
      - JSON file, group to logins, of those whom the company's directory added to a project's group. The hub writes it.
      - They are no leavers, though the data does not name them. Whom the data names is taken out of the file.
    type: path
    default: /var/lib/jupyterhub/directory.json
  server_unit:
    description: Name of the unit in which a member's server runs, C({login}) is replaced.
    type: str
    default: jupyter-{login}-singleuser.service
attributes:
  check_mode: {support: full, description: Says what would change.}
  diff_mode: {support: full, description: The changes in words; never a hash.}
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Accounts of project alpha
  atelier.datalab.project_members:
    project: alpha
    group: proj-alpha
    gid: 200001
    accounts: [{login: alice, name: Alice Martin, uid: 100001}]
    password_hashes: "{{ hashes }}"
    collaboration: true
    read_only: [{name: survey, writers: [alice]}]
  no_log: true
"""

RETURN = r"""
changes:
  description: What was changed, in words.
  returned: always
  type: list
  elements: str
removed:
  description: Logins of the members who left in this run.
  returned: always
  type: list
  elements: str
archived:
  description: C(login), and where C(home) and C(jobs) (crontab, at) of each who left are now; empty if there was none.
  returned: always
  type: list
  elements: dict
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.atelier.datalab.plugins.module_utils import _members as logic
from ansible_collections.atelier.datalab.plugins.module_utils import _members_leave as leave
from ansible_collections.atelier.datalab.plugins.module_utils._hosts import HostError, make_directory, run
from ansible_collections.atelier.datalab.plugins.module_utils._members_data import Folders

ARGUMENTS = {
    "project": {"type": "str", "required": True},
    "group": {"type": "str", "required": True},
    "gid": {"type": "int", "required": True},
    "accounts": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "login": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "uid": {"type": "int", "required": True},
            "email": {"type": "str"},
            "ssh_keys": {"type": "list", "elements": "str", "no_log": False},
        },
    },
    "password_hashes": {"type": "dict", "default": {}, "no_log": True},
    "collaboration": {"type": "bool", "default": False},
    "read_only": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "writers": {"type": "list", "elements": "str", "default": []},
        },
    },
    "update_password": {
        "type": "str",
        "choices": ["on_create", "always"],
        "default": "on_create",
        "no_log": False,
    },
    "data_root": {"type": "path", "default": "/srv/data"},
    "shell": {"type": "str", "default": "/bin/bash"},
    "group_prefix": {"type": "str", "default": "proj-"},
    "directory_record": {"type": "path", "default": "/var/lib/jupyterhub/directory.json"},
    "server_unit": {"type": "str", "default": "jupyter-{login}-singleuser.service"},
}


def as_user(uid: int, gid: int, action: Callable[[], None]) -> bool:
    """Do something in a user's home with the user's own rights, so that no link there can lead root astray."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            action()
            os._exit(0)
        except BaseException:  # whatever happens, the child must not return into the module
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Project:
    """The accounts of one project on one host."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.check = module.check_mode
        self.p = module.params
        self.root = Path(self.p["data_root"])
        self.folder = self.root / "projects" / self.p["project"]
        self.reference = self.root / "reference" / self.p["project"]
        self.collaborator = logic.collaborator(self.p["project"])
        self.said: list[str] = []
        self.archived: list[dict[str, str]] = []
        self.accounts = logic.read_accounts(
            Path("/etc/passwd").read_text(encoding="utf-8"), Path("/etc/shadow").read_text(encoding="utf-8")
        )
        self.groups = logic.read_groups(Path("/etc/group").read_text(encoding="utf-8"))

    def do(self, what: str, *commands: list[str], data: str | None = None, ok: tuple[int, ...] = (0,)) -> None:
        """Note a change and, outside check mode, make it."""
        self.said.append(what)
        if not self.check:
            for argv in commands:
                run(self.module, argv, data=data, ok=ok)

    def converge(self) -> list[str]:
        """Do all of it; return the logins that left.

        :raises HostError: when identities clash; nothing has been changed then.
        """
        p = self.p
        wrong = logic.complaints(p, self.accounts, self.groups)
        if wrong:
            raise HostError("; ".join(wrong))
        if p["group"] not in self.groups:
            self.do(f"group {p['group']} created", ["groupadd", "--gid", str(p["gid"]), p["group"]])
        self.directories()
        numbers = {member["login"]: member["uid"] for member in p["accounts"]}
        folders = Folders(self.reference, p["gid"], self.check)
        self.said += folders.converge({f["name"]: [numbers[w] for w in f["writers"]] for f in p["read_only"]})
        for member in p["accounts"]:
            self.join(member)
        self.collaboration()
        gone = logic.leavers(p["group"], [*numbers, *self.from_directory(list(numbers))], self.groups)
        for login in gone:
            self.leave(login)
        shared = self.accounts.get(self.collaborator)
        if gone and shared:
            # A page that is open there goes on without asking the hub again.
            leave.end_sessions(self.do, shared, self.unit(shared.login))
        return gone

    def unit(self, login: str) -> str:
        """Name of the unit of an account's server."""
        return str(self.p["server_unit"]).replace("{login}", login)

    def collaboration(self) -> None:
        """The account of the collaborative server, or its end."""
        login, gid = self.collaborator, self.p["gid"]
        known, home = self.accounts.get(login), self.root / "home" / self.collaborator
        if not self.p["collaboration"]:
            if known and not known.locked:
                leave.lock(self.do, known)
                leave.end_sessions(self.do, known, self.unit(login))
                self.archived.append(leave.archive(self.do, known, home, self.root / "archive", self.check))
            return
        self.bring_home(login, home)
        comment = f"Collaborative server of {self.p['project']}"
        if known is None:
            argv = [
                "useradd",
                "--uid",
                str(gid),
                "--gid",
                self.p["group"],
                "--comment",
                comment,
                "--home-dir",
                str(home),
            ]
            argv += ["--no-create-home", "--shell", "/usr/sbin/nologin", login]
            self.do(f"{login}: account created, without a way to log in", argv)
        else:
            self.correct(known, comment, home)
        self.said += make_directory(home, gid, gid, 0o700, self.check)

    def from_directory(self, named: list[str]) -> list[str]:
        """Logins whom the directory put into the group; the data takes over those it names."""
        path = Path(self.p["directory_record"])
        record = logic.read_record(path.read_text(encoding="utf-8")) if path.exists() else {}
        added = record.get(self.p["group"], [])
        taken = sorted(set(added) & set(named))
        if taken:
            self.said.append(f"{', '.join(taken)}: no longer there because of the directory, but of the data")
            if not self.check:
                logic.write_record(path, {**record, self.p["group"]: sorted(set(added) - set(named))})
        return added

    def directories(self) -> None:
        """The tree on the data volume and the shared folder with its default access list."""
        for name, mode in (("home", 0o711), ("projects", 0o711), ("archive", 0o700)):
            self.said += make_directory(self.root / name, 0, 0, mode, self.check)
        self.said += make_directory(self.folder, 0, self.p["gid"], 0o2770, self.check)
        wanted = logic.default_acl(self.p["group"])
        if self.folder.exists():
            argv = ["getfacl", "--default", "--omit-header", "--absolute-names", str(self.folder)]
            now = [line for line in run(self.module, argv)[1].splitlines() if line]
            if now == wanted:
                return
        self.do(
            f"{self.folder}: default access list",
            ["setfacl", "--remove-default", str(self.folder)],
            ["setfacl", "--default", "--modify", ",".join(wanted), str(self.folder)],
        )

    def join(self, member: dict[str, Any]) -> None:
        """One member: account, password, home, membership, link."""
        login, uid = member["login"], member["uid"]
        home = self.root / "home" / login
        self.bring_home(login, home)
        known = self.accounts.get(login)
        if known is None:
            self.create(login, uid, member["name"], home)
        else:
            self.correct(known, member["name"], home)
        self.password(login, known)
        if known or home.exists():  # in check mode useradd, which makes the home of a new account, has not run
            self.said += make_directory(home, uid, known.gid if known else uid, 0o700, self.check)
        if login not in self.groups.get(self.p["group"], (0, []))[1]:
            self.do(f"{login}: joins {self.p['group']}", ["gpasswd", "--add", login, self.p["group"]])
        for link, target in self.links(home).items():
            self.link(login, uid, uid if known is None else known.gid, link, target)

    def links(self, home: Path) -> dict[Path, Path]:
        """The links in a home to what the project shares."""
        found = {home / "projects" / self.p["project"]: self.folder}
        return found | ({home / "reference" / self.p["project"]: self.reference} if self.p["read_only"] else {})

    def bring_home(self, login: str, home: Path) -> None:
        """A member who comes back gets the archived home back."""
        archived = self.root / "archive" / login
        if archived.is_dir() and not home.exists():
            self.said.append(f"{login}: home taken out of the archive")
            if not self.check:
                archived.rename(home)

    def create(self, login: str, uid: int, name: str, home: Path) -> None:
        """A new account with a group of its own; both numbers are the same."""
        commands = [] if login in self.groups else [["groupadd", "--gid", str(uid), login]]
        argv = ["useradd", "--uid", str(uid), "--gid", login, "--comment", name, "--home-dir", str(home)]
        commands.append([*argv, "--create-home", "--shell", self.p["shell"], "--key", "HOME_MODE=0700", login])
        self.do(f"{login}: account created", *commands)

    def correct(self, known: logic.Account, name: str, home: Path) -> None:
        """Name and home of an account that exists; one that had left is unlocked."""
        if known.comment != name:
            self.do(f"{known.login}: full name", ["usermod", "--comment", name, known.login])
        if known.home != str(home):
            self.do(f"{known.login}: home is {home}", ["usermod", "--home", str(home), known.login])
        if known.locked:
            unlock = [["usermod", "--unlock", known.login]] if known.has_password else []
            self.do(f"{known.login}: unlocked", ["usermod", "--expiredate", "", known.login], *unlock)

    def password(self, login: str, known: logic.Account | None) -> None:
        """Set the hash through standard input; what a user chose later is kept unless told otherwise."""
        wanted = self.p["password_hashes"].get(login)
        first = known is None or not known.has_password
        if not wanted:
            if first:
                self.module.warn(f"{login} has no password hash, so cannot log in; store one and run again")
            return
        differs = known is not None and known.password.lstrip("!") != wanted
        if first or {"on_create": False, "always": differs}[self.p["update_password"]]:
            self.do(f"{login}: password set", ["chpasswd", "--encrypted"], data=f"{login}:{wanted}")

    def link(self, login: str, uid: int, gid: int, link: Path, target: Path) -> None:
        """``~/projects/<project>``; what the member put there instead is left alone."""
        if os.path.lexists(link):
            if not link.is_symlink() or link.readlink() != target:
                self.module.warn(f"{link} exists and is not a link to {target}; it is left alone")
            return
        self.said.append(f"{link}: link to {target}")
        if self.check:
            return

        def make() -> None:
            link.parent.mkdir(mode=0o700, exist_ok=True)
            link.symlink_to(target)

        if not as_user(uid, gid, make):
            self.said.pop()
            self.module.warn(f"{link} could not be made with the rights of {login}")

    def leave(self, login: str) -> None:
        """A member who left. The group goes last: a run that failed half way finds the leaver again."""
        group, known = self.p["group"], self.accounts.get(login)
        out = ["gpasswd", "--delete", login, group]
        if known is None:
            self.do(f"{login}: leaves {group}", out)
            return
        if logic.stays_elsewhere(login, group, self.groups, self.p["group_prefix"]):
            # What runs keeps the group it was started with, so it ends, once nothing new can have it.
            self.do(f"{login}: leaves {group}", out)
            leave.end_sessions(self.do, known, self.unit(login))
            home = self.root / "home" / login
            links = {home / "projects" / self.p["project"]: self.folder}
            links[home / "reference" / self.p["project"]] = self.reference
            self.said += leave.unlink_as(lambda action: self.check or as_user(known.uid, known.gid, action), links)
            return
        leave.lock(self.do, known)
        leave.end_sessions(self.do, known, self.unit(login))
        home = self.root / "home" / login
        self.archived.append(leave.archive(self.do, known, home, self.root / "archive", self.check))
        self.do(f"{login}: leaves {group}", out)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    os.umask(0o022)
    project = Project(module)
    try:
        gone = project.converge()
    except (HostError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    kept = {entry["login"]: entry for entry in project.archived}
    for login in gone:
        module.warn(logic.farewell(login, module.params["project"], kept.get(login), module.check_mode))
    result: dict[str, Any] = {"changed": bool(project.said), "changes": project.said, "removed": gone}
    result["archived"] = project.archived
    if project.said:
        result["diff"] = {"prepared": "\n".join(project.said) + "\n"}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
