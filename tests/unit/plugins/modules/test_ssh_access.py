"""The module `ssh_access` on a folder instead of /etc, its commands noted; killed anywhere, the next completes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _members, _sshd
from ansible_collections.atelier.datalab.plugins.module_utils._hosts import HostError
from ansible_collections.atelier.datalab.plugins.modules import ssh_access

ALICE = {"login": "alice", "uid": 100001, "name": "Alice", "ssh_keys": ["ssh-ed25519 A"], "opens": ["10.0.0.1:22"]}
BOB = {"login": "bob", "uid": 100002, "name": "Bob", "ssh_keys": ["ssh-ed25519 B"], "opens": ["10.0.0.1:22"]}


class Killed(BaseException):
    """The module does not come back."""


class Machine:
    """A host: its accounts, who is connected, and the commands that were run."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.commands = folder, []
        self.passwd: dict[str, _members.Account] = {}
        self.groups: dict[str, tuple[int, list[str]]] = {}
        self.connected: set[int] = set()
        self.dies_at: int | None = None
        self.refuses = ""
        monkeypatch.setattr(ssh_access, "DROP_IN", folder / "10-datalab.conf")
        monkeypatch.setattr(ssh_access, "SLICES", folder / "systemd")
        monkeypatch.setattr(ssh_access, "STATE", folder / "state/access.json")
        monkeypatch.setattr(_sshd, "FOLDER", str(folder / "datalab"))
        monkeypatch.setattr(_members, "read_accounts", lambda *_: dict(self.passwd))
        monkeypatch.setattr(_members, "read_groups", lambda *_: dict(self.groups))

    def run_command(self, argv: list[str], **_: Any) -> tuple[int, str, str]:
        self.commands.append(argv)
        if self.dies_at is not None and len(self.commands) > self.dies_at:
            raise Killed
        return self.act(argv)

    def act(self, argv: list[str]) -> tuple[int, str, str]:
        match argv:
            case ["ssh", "-V"]:
                return 0, "", "OpenSSH_10.0p2"
            case ["groupadd", *_, name]:
                self.groups[name] = (999, [])
            case ["useradd", "--uid", uid, *_, login]:
                comment = argv[argv.index("--comment") + 1]
                self.passwd[login] = _members.Account(login, int(uid), 999, comment, "/nonexistent", "!", "")
            case ["usermod", "--lock", "--expiredate", _, login]:
                self.passwd[login] = self.account(login, "1")
            case ["usermod", "--expiredate", "", login]:
                self.passwd[login] = self.account(login, "")
            case ["ssh-keygen", *_, "-f", made, given]:
                Path(made).write_text(Path(given).read_text())
            case ["/usr/sbin/sshd", "-t"] if self.refuses:
                return 1, "", self.refuses
            case ["pgrep", "--euid", uid, *_]:
                return int(int(uid) not in self.connected), "", ""
            case ["pkill", "-KILL", "--euid", uid, *_]:
                self.connected.discard(int(uid))
        return 0, "", ""

    def account(self, login: str, expires: str) -> _members.Account:
        had = self.passwd[login]
        return _members.Account(login, had.uid, had.gid, had.comment, had.home, "!", expires)

    def converge(self, *members: dict[str, Any], check: bool = False, **options: Any) -> ssh_access.Access:
        """Run the module once; what it has to say is on what is returned."""
        self.commands.clear()
        module: Any = type("Module", (), {})()
        module.check_mode, module.run_command, module.warn = check, self.run_command, print
        module.params = {
            "sources": ["10.0.0.0/8"],
            "admins": ["ops"],
            "members": list(members),
            "login": "certificates",
            "authorities": ["ecdsa-sha2-nistp256 CA"],
            "forward_only": True,
            "memory_limit": "",
            "cpu_limit": 0,
        } | options
        access = ssh_access.Access(module)
        access.ended = access.converge()  # type: ignore[attr-defined]
        return access

    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.folder)): path.read_text() for path in self.folder.rglob("*") if path.is_file()
        }


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_a_second_run_changes_nothing(machine: Machine) -> None:
    assert machine.converge(ALICE, BOB).said
    before = machine.files()
    assert machine.converge(ALICE, BOB).said == []
    assert machine.files() == before
    assert ["systemctl", "reload", "ssh.service"] not in machine.commands


def test_check_mode_says_the_same_and_does_nothing(machine: Machine) -> None:
    said = machine.converge(ALICE, check=True).said
    assert machine.files() == {}
    assert machine.passwd == {}
    assert said == machine.converge(ALICE).said


