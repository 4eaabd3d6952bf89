"""Who logged in on this host and when. Standard library, Python 3.9 on.

For internal use of this collection. Records of utmp(5) and lastlog(8) as glibc writes them; from Debian 13 on the
databases of wtmpdb and lastlog2 stand in their place.
"""

from __future__ import annotations

import os
import platform
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# type, pid, line, id, user, host, exit (2), session, seconds, microseconds, address (4)
_UTMP = "<h2xi32s4s32s256shhiii4i20x"
_UTMP_64 = "<h2xi32s4s32s256shhqqq4i20x4x"  # aarch64 has no 32-bit forerunner to be compatible with
_LASTLOG, _LASTLOG_64 = "<i32s256s", "<q32s256s"
_USER_PROCESS, _WTMPDB_USER = 7, 3
_NEWEST = 20_000  # records that are read
_HOSTS = 5

Login = tuple[str, str, float]  # user, from where, when


def logins(root: str = "/", machine: str | None = None) -> list[dict[str, Any]]:
    """Accounts that logged in: how often on record, when last, from where."""
    base = Path(root)
    wide = (machine or platform.machine()) in ("aarch64", "riscv64")
    found = [*wtmp(base / "var/log/wtmp", wide), *wtmpdb(base / "var/lib/wtmpdb/wtmp.db")]
    last = [*lastlog(base, wide), *lastlog2(base / "var/lib/lastlog/lastlog2.db")]
    return summary(found, last)


def summary(found: list[Login], last: list[Login]) -> list[dict[str, Any]]:
    """By account. last: from records that hold the last login alone, and so count for none."""
    people: dict[str, dict[str, Any]] = {}
    for count, (name, host, when) in [*((1, one) for one in found), *((0, one) for one in last)]:
        person = people.setdefault(name, {"count": 0, "last": 0.0, "hosts": {}})
        person["count"] += count
        person["last"] = max(person["last"], when)
        if host:
            person["hosts"][host] = max(person["hosts"].get(host, 0.0), when)
    return [
        {
            "user": name,
            "count": person["count"],
            "last": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(person["last"])) if person["last"] else "",
            "hosts": sorted(person["hosts"], key=lambda host: (-person["hosts"][host], host))[:_HOSTS],
        }
        for name, person in sorted(people.items())
    ]


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode(errors="replace")


def wtmp(path: Path, wide: bool = False) -> Iterator[Login]:
    """Logins of a wtmp file, newest records only."""
    layout = struct.Struct(_UTMP_64 if wide else _UTMP)
    if not path.exists():
        return
    with path.open("rb") as file:
        count = os.fstat(file.fileno()).st_size // layout.size
        file.seek(max(0, count - _NEWEST) * layout.size)
        for _ in range(min(count, _NEWEST)):
            raw = file.read(layout.size)
            if len(raw) < layout.size:
                return
            parts = layout.unpack(raw)
            if parts[0] == _USER_PROCESS and _text(parts[4]):
                yield _text(parts[4]), _text(parts[5]), float(parts[9])


def lastlog(base: Path, wide: bool = False) -> Iterator[Login]:
    """Last logins by uid, of the accounts in passwd: the file is sparse, so it is not read through."""
    layout = struct.Struct(_LASTLOG_64 if wide else _LASTLOG)
    path, accounts = base / "var/log/lastlog", base / "etc/passwd"
    if not path.exists() or not accounts.exists():
        return
    size = path.stat().st_size
    with path.open("rb") as file:
        for line in accounts.read_text(errors="replace").splitlines():
            parts = line.split(":")
            if len(parts) < 3 or not parts[2].isdigit() or (int(parts[2]) + 1) * layout.size > size:
                continue
            file.seek(int(parts[2]) * layout.size)
            when, _, host = layout.unpack(file.read(layout.size))
            if when:
                yield parts[0], _text(host), float(when)


def _rows(path: Path, query: str) -> list[Any]:
    """Rows of a sqlite file that is certainly not written to: neither a journal nor a lock is made."""
    if not path.exists():
        return []
    import sqlite3  # noqa: PLC0415  not in every Python; only where there is such a file

    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def wtmpdb(path: Path) -> Iterator[Login]:
    """Logins of wtmpdb(8); its times are in microseconds."""
    query = "SELECT User, RemoteHost, Login FROM wtmp WHERE Type = {} ORDER BY Login DESC LIMIT {}"
    for name, host, when in _rows(path, query.format(_WTMPDB_USER, _NEWEST)):
        yield name, host or "", when / 1_000_000


def lastlog2(path: Path) -> Iterator[Login]:
    """Last logins of lastlog2(8)."""
    for name, host, when in _rows(path, "SELECT Name, RemoteHost, Time FROM Lastlog2"):
        if when:
            yield name, host or "", float(when)
