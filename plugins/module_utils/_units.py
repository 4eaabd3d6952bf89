"""Pure logic of units: what systemctl shows, and whether a unit runs what is on the disk."""

from __future__ import annotations


def read_states(text: str) -> dict[str, dict[str, str]]:
    """Properties by unit from ``systemctl show`` of several units (blocks parted by an empty line)."""
    states = {}
    for block in text.strip().split("\n\n"):
        properties = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        states[properties["Id"]] = properties
    return states


def started_at(properties: dict[str, str]) -> float:
    """Seconds since 1970 at which the unit last became active, 0 when it never did.

    >>> started_at({"ActiveEnterTimestamp": "@1700000000"})
    1700000000.0
    """
    stamp = properties.get("ActiveEnterTimestamp", "")
    return float(stamp[1:]) if stamp.startswith("@") else 0.0


def verdict(properties: dict[str, str], newest: float, restart: bool) -> tuple[str, str]:
    """What to do with a unit ("", "start" or "restart") and why.

    :param newest: time of the newest file that the unit reads. systemd's stamp has whole seconds, so a file of
        the same second as the start counts as read: the unit is started after its files are written.
    """
    if restart:
        return "restart", "its files change"
    if properties.get("ActiveState") not in ("active", "activating", "reloading"):
        return "start", f"it is {properties.get('ActiveState', 'unknown')}"
    if int(newest) > started_at(properties):
        return "restart", "a file is newer than its start"
    return "", ""
