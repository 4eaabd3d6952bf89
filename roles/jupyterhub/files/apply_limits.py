"""apply_limits.py: bring the slices of the projects and the running servers to the limits of settings.json.

Runs before each start of the hub, so a changed limit binds at once. Memory that would fall below what is in use is
left as it is, because the kernel would kill to get there: this is said, and the next start of the server binds it.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import datalab_limits
import datalab_servers

HERE = Path(__file__).resolve().parent
CGROUPS = Path("/sys/fs/cgroup")
UNIT = re.compile(r"jupyter-(.+)-singleuser\.service")
PROPERTIES = "Id,ActiveState,ControlGroup,MemoryMax,CPUQuotaPerSecUSec"
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}


def systemctl(*arguments: str) -> str:
    """Output of systemctl.

    :raises CalledProcessError: when it fails.
    """
    return subprocess.run(["systemctl", *arguments], check=True, capture_output=True, text=True).stdout


def show(units: list[str]) -> list[dict[str, str]]:
    """What systemd knows of units."""
    text = systemctl("show", "--property", PROPERTIES, *units) if units else ""
    return [dict(line.split("=", 1) for line in block.splitlines()) for block in text.strip().split("\n\n") if block]


def used(group: str) -> int:
    """Bytes that the processes of a control group hold, without the cache of files, which the kernel can take back."""
    for file, wanted in (
        (CGROUPS / "memory" / group[1:] / "memory.stat", {"total_rss", "total_shmem"}),
        (CGROUPS / group[1:] / "memory.stat", {"anon", "shmem"}),
    ):
        if group and file.exists():
            lines = (line.split() for line in file.read_text(encoding="ascii").splitlines())
            return sum(int(value) for name, value in lines if name in wanted)
    return 0


def cpu_of(text: str) -> float | None:
    """Processors from CPUQuotaPerSecUSec (such as `1s 500ms`); None for infinity."""
    parts = re.findall(r"([0-9.]+)(us|ms|s|min)", text)
    return sum(float(number) * SECONDS[unit] for number, unit in parts) if parts else None


def changes(now: dict[str, str], wanted: dict[str, Any]) -> tuple[list[str], str]:
    """Properties to set on a unit, and what to say of memory that must wait."""
    said, todo = "", []
    if now["MemoryMax"] != str(wanted["memory"] or "infinity"):
        busy = used(now["ControlGroup"])
        if wanted["memory"] and busy > 0.95 * wanted["memory"]:
            new = f"its new limit is {wanted['memory'] >> 20} MiB"
            said = f"uses {busy >> 20} MiB, {new}: set at its next start, or the hub's"
        else:
            todo += [f"MemoryMax={wanted['memory'] or 'infinity'}", "MemorySwapMax=0"]
    if cpu_of(now["CPUQuotaPerSecUSec"]) != wanted["cpu"]:
        todo.append(f"CPUQuota={wanted['cpu'] * 100:g}%" if wanted["cpu"] else "CPUQuota=")
    return todo, said


def turn(now: dict[str, str], wanted: dict[str, Any]) -> int:
    """When a unit has its turn: a server may never have more processors than the slice around it."""
    if now["Id"].endswith(".slice"):
        return 1
    return 0 if (wanted["cpu"] or math.inf) < (cpu_of(now["CPUQuotaPerSecUSec"]) or math.inf) else 2


def wishes(settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Limits by unit: each project's slice and each server that runs."""
    wanted = {datalab_limits.slice_name(p["name"]): datalab_limits.total(p) for p in settings["projects"]}
    servers = systemctl("list-units", "--plain", "--no-legend", "--state=active", "jupyter-*-singleuser.service")
    for line in servers.splitlines():
        login = UNIT.fullmatch(line.split()[0])[1]
        try:
            projects = datalab_servers.projects_of(login, settings)
        except KeyError:  # the account is gone, and the hub ends its server
            continue
        wanted[line.split()[0]] = datalab_limits.limits(login, projects, settings)
    return wanted


def main() -> int:
    """Set what differs; return the number of units that could not be set."""
    wanted = wishes(json.loads((HERE / "settings.json").read_text(encoding="utf-8")))
    failed = 0
    for now in sorted(show(list(wanted)), key=lambda now: turn(now, wanted[now["Id"]])):
        todo, said = changes(now, wanted[now["Id"]])
        if said:
            sys.stdout.write(f"{now['Id']} {said}\n")
        if not todo:
            continue
        try:
            systemctl("set-property", "--runtime", now["Id"], *todo)
            sys.stdout.write(f"{now['Id']}: {', '.join(todo)}\n")
        except subprocess.CalledProcessError as error:
            failed += 1
            sys.stderr.write(f"{now['Id']}: {error.stderr.strip()}\n")
    return failed


if __name__ == "__main__":
    sys.exit(min(main(), 1))
