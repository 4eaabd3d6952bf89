#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may come in over ssh, from where, and what they may do with it, in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_access
short_description: Who may come in over ssh, from where, and what for
version_added: "0.3.0"
description:
  - Writes one drop-in for sshd with what it needs (authorities or keys, revoked keys), checked by sshd before it is
    used, and has sshd read it. Connections that are open stay.
  - Members show a certificate of one of the authorities, or a key; what lies in their homes opens nothing.
  - With O(forward_only), for a bastion, makes the members' accounts, which have neither shell nor password nor home,
    and permits each the connections named for them and nothing else.
  - Whoever has less than at the last run (left, lost a key, lost a place) is cut off at once. A run that was killed is
    completed by the next. A key that leaves the data is revoked, so that a certificate for it opens nothing either.
  - An account that is no longer named is locked and expired, never deleted.
options:
  sources:
    description: Networks or addresses from which sshd accepts connections.
    type: list
    elements: str
    required: true
  admins:
    description: Accounts that may log in with the keys in their homes, without limits.
    type: list
    elements: str
    required: true
  members:
    description: Who else may log in.
    type: list
    elements: dict
    default: []
    suboptions:
      login: {description: Account name; its certificate names it too., type: str, required: true}
      uid: {description: Number of the account., type: int, required: true}
      name: {description: Full name., type: str, default: ""}
      email: {description: Accepted so that entries of the directory can be passed whole; not used., type: str}
      ssh_keys:
        description: Public keys. What opens with O(login=keys), and what is revoked when it goes with both.
        type: list
        elements: str
        default: []
      opens: {description: "Places C(host:port) that a bastion forwards to.", type: list, elements: str, default: []}
  login:
    description: Whether members show a certificate or a key.
    type: str
    choices: [certificates, keys]
    default: certificates
  authorities:
    description: Public keys of the authorities, in OpenSSH's form. Needed where members show certificates.
    type: list
    elements: str
    default: []
  forward_only:
    description: This is a bastion. Admins may forward, members do nothing else.
    type: bool
    default: false
  memory_limit:
    description: What a member's terminals on a machine may use together, as C(2G); empty does not limit.
    type: str
    default: ""
  cpu_limit:
    description: How many processors they may use together; 0 is no limit.
    type: float
    default: 0
attributes:
  check_mode: {support: full, description: Says what would change; sshd checks the drop-in too.}
  diff_mode: {support: full, description: Text of the drop-in.}
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: A bastion
  atelier.datalab.ssh_access:
    sources: [10.0.0.0/8]
    admins: [datalab-admin]
    forward_only: true
    authorities: ["ecdsa-sha2-nistp256 AAAA..."]
    members: [{login: alice, uid: 100001, ssh_keys: ["ssh-ed25519 AAAA..."], opens: ["10.20.16.21:22"]}]
"""

RETURN = r"""
changes:
  description: What was changed, in words.
  returned: always
  type: list
  elements: str
ended:
  description: Members who were cut off.
  returned: always
  type: list
  elements: str
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.atelier.datalab.plugins.module_utils import _members, _members_leave, _sshd
from ansible_collections.atelier.datalab.plugins.module_utils._hosts import HostError, make_directory, run

DROP_IN = Path("/etc/ssh/sshd_config.d/10-datalab.conf")
STATE = Path("/var/lib/atelier/access.json")
SLICES = Path("/etc/systemd/system")
GROUP = "datalab-members"
ARGUMENTS = {
    "sources": {"type": "list", "elements": "str", "required": True},
    "admins": {"type": "list", "elements": "str", "required": True},
    "members": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "login": {"type": "str", "required": True},
            "uid": {"type": "int", "required": True},
            "name": {"type": "str", "default": ""},
            "email": {"type": "str"},
            "ssh_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "opens": {"type": "list", "elements": "str", "default": []},
        },
    },
    "login": {"type": "str", "choices": ["certificates", "keys"], "default": "certificates"},
    "authorities": {"type": "list", "elements": "str", "default": []},
    "forward_only": {"type": "bool", "default": False},
    "memory_limit": {"type": "str", "default": ""},
    "cpu_limit": {"type": "float", "default": 0},
}


