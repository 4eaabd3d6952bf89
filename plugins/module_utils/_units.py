"""Pure logic of units: what systemctl shows, and whether a unit runs what is on the disk."""

from __future__ import annotations

import datetime


def read_states(text: str) -> dict[str, dict[str, str]]:
    """Properties by unit from ``systemctl show`` of several units (blocks parted by an empty line)."""
    states = {}
    for block in text.strip().split("\n\n"):
        properties = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        states[properties["Id"]] = properties
    return states


def started_at(properties: dict[str, str]) -> float:
    """Seconds since 1970 at which the unit last began to run its program, 0 when it never did.

    A unit may become active long after its program has read its files; a timer has no program.

    >>> started_at({"ExecMainStartTimestamp": "Thu 1970-01-01 00:00:01.500000 UTC"})
    1.5
    """
    for name in ("ExecMainStartTimestamp", "ActiveEnterTimestamp"):
        if stamp := properties.get(name):
            return datetime.datetime.strptime(f"{stamp}+0000", "%a %Y-%m-%d %H:%M:%S.%f UTC%z").timestamp()
    return 0.0


def verdict(properties: dict[str, str], newest: float, restart: bool) -> tuple[str, str]:
    """What to do with a unit ("", "start" or "restart") and why.

    :param newest: time of the newest file that the unit reads.
    """
    if restart:
        return "restart", "its files change"
    if properties.get("ActiveState") not in ("active", "activating", "reloading"):
        return "start", f"it is {properties.get('ActiveState', 'unknown')}"
    if newest > started_at(properties):
        return "restart", "a file is newer than its start"
    return "", ""
