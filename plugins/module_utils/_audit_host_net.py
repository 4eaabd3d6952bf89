"""Who listens on this host and whom it talks to, from /proc. Standard library, Python 3.9 on.

For internal use of this collection. The format: proc(5), and Documentation/networking/proc_net_tcp.rst of the kernel.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _audit_host_system

_LISTEN, _ESTABLISHED, _UDP_UNCONNECTED = "0A", "01", "07"
_LOOPBACK = ("127.", "::1")
_MANY = 200  # peers of one host that are told


def address(text: str) -> tuple[str, int]:
    """`0100007F:1F90` -> ('127.0.0.1', 8080): groups of four bytes in the byte order of the machine."""
    raw, _, port = text.partition(":")
    words = [int(raw[start : start + 8], 16) for start in range(0, len(raw), 8)]
    packed = b"".join(struct.pack("<I" if sys.byteorder == "little" else ">I", word) for word in words)
    ip = socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
    return (ip[7:] if ip.startswith("::ffff:") and "." in ip else ip), int(port, 16)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Sockets of one file of /proc/net; none where the kernel has no such family."""
    if not path.exists():
        return
    with path.open() as lines:
        next(lines, None)
        for line in lines:
            parts = line.split()
            if len(parts) > 9:
                yield {
                    "local": address(parts[1]),
                    "remote": address(parts[2]),
                    "state": parts[3],
                    "uid": int(parts[7]),
                    "inode": parts[9],
                }


def owners(proc: Path) -> dict[str, int]:
    """Inode of a socket -> process that holds it; what we may not look at is left out."""
    found: dict[str, int] = {}
    for folder in sorted((one for one in proc.iterdir() if one.name.isdigit()), key=lambda one: int(one.name)):
        try:
            for descriptor in (folder / "fd").iterdir():
                target = str(descriptor.readlink())
                if target.startswith("socket:["):
                    found.setdefault(target[8:-1], int(folder.name))
        except OSError:
            continue  # ended meanwhile, or not ours to see; said once for the whole host
    return found


def ancestors(proc: Path, pid: int) -> set[int]:
    """This process and those it descends from: the connection that the audit itself came in by is theirs."""
    seen: set[int] = set()
    while pid > 1 and pid not in seen:
        seen.add(pid)
        pid = _audit_host_system.parent(proc, pid)
    return seen


def sockets(root: str = "/proc", me: int | None = None) -> dict[str, list[dict[str, Any]]]:
    """Listeners and established peers. Connections within the host, and the audit's own, are not peers."""
    proc = Path(root)
    holders = owners(proc)
    own = ancestors(proc, os.getpid() if me is None else me)
    listeners: dict[tuple[str, str, int], dict[str, Any]] = {}
    connected = []
    for protocol, name in (("tcp", "tcp"), ("tcp", "tcp6"), ("udp", "udp"), ("udp", "udp6")):
        for row in rows(proc / "net" / name):
            pid = holders.get(row["inode"], 0)
            if row["state"] == (_LISTEN if protocol == "tcp" else _UDP_UNCONNECTED):
                ip, port = row["local"]
                listeners.setdefault((protocol, ip, port), _listener(proc, protocol, row, pid))
            elif row["state"] == _ESTABLISHED and pid not in own:
                connected.append((protocol, row, pid))
    ports = {(protocol, port) for protocol, _, port in listeners}
    return {"listeners": [listeners[key] for key in sorted(listeners)], "peers": _peers(proc, connected, ports)}


def _listener(proc: Path, protocol: str, row: dict[str, Any], pid: int) -> dict[str, Any]:
    return {
        "protocol": protocol,
        "address": row["local"][0],
        "port": row["local"][1],
        "process": _audit_host_system.process_name(proc, pid) if pid else "",
        "user": _audit_host_system.user(row["uid"]),
    }


def _peers(proc: Path, connected: list[Any], ports: set[tuple[str, int]]) -> list[dict[str, Any]]:
    """One entry per peer, direction and service; the ports that change with each connection are left out."""
    counts: dict[tuple[str, str, int, str], int] = {}
    for protocol, row, pid in connected:
        (local, local_port), (remote, remote_port) = row["local"], row["remote"]
        if remote == local or remote.startswith(_LOOPBACK):
            continue
        inbound = (protocol, local_port) in ports
        process = _audit_host_system.process_name(proc, pid) if pid else ""
        key = ("in" if inbound else "out", remote, local_port if inbound else remote_port, process)
        counts[key] = counts.get(key, 0) + 1
    names = ("direction", "address", "port", "process")
    return [dict([(name, key[i]) for i, name in enumerate(names)], count=counts[key]) for key in sorted(counts)[:_MANY]]