class Access:
    """sshd of one host."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module, self.p, self.check = module, module.params, module.check_mode
        self.said: list[str] = []
        self.diff: dict[str, str] = {}
        self.members = [_sshd.Member.read(entry) for entry in self.p["members"]]
        self.accounts = _members.read_accounts(
            Path("/etc/passwd").read_text(encoding="utf-8"), Path("/etc/shadow").read_text(encoding="utf-8")
        )
        self.groups = _members.read_groups(Path("/etc/group").read_text(encoding="utf-8"))
        # None: nobody knows what members had, so everything of theirs that is open counts as lost.
        self.state = json.loads(STATE.read_text(encoding="utf-8")) if STATE.exists() else None

    def do(self, what: str, *commands: list[str], ok: tuple[int, ...] = (0,)) -> None:
        """Note a change and, outside check mode, make it."""
        self.said.append(what)
        if not self.check:
            for argv in commands:
                run(self.module, argv, ok=ok)

    def converge(self) -> list[str]:
        """Do all of it; return who was cut off.

        :raises HostError: when the data cannot be had on this host; nothing has been changed then.
        """
        self.refuse()
        policy = self.policy()
        before = self.state["granted"] if self.state else {}
        after = _sshd.grants(policy, self.members)
        revoked = _sshd.revoked(self.state["revoked"] if self.state else (), before, self.members)
        former = [login for login in self.former() if not self.accounts[login].locked]
        cut = set(_sshd.lost(before, after)) | set(self.state["cut"] if self.state else self.former(everybody=True))
        cut |= set(former)
        # Noted before the first change: killed anywhere below, the next run still knows whom to cut off.
        self.keep({"granted": before, "cut": sorted(cut), "revoked": revoked})
        for login in former:
            _members_leave.lock(self.do, self.accounts[login])
        self.make_accounts()
        self.limit()
        self.configure(policy, revoked)
        ended = [login for login in sorted(cut) if self.end(login)]
        self.keep({"granted": after, "cut": [], "revoked": revoked})
        return ended

    def refuse(self) -> None:
        """Whatever stands in the way, all at once."""
        p = self.p
        said = []
        if p["members"] and p["login"] == _sshd.CERTIFICATES and not p["authorities"]:
            said.append("members show certificates and there is no authority: give its public key")
        if any("PRIVATE" in key or len(key.split()) < 2 for key in p["authorities"]):
            said.append("an authority is no public key in OpenSSH's form: give the line of a .pub file")
        for one in self.members:
            if one.login in p["admins"]:
                said.append(f"{one.login} is an administrator and a member: name the account once")
            if p["login"] == _sshd.KEYS and not one.keys:
                self.module.warn(f"{one.login} has no key in the data and cannot come in: add one to ssh_keys")
            if p["forward_only"]:
                said += [
                    f"{one.login} cannot be the member of that name: {why}"
                    for why in _members.clashes(one.login, one.uid, self.accounts, self.groups)
                ]
                known = self.accounts.get(one.login)
                if known and GROUP in self.groups and known.gid != self.groups[GROUP][0]:
                    said.append(f"{one.login} is an account of this host that was not made here: remove or rename it")
        if said:
            raise HostError("; ".join(said))

    def policy(self) -> _sshd.Policy:
        """What holds for everybody here."""
        p = self.p
        _, _, version = self.module.run_command(["ssh", "-V"])  # the same package and version as sshd
        return _sshd.Policy(
            tuple(p["sources"]),
            tuple(p["admins"]),
            p["login"],
            p["forward_only"],
            _sshd.knows_penalties(version),
        )

    # -- accounts of a bastion

    def former(self, *, everybody: bool = False) -> list[str]:
        """Accounts made here whom the data does not name; all of those made here, on demand."""
        if GROUP not in self.groups:
            return []
        wanted = set() if everybody else {one.login for one in self.members}
        mine = [one.login for one in self.accounts.values() if one.gid == self.groups[GROUP][0]]
        return sorted(set(mine) - wanted)

    def make_accounts(self) -> None:
        """Accounts with which one can do nothing on the bastion itself."""
        if not self.p["forward_only"]:
            return
        if GROUP not in self.groups and self.members:
            self.do(f"group {GROUP} created", ["groupadd", "--system", GROUP])
        for one in self.members:
            known = self.accounts.get(one.login)
            if known is None:
                argv = ["useradd", "--uid", str(one.uid), "--gid", GROUP, "--comment", one.name, "--no-create-home"]
                # Without an end of the password's life: there is none, and PAM would shut the account when it ends.
                argv += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", "--key", "PASS_MAX_DAYS=-1"]
                self.do(f"{one.login}: account created", [*argv, one.login])
                continue
            if known.comment != one.name:
                self.do(f"{one.login}: full name", ["usermod", "--comment", one.name, one.login])
            if known.locked:
                self.do(f"{one.login}: unlocked", ["usermod", "--expiredate", "", one.login])

    # -- terminals on a machine

    def limit(self) -> None:
        """Hold a member's terminals to what the hub's servers are held to; the slice is systemd's own, per account."""
        text = _sshd.slice_limits(self.p["memory_limit"], self.p["cpu_limit"]) if not self.p["forward_only"] else ""
        wanted = {SLICES / f"user-{one.uid}.slice.d/50-datalab.conf": text for one in self.members if text}
        stale = set(SLICES.glob("user-*.slice.d/50-datalab.conf")) - set(wanted)
        changed = [path for path in wanted if read(path) != wanted[path]]
        if not stale and not changed:
            return
        for path in sorted([*stale, *changed]):
            self.said.append(f"{path}: {'removed' if path in stale else 'written'}")
            if self.check:
                continue
            if path in stale:
                path.unlink()
                path.parent.rmdir()
            else:
                path.parent.mkdir(mode=0o755, exist_ok=True)
                replace(path, text)
        if not self.check:
            run(self.module, ["systemctl", "daemon-reload"])

    # -- sshd

    def files(self, policy: _sshd.Policy) -> dict[Path, str]:
        """What the drop-in refers to, besides the revoked keys."""
        folder = Path(_sshd.FOLDER)
        if policy.login == _sshd.KEYS:
            return {folder / "keys" / one.login: "".join(f"{key}\n" for key in one.keys) for one in self.members}
        return {folder / "authorities": "".join(f"{key.strip()}\n" for key in self.p["authorities"])}

    def configure(self, policy: _sshd.Policy, revoked: list[str]) -> None:
        """Files, drop-in, reload."""
        folder = Path(_sshd.FOLDER)
        for path in (folder, folder / "keys"):
            self.said += make_directory(path, 0, 0, 0o755, self.check)
        wanted = self.files(policy)
        present = {path for path in [folder / "authorities", *(folder / "keys").glob("*")] if path.is_file()}
        for path, text in wanted.items():
            if read(path) != text:
                self.said.append(f"{path}: written")
                if not self.check:
                    replace(path, text)
        self.revoke(folder, revoked)
        text, before = _sshd.drop_in(policy, self.members), read(DROP_IN)
        if text != before:
            self.said.append(f"{DROP_IN}: written")
            self.diff = {"before_header": str(DROP_IN), "after_header": str(DROP_IN), "before": before, "after": text}
            self.validate(text)
            if not self.check:
                replace(DROP_IN, text)
                self.accept(before)
        for path in sorted(present - set(wanted)):  # when nothing refers to them any more
            self.said.append(f"{path}: removed")
            if not self.check:
                path.unlink()

    def revoke(self, folder: Path, keys: list[str]) -> None:
        """The list that sshd reads; of OpenSSH's own form, for that holds for certificates of a key too."""
        source, listed = folder / "revoked.pub", "".join(f"{key}\n" for key in keys)
        if read(source) == listed and (folder / "revoked").exists():
            return
        self.said.append(f"{folder / 'revoked'}: {len(keys)} keys")
        if self.check:
            return
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            given, made = Path(scratch, "keys"), Path(scratch, "revoked")
            given.write_text(listed, encoding="utf-8")
            run(self.module, ["ssh-keygen", "-q", "-k", "-f", str(made), str(given)])
            made.chmod(0o644)
            made.replace(folder / "revoked")
        replace(source, listed)

    def validate(self, text: str) -> None:
        """sshd reads the drop-in alone, which is a valid configuration, before it is used."""
        with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            run(self.module, ["/usr/sbin/sshd", "-t", "-f", file.name])

    def accept(self, before: str) -> None:
        """Have sshd read it, together with what else the host has; what it does not take goes back."""
        code, _, error = self.module.run_command(["/usr/sbin/sshd", "-t"])
        if code:
            if before:
                replace(DROP_IN, before)
            else:
                DROP_IN.unlink()
            raise HostError(f"sshd does not take the drop-in with the rest of its configuration: {error.strip()}")
        run(self.module, ["systemctl", "reload", "ssh.service"])

    def end(self, login: str) -> bool:
        """End the connections of an account; whether there were any. A member's server on a machine goes on."""
        known = self.accounts.get(login)
        if known is None:
            return False
        # Of each connection the process that speaks for the member; Debian 13 has split sshd.
        pattern = ["--euid", str(known.uid), "--exact", "sshd|sshd-session"]
        if self.module.run_command(["pgrep", *pattern])[0]:
            return False
        self.do(f"{login}: connections ended", ["pkill", "-KILL", *pattern], ok=(0, 1))
        return True

    def keep(self, state: dict[str, Any]) -> None:
        """What the next run compares with. Root's alone: nobody else needs to know who may go where."""
        if self.check or state == self.state:
            return
        STATE.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace(STATE, json.dumps(state, indent=1) + "\n", 0o600)
        self.state = state


def read(path: Path) -> str:
    """Text of a file, empty when there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def replace(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file of root at once: a reader sees the old one or the new."""
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
    Path(scratch).chmod(mode)
    Path(scratch).replace(path)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    os.umask(0o022)
    try:
        access = Access(module)
        ended = access.converge()
    except (HostError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    result: dict[str, Any] = {"changed": bool(access.said), "changes": access.said, "ended": ended}
    if access.said:
        result["diff"] = [access.diff, {"prepared": "\n".join(access.said) + "\n"}]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
