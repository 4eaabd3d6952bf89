"""What a host can tell about itself for the rules: core IT's marker, when it last took updates. Reads files only."""

from __future__ import annotations

import datetime
import gzip
import json
import re
from pathlib import Path
from typing import Any

_UPGRADE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) upgrade ", re.MULTILINE)
# Debian's apt.systemd.daily touches it after each unattended-upgrade that succeeded, also one that found nothing to do.
_STAMP = "var/lib/apt/periodic/upgrade-stamp"
_SHOWN = 200  # characters of a marker that is none


def marker(path: Path) -> Any:
    """The marker's content; its text where that is no JSON, None where there is none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text[:_SHOWN]


def patched(root: Path = Path("/")) -> dict[str, str] | None:
    """When packages were last upgraded, or looked for in vain, and how that is known; None where nothing tells."""
    found = []
    if upgraded := _last_upgrade(root / "var/log"):
        found.append((upgraded, "dpkg.log"))
    stamp = root / _STAMP
    if stamp.exists():
        ran = datetime.datetime.fromtimestamp(stamp.stat().st_mtime, tz=datetime.UTC)
        found.append((ran, "unattended-upgrade"))
    if not found:
        return None
    when, source = max(found)
    return {"when": when.isoformat(timespec="seconds"), "source": source}


def _last_upgrade(folder: Path) -> datetime.datetime | None:
    """From the newest log that has one; logrotate numbers them upwards with age."""
    logs = sorted(folder.glob("dpkg.log*"), key=lambda path: int("".join(filter(str.isdigit, path.name)) or 0))
    for log in logs:
        content = gzip.decompress(log.read_bytes()) if log.suffix == ".gz" else log.read_bytes()
        times = _UPGRADE.findall(content.decode(errors="replace"))
        if times:
            # The log has the host's own time, and no zone.
            return datetime.datetime.fromisoformat(max(times)).astimezone()
    return None
