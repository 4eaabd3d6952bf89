"""What sshd is told of sources, administrators and members, and what of it somebody has lost. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

FOLDER = "/etc/ssh/datalab"
CERTIFICATES, KEYS = "certificates", "keys"
# Ansible comes with one connection per host and fork at once from one address, so less would lock it out.
STARTUPS_PER_SOURCE = 25
_PENALTIES = (9, 8)  # OpenSSH that knows PerSourcePenalties


@dataclasses.dataclass(frozen=True)
class Member:
    """Somebody who may come in, and where to."""

    login: str
    uid: int
    name: str = ""
    keys: tuple[str, ...] = ()
    opens: tuple[str, ...] = ()

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Member:
        """From an entry of the module's `members`."""
        keys = tuple(sorted(bare(key) for key in entry["ssh_keys"] or ()))
        return cls(entry["login"], entry["uid"], entry["name"], keys, tuple(sorted(set(entry["opens"] or ()))))


@dataclasses.dataclass(frozen=True)
class Policy:
    """What holds for everybody on one host."""

    sources: tuple[str, ...]
    admins: tuple[str, ...]
    login: str
    forward_only: bool
    penalties: bool


def bare(key: str) -> str:
    """A public key without its comment: what makes it this key."""
    return " ".join(key.split()[:2])


def knows_penalties(version: str) -> bool:
    """Whether an sshd slows down whoever fails, by what `ssh -V` says, for example `OpenSSH_10.0p2 Debian-7`."""
    found = re.match(r"OpenSSH_(\d+)\.(\d+)", version)
    return bool(found) and (int(found[1]), int(found[2])) >= _PENALTIES


def drop_in(policy: Policy, members: Iterable[Member]) -> str:
    """Text of the drop-in: what holds for all, then who differs. A block overrides the head, the first block wins."""
    members = sorted(members, key=lambda one: one.login)
    lines = [
        "# Written by atelier.datalab.access; changes are lost.",
        "PermitRootLogin no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "AllowTcpForwarding no",
        "AllowAgentForwarding no",
        "AllowStreamLocalForwarding no",
        "X11Forwarding no",
        "PermitTunnel no",
        "PermitUserRC no",
        "GatewayPorts no",
        "LogLevel VERBOSE",  # the fingerprint of each key, and of which certificate
        "MaxAuthTries 3",
        "LoginGraceTime 20",
        f"RevokedKeys {FOLDER}/revoked",
        f"AllowUsers {' '.join([*policy.admins, *(one.login for one in members)])}",
    ]
    lines += _patience(policy)
    lines += [
        "# Whoever does not come from one of the sources is refused, whatever the key.",
        f"Match Address *,!{',!'.join(policy.sources)}",
        "    DenyUsers *",
    ]
    if policy.forward_only:
        lines += [f"Match User {','.join(policy.admins)}", "    AllowTcpForwarding local"]
        for one in members:
            lines += [f"Match User {one.login}", *_identity(policy), *_forwarding(one)]
    elif members:
        lines += [f"Match User {','.join(one.login for one in members)}", *_identity(policy)]
    return "\n".join([*lines, ""])


def _patience(policy: Policy) -> list[str]:
    """How whoever fails is slowed down. To a machine everybody comes from the bastion: one would hold up all."""
    if not policy.forward_only:
        return ["PerSourcePenalties no"] if policy.penalties else []
    lines = [f"MaxStartups {STARTUPS_PER_SOURCE}:30:100", f"PerSourceMaxStartups {STARTUPS_PER_SOURCE}"]
    if policy.penalties:
        lines.append("PerSourcePenalties authfail:10s noauth:2s grace-exceeded:20s min:20s max:10m")
    return lines


def _identity(policy: Policy) -> list[str]:
    """What proves who a member is. Nothing in the home counts: a member would let others in, or back in."""
    if policy.login == KEYS:
        return [f"    AuthorizedKeysFile {FOLDER}/keys/%u"]
    # Without a file of principals the login itself must be one of the certificate's.
    return [f"    TrustedUserCAKeys {FOLDER}/authorities", "    AuthorizedKeysFile none"]


def _forwarding(one: Member) -> list[str]:
    """MaxSessions 0: neither shell, command nor file transfer, connections to these places alone."""
    return [
        f"    AllowTcpForwarding {'local' if one.opens else 'no'}",
        f"    PermitOpen {' '.join(one.opens) or 'none'}",
        "    MaxSessions 0",
        "    PermitTTY no",
    ]


def slice_limits(memory: str, cpu: float) -> str:
    """What systemd holds the slice of an account to; empty where nothing is limited. memory: `2G`; cpu: processors."""
    lines = [f"MemoryMax={memory}"] if memory else []
    lines += [f"CPUQuota={cpu * 100:.0f}%"] if cpu else []
    return "\n".join(["# Written by atelier.datalab.access; changes are lost.", "[Slice]", *lines, ""]) if lines else ""


def grants(policy: Policy, members: Iterable[Member]) -> dict[str, dict[str, Any]]:
    """What each member has, in a form that can be kept and compared."""
    return {
        one.login: {"login": policy.login, "keys": list(one.keys), "opens": list(one.opens)}
        for one in sorted(members, key=lambda one: one.login)
    }


def lost(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Who has less than before; what is open of theirs has to end."""
    return sorted(
        login
        for login, had in before.items()
        if login not in after
        or had["login"] != after[login]["login"]
        or set(had["keys"]) - set(after[login]["keys"])
        or set(had["opens"]) - set(after[login]["opens"])
    )


def revoked(kept: Iterable[str], before: Mapping[str, Mapping[str, Any]], members: Iterable[Member]) -> list[str]:
    """Keys that were in the data and are not any more: a certificate for one of them may still be valid."""
    now = {key for one in members for key in one.keys}
    return sorted((set(kept) | {key for had in before.values() for key in had["keys"]}) - now)