def test_who_leaves_is_locked_and_cut_off_and_nobody_else(machine: Machine) -> None:
    machine.converge(ALICE, BOB)
    machine.connected = {ALICE["uid"], BOB["uid"]}
    found = machine.converge(ALICE)
    assert found.ended == ["bob"]  # type: ignore[attr-defined]
    assert machine.connected == {ALICE["uid"]}
    assert machine.passwd["bob"].locked
    assert machine.files()["datalab/revoked"] == "ssh-ed25519 B\n"
    # A door first, then the room: nobody comes back in between.
    assert machine.commands.index(["systemctl", "reload", "ssh.service"]) < next(
        place for place, argv in enumerate(machine.commands) if argv[0] == "pkill"
    )
    machine.converge(ALICE, BOB)
    assert not machine.passwd["bob"].locked
    assert machine.files()["datalab/revoked"] == ""


def test_who_gets_more_is_not_disturbed(machine: Machine) -> None:
    machine.converge(ALICE)
    machine.connected = {ALICE["uid"]}
    machine.converge(ALICE | {"opens": ["10.0.0.1:22", "10.0.0.2:22"]})
    assert machine.connected == {ALICE["uid"]}
    machine.converge(ALICE)
    assert machine.connected == set()


def test_killed_anywhere_the_next_run_completes_it(machine: Machine) -> None:
    machine.converge(ALICE, BOB)
    machine.connected = {BOB["uid"]}
    machine.converge(ALICE)
    whole, steps = machine.files(), len(machine.commands)
    assert steps > 5
    for step in range(steps):
        machine.converge(ALICE, BOB)
        machine.connected = {BOB["uid"]}
        machine.dies_at = step
        with pytest.raises(Killed):
            machine.converge(ALICE)
        machine.dies_at = None
        machine.converge(ALICE)
        assert machine.files() == whole, step
        assert machine.connected == set(), f"killed at command {step}, bob stayed connected"
        assert machine.passwd["bob"].locked


def test_without_memory_everybody_is_asked_again(machine: Machine) -> None:
    """The file that says what members had is gone: nobody can tell who lost something."""
    machine.converge(ALICE, BOB)
    (machine.folder / "state/access.json").unlink()
    machine.connected = {ALICE["uid"], BOB["uid"]}
    machine.converge(ALICE, BOB)
    assert machine.connected == set()


def test_what_sshd_does_not_take_goes_back(machine: Machine) -> None:
    machine.converge(ALICE)
    before = machine.files()["10-datalab.conf"]
    machine.refuses = "/etc/ssh/sshd_config.d/60: Bad configuration option"
    with pytest.raises(HostError, match="Bad configuration option"):
        machine.converge(ALICE, BOB)
    assert machine.files()["10-datalab.conf"] == before
    machine.refuses = ""
    machine.converge(ALICE, BOB)
    assert "Match User bob" in machine.files()["10-datalab.conf"]


def test_every_obstacle_is_named_before_anything_changes(machine: Machine) -> None:
    machine.passwd["bob"] = _members.Account("bob", 7, 7, "", "/", "*", "")
    ops = {"login": "ops", "uid": 100009, "name": "", "ssh_keys": [], "opens": []}
    with pytest.raises(HostError) as told:
        machine.converge(ALICE, BOB, ops, authorities=[])
    assert "there is no authority" in str(told.value)
    assert "bob has uid 7 on this host, the data says 100002" in str(told.value)
    assert "ops is an administrator and a member" in str(told.value)
    assert machine.files() == {}


def test_a_key_file_per_member_and_none_too_many(machine: Machine) -> None:
    machine.converge(ALICE, BOB, login="keys")
    assert machine.files()["datalab/keys/bob"] == "ssh-ed25519 B\n"
    machine.converge(ALICE, login="keys")
    assert "datalab/keys/bob" not in machine.files()
    machine.converge(ALICE)
    found = machine.files()
    assert "datalab/keys/alice" not in found
    assert found["datalab/authorities"] == "ecdsa-sha2-nistp256 CA\n"


def test_on_a_machine_accounts_are_not_its_matter(machine: Machine) -> None:
    machine.converge(ALICE, forward_only=False)
    assert machine.passwd == {}
    assert machine.groups == {}


def test_terminals_are_held_to_limits_while_their_owner_is_a_member(machine: Machine) -> None:
    (machine.folder / "systemd").mkdir()
    limits = {"forward_only": False, "memory_limit": "2G", "cpu_limit": 1.5}
    machine.converge(ALICE, BOB, **limits)
    assert ["systemctl", "daemon-reload"] in machine.commands
    found = machine.files()
    assert found["systemd/user-100001.slice.d/50-datalab.conf"].splitlines()[1:] == [
        "[Slice]",
        "MemoryMax=2G",
        "CPUQuota=150%",
    ]
    assert machine.converge(ALICE, BOB, **limits).said == []
    machine.converge(ALICE, **limits)
    assert [path.name for path in (machine.folder / "systemd").iterdir()] == ["user-100001.slice.d"]


def test_what_members_have_is_for_root_alone(machine: Machine) -> None:
    machine.converge(ALICE)
    assert (machine.folder / "state/access.json").stat().st_mode & 0o777 == 0o600
    assert json.loads(machine.files()["state/access.json"])["cut"] == []
