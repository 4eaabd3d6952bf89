"""What sshd is told, and who has lost something."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _sshd
from ansible_collections.atelier.datalab.plugins.module_utils._sshd import Member, Policy

ALICE = Member("alice", 100001, keys=("ssh-ed25519 A",), opens=("10.0.0.1:22", "10.0.0.1:443"))
BOB = Member("bob", 100002, keys=("ssh-ed25519 B",), opens=("10.0.0.1:22",))


def policy(**changes: Any) -> Policy:
    values = {"sources": ("10.0.0.0/8",), "admins": ("ops",), "login": "certificates"}
    return Policy(**values | {"forward_only": True, "penalties": True} | changes)


def blocks(text: str) -> dict[str, list[str]]:
    """The lines of the head ("") and of each Match block."""
    found: dict[str, list[str]] = {"": []}
    here = ""
    for line in text.splitlines():
        if line.startswith("Match "):
            here = line.removeprefix("Match ")
            found[here] = []
        elif line and not line.startswith("#"):
            found[here].append(line.strip())
    return found


def test_a_bastion_permits_each_member_the_own_places_alone() -> None:
    found = blocks(_sshd.drop_in(policy(), [BOB, ALICE]))
    assert list(found) == ["", "Address *,!10.0.0.0/8", "User ops", "User alice", "User bob"]
    assert found["User ops"] == ["AllowTcpForwarding local"]
    assert found["User bob"] == [
        "TrustedUserCAKeys /etc/ssh/datalab/authorities",
        "AuthorizedKeysFile none",
        "AllowTcpForwarding local",
        "PermitOpen 10.0.0.1:22",
        "MaxSessions 0",
        "PermitTTY no",
    ]
    assert "PermitOpen 10.0.0.1:22 10.0.0.1:443" in found["User alice"]
    assert {"AllowTcpForwarding no", "AllowUsers ops alice bob", "LogLevel VERBOSE"} <= set(found[""])


def test_only_members_trust_the_authority() -> None:
    """In the head, a certificate would open the administrators' accounts too."""
    found = blocks(_sshd.drop_in(policy(), [ALICE]))
    assert not any("TrustedUserCAKeys" in line for name in ("", "User ops") for line in found[name])


def test_a_member_without_machines_forwards_nothing() -> None:
    found = blocks(_sshd.drop_in(policy(), [Member("eve", 100003)]))
    assert {"AllowTcpForwarding no", "PermitOpen none"} <= set(found["User eve"])


def test_a_machine_gives_members_a_terminal_and_no_forwarding() -> None:
    found = blocks(_sshd.drop_in(policy(forward_only=False), [ALICE, BOB]))
    assert list(found) == ["", "Address *,!10.0.0.0/8", "User alice,bob"]
    assert not any("Forwarding local" in line or "MaxSessions" in line for lines in found.values() for line in lines)


def test_keys_come_from_the_data_and_not_from_the_homes() -> None:
    found = blocks(_sshd.drop_in(policy(login="keys"), [ALICE]))
    assert "AuthorizedKeysFile /etc/ssh/datalab/keys/%u" in found["User alice"]
    assert not any("TrustedUserCAKeys" in line for lines in found.values() for line in lines)


def test_nobody_waits_because_of_somebody_else_behind_the_bastion() -> None:
    head = blocks(_sshd.drop_in(policy(forward_only=False), []))[""]
    assert "PerSourcePenalties no" in head
    assert not any(line.startswith(("MaxStartups", "PerSourceMaxStartups")) for line in head)
    assert not any("Penalties" in line for line in blocks(_sshd.drop_in(policy(penalties=False), []))[""])


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("OpenSSH_9.2p1 Debian-2+deb12u6, OpenSSL 3.0.19", False),
        ("OpenSSH_9.7p1", False),
        ("OpenSSH_9.8p1", True),
        ("OpenSSH_10.0p2 Debian-7", True),
        ("something else", False),
    ],
)
def test_penalties_are_known_from_9_8_on(version: str, known: bool) -> None:
    assert _sshd.knows_penalties(version) is known


def has(*members: Member, login: str = "certificates") -> dict[str, Any]:
    return _sshd.grants(policy(login=login), members)


@pytest.mark.parametrize(
    ("after", "losers"),
    [
        (has(ALICE, BOB), []),
        (has(ALICE), ["bob"]),
        (has(), ["alice", "bob"]),
        (has(ALICE, BOB, Member("eve", 1)), []),
        (has(ALICE, Member("bob", 100002, keys=BOB.keys, opens=(*BOB.opens, "10.0.0.2:22"))), []),
        (has(Member("alice", 100001, keys=ALICE.keys, opens=("10.0.0.1:22",)), BOB), ["alice"]),
        (has(ALICE, Member("bob", 100002, keys=("ssh-ed25519 C",), opens=BOB.opens)), ["bob"]),
        (has(ALICE, Member("bob", 100002, keys=(*BOB.keys, "ssh-ed25519 C"), opens=BOB.opens)), []),
        (has(ALICE, BOB, login="keys"), ["alice", "bob"]),
    ],
)
def test_who_has_less_than_before(after: dict[str, Any], losers: list[str]) -> None:
    assert _sshd.lost(has(ALICE, BOB), after) == losers


def test_a_key_that_left_stays_revoked_until_the_data_has_it_again() -> None:
    assert _sshd.revoked([], has(ALICE, BOB), [ALICE]) == ["ssh-ed25519 B"]
    assert _sshd.revoked(["ssh-ed25519 B"], has(ALICE), [ALICE]) == ["ssh-ed25519 B"]
    assert _sshd.revoked(["ssh-ed25519 B"], has(ALICE), [ALICE, BOB]) == []


def test_the_comment_of_a_key_is_not_the_key() -> None:
    entry = {"login": "a", "uid": 1, "name": "", "opens": [], "ssh_keys": ["ssh-ed25519 A alice@home"]}
    assert Member.read(entry).keys == ("ssh-ed25519 A",)
