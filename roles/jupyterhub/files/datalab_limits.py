"""Which limits bind a member's server. Pure: who is in which project is given.

Memory and processors are looked up apart, each at the first place that states it:
the member (a project's `limits.members`), a group of the platform, the project, the default.
Where several groups or projects state one, the largest counts. What is left over is capped by the project's total.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGT]?)")


def size(text: str | int) -> int:
    """Bytes of a size as systemd writes it (base 1024).

    :raises ValueError: when it is none, or nothing.
    >>> size("1.5G"), size(4096)
    (1610612736, 4096)
    """
    found = SIZE.fullmatch(str(text))
    if not found or not float(found[1]):
        raise ValueError(f"{text!r} is no size; write a number with K, M, G or T, such as 800M")
    return int(float(found[1]) * UNITS[found[2]])


def processors(number: float | str) -> float:
    """Processors; 0.5 is half of one.

    :raises ValueError: when it is no positive number.
    """
    try:
        found = float(number)
    except (TypeError, ValueError):
        found = 0.0
    if not (found > 0 and math.isfinite(found)):
        raise ValueError(f"{number!r} is no number of processors; write a number above 0, such as 1.5")
    return found


READ = {"memory": size, "cpu": processors}


def _largest(kind: str, places: Iterable[dict[str, Any] | None]) -> Any:
    """The largest value that any of some places states; None when none does."""
    return max((READ[kind](place[kind]) for place in places if place and place.get(kind)), default=None)


def _of_project(project: dict[str, Any]) -> dict[str, Any]:
    return project.get("limits") or {}


def slice_name(project: str) -> str:
    """The slice of a project's servers. A hyphen would nest it in another project's slice.

    >>> slice_name("my-lab")
    'datalab-my_lab.slice'
    """
    return f"datalab-{project.replace('-', '_')}.slice"


def total(project: dict[str, Any]) -> dict[str, Any]:
    """Limits of all servers of a project together: memory in bytes, cpu in processors; None is without limit."""
    stated = _of_project(project).get("total")
    return {kind: _largest(kind, [stated]) for kind in READ}


def limits(login: str, projects: list[dict[str, Any]], settings: dict[str, Any]) -> dict[str, Any]:
    """What binds the server of a member.

    :param projects: the projects of this machine that the member is in.
    :returns: memory (bytes), cpu (processors), slice (of the project that allows most memory; "" without a project).
    """
    groups = [g for g in settings["groups"] if login in g["members"]]
    # Of several projects the one that gives most memory takes the server in; the first by name among equals.
    home = max(
        sorted(projects, key=lambda p: p["name"]),
        key=lambda p: _largest("memory", [_of_project(p)]) or size(settings["memory_limit"]),
        default=None,
    )
    found = {}
    for kind in READ:
        steps = (
            [(_of_project(p).get("members") or {}).get(login) for p in projects],
            groups,
            [_of_project(p) for p in projects],
            [{"memory": settings["memory_limit"], "cpu": settings["cpu_limit"]}],
        )
        value = next(v for v in (_largest(kind, step) for step in steps) if v is not None)
        ceiling = total(home)[kind] if home else None
        found[kind] = value if ceiling is None else min(value, ceiling)
    return {**found, "slice": slice_name(home["name"]) if home else ""}


def faults(settings: dict[str, Any]) -> list[str]:
    """Everything that is wrong with the limits, in words."""
    said = []

    def look(where: str, place: dict[str, Any] | None) -> None:
        for kind, read in READ.items():
            if place and place.get(kind):
                try:
                    read(place[kind])
                except ValueError as error:
                    said.append(f"{where}.{kind}: {error}")

    look("default", {"memory": settings["memory_limit"], "cpu": settings["cpu_limit"]})
    for group in settings["groups"]:
        look(f"group {group['name']}", group)
    for project in settings["projects"]:
        stated = _of_project(project)
        look(f"project {project['name']}: limits", stated)
        look(f"project {project['name']}: limits.total", stated.get("total"))
        for login, mine in (stated.get("members") or {}).items():
            look(f"project {project['name']}: limits.members.{login}", mine)
    return said
