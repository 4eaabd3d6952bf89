"""Security groups as the router enforces them: an nftables ruleset made of what EC2 says. Pure.

As in AWS they are stateful, closed but for what a rule opens, and stand outside the hosts, where nobody on them can
change anything. What is refused is dropped without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from lab.cloud import Endpoint, Instance, Permission, SecurityGroup

TABLE = "inet security_groups"
METADATA = "169.254.169.254"
_PROTOCOLS = {"-1": "", "1": "icmp", "6": "tcp", "17": "udp"}


def ruleset(instances: Iterable[Instance | Endpoint], groups: Mapping[str, SecurityGroup]) -> str:
    """Return the whole table as ``nft -f`` takes it; it replaces the one before in one step.

    Interface endpoints are ends like instances. The metadata service is not under security groups, as on AWS.
    """
    hosts = sorted(instances, key=lambda i: i.id)
    members: dict[str, list[str]] = {}
    for host in hosts:
        for group in host.groups:
            members.setdefault(group, []).append(host.address)
    lines = [f"table {TABLE}", f"delete table {TABLE}", f"table {TABLE} {{"]
    for host in hosts:
        mine = [groups[name] for name in host.groups if name in groups]
        lines += _chain(f"from-{host.id}", "daddr", (p for g in mine for p in g.egress), members)
        lines += _chain(f"to-{host.id}", "saddr", (p for g in mine for p in g.ingress), members)
    lines += [" chain judge {", "  ct state established,related accept", f"  ip daddr {METADATA} tcp dport 80 accept"]
    lines += [f"  ip saddr {host.address} jump from-{host.id}" for host in hosts]
    lines += [f"  ip daddr {host.address} jump to-{host.id}" for host in hosts]
    lines += [" }"]
    # The channel and the people's computers are in the router itself.
    for hook in ("input", "forward", "output"):
        lines += [f" chain {hook} {{", f"  type filter hook {hook} priority 0; policy accept;", "  jump judge", " }"]
    return "\n".join([*lines, "}", ""])


def _chain(name: str, end: str, permissions: Iterable[Permission], members: Mapping[str, list[str]]) -> list[str]:
    opened = {
        f"  ip {end} {peer}{what} return" for p in permissions for what in [_what(p)] for peer in _peers(p, members)
    }
    return [f" chain {name} {{", *sorted(opened), "  drop", " }"]


def _peers(permission: Permission, members: Mapping[str, list[str]]) -> Iterator[str]:
    yield from permission.networks
    for group in permission.groups:
        yield from members.get(group, [])


def _what(permission: Permission) -> str:
    protocol = _PROTOCOLS.get(permission.protocol, permission.protocol)
    if not protocol:
        return ""
    if protocol == "icmp" or permission.first is None:
        return f" ip protocol {protocol}"
    return f" {protocol} dport {permission.first}-{permission.last}"
