"""Processes of the lab: known by pid, start time and boot, so that a number used again is never mistaken for ours."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
from pathlib import Path

MARK = "ATELIER_LAB_ID"


def start_time(pid: int) -> str | None:
    """Return boot and start ticks of a live process; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{boot}:{fields[19]}"


def record(path: Path, pid: int) -> None:
    """Write which process `pid` is."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"pid": pid, "started": start_time(pid)}) + "\n", encoding="utf-8")
    temporary.replace(path)


def recorded(path: Path) -> int | None:
    """Return the pid written in `path` if that very process still lives."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        pid, started = int(data["pid"]), data["started"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if started and start_time(pid) == started else None


def end(path: Path, seconds: float = 20) -> bool:
    """End the process written in `path` (first politely) and forget it; says whether it lived."""
    pid = recorded(path)
    ended = pid is not None and end_process(pid, start_time(pid), seconds)
    path.unlink(missing_ok=True)
    return ended


def end_process(pid: int, started: str | None, seconds: float) -> bool:
    """End exactly the process that `pid` was when it had start time `started`."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if started is None or start_time(pid) != started:
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            if select.select([handle], [], [], seconds)[0]:
                break
    finally:
        os.close(handle)
    return True


def marked(*variables: str) -> list[int]:
    """Return the processes whose environment holds one of these `NAME=value`, whoever is their parent now."""
    marks = {variable.encode() for variable in variables}
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if marks & set((entry / "environ").read_bytes().split(b"\0")) and start_time(int(entry.name)):
                found.append(int(entry.name))
    return sorted(found)
