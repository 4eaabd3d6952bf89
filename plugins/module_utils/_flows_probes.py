"""What a host must reach by the flow matrix, and what it must not. Pure.

A flow is open at both ends only: the egress of its source and the ingress of its destination. So between hosts of ours
exactly the flows between their ends are open, and a declared address outside is open for the flow's own source alone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._flows import Opening, kind

_ALWAYS = (22, 443)  # asked of every host, whatever the matrix has


def probes(
    openings: Iterable[Opening], ends: Mapping[str, str], addresses: Mapping[str, str], host: str
) -> list[dict[str, Any]]:
    """What `host` asks of whom, and whether it is to be answered.

    Args:
        openings: the matrix, without expired flows.
        ends: which end of a flow a host of ours is, by its name.
        addresses: of the hosts that run, by their names.
        host: the name of the one that asks.

    Returns:
        `flow` (its name, empty where none permits it), `target`, `address`, `port` and `open`. UDP, larger networks and
        the other way round (from outside to us) cannot be asked by a host of ours and are left out.
    """
    ours, theirs = [], []
    for one in openings:
        (ours if one.source == ends[host] else theirs).append(one)
    declared = {
        (address, one.port): (one.name, target)
        for one in ours
        if one.protocol == "tcp"
        for target, address in _targets(one, ends, addresses, host)
    }
    ports = sorted({*_ALWAYS, *(one.port for one in (*ours, *theirs) if one.protocol == "tcp")})
    hosts = [(name, address, port) for name, address in addresses.items() if name != host for port in ports]
    outside = [(*pair, one.port) for one in theirs if one.protocol == "tcp" for pair in _outside(one)]
    # What a wider flow of our own covers is no proof either way.
    covered = [(ipaddress.ip_network(one.destination), one.port) for one in ours if kind(one.destination) == "network"]
    undeclared = {
        (address, port): ("", target)
        for target, address, port in hosts + outside
        if (address, port) not in declared
        and not (target not in addresses and any(port == p and ipaddress.ip_address(address) in n for n, p in covered))
    }
    found = [(key, what, True) for key, what in declared.items()] + [(k, w, False) for k, w in undeclared.items()]
    return [
        {"flow": flow, "target": target, "address": address, "port": port, "open": permitted}
        for (address, port), (flow, target), permitted in sorted(found)
    ]


def _targets(
    one: Opening, ends: Mapping[str, str], addresses: Mapping[str, str], host: str
) -> Iterable[tuple[str, str]]:
    inside = [(name, address) for name, address in addresses.items() if name != host and ends[name] == one.destination]
    return inside + _outside(one)


def _outside(one: Opening) -> list[tuple[str, str]]:
    """Name and address of a destination that is one address."""
    if kind(one.destination) != "network":
        return []
    network = ipaddress.ip_network(one.destination)
    return [(one.destination, str(network.network_address))] if network.num_addresses == 1 else []
