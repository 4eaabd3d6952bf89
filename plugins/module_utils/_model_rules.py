"""Core IT's rules: which exist, where each is checked, and what the data breaks of those checked on the data. Pure.

A rule has a severity per environment (rules.yml): off, warn or refuse.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _model_checks
from ansible_collections.atelier.datalab.plugins.module_utils._model_node import Node
from ansible_collections.atelier.datalab.plugins.module_utils._model_offences import Offence

# Outside lab these hold whatever rules.yml says: weakening them there is itself a fault.
ABSOLUTE = ("approved_image", "encryption", "imdsv2", "public_address")


def judge(data: Any, today: datetime.date) -> tuple[list[Offence], list[Offence]]:
    """What the data breaks: (refused, warned about)."""
    root = Node(data)
    refused: list[Offence] = list(_weakened(root))
    warned: list[Offence] = []
    for rule, find in EVALUATED.items():
        severity = severity_of(root, rule)
        if severity == "off":
            continue
        target = warned if severity == "warn" else refused
        target += [Offence(one.path, one.value, one.why, one.instead, rule) for one in find(root, today)]
    return refused, warned


def severity_of(root: Node, rule: str) -> str:
    """A rule nobody set, or set wrongly, refuses."""
    severity = root["rules"][rule]["severity"].text
    return severity if severity in ("off", "warn", "refuse") else "refuse"


def _weakened(root: Node) -> Iterator[Offence]:
    environment = root["platform"]["environment"].text
    for rule in (*ABSOLUTE, "open_world"):
        node = root["rules"][rule]["severity"]
        if node.text in ("off", "warn") and (rule == "open_world" or environment != "lab"):
            where = "anywhere" if rule == "open_world" else "outside lab"
            yield node.wrong(f"is too weak for {rule}, which may not be broken {where}", "write refuse")


def _open_world(root: Node, _today: datetime.date) -> Iterator[Offence]:
    instead = "write the networks that need it; outgoing traffic goes through the company's mirrors"
    for flow in root["flows"]:
        for side in ("source", "destination"):
            if _is_world(flow[side].text):
                yield flow[side].wrong("is the whole Internet or a large part of it", instead)
    for network in root["corporate"]["networks"]:
        if _is_world(network.text):
            yield network.wrong(
                "is the whole Internet or a large part of it", "write the networks members and ops come from"
            )


def _is_world(text: str | None) -> bool:
    """A /0, or half of it: two /1 are how people get round a rule."""
    found = re.fullmatch(r"[0-9.]+/(\d+)", text or "")
    return found is not None and int(found[1]) < 8


def _flow_expired(root: Node, today: datetime.date) -> Iterator[Offence]:
    for flow in root["flows"]:
        date = flow["expires"].date
        if date and date < today:
            yield flow["expires"].wrong(
                f"has passed ({(today - date).days} days ago)",
                "the flow is closed; have it extended and write the new date, or remove the flow",
            )


def _naming(root: Node, _today: datetime.date) -> Iterator[Offence]:
    pattern = root["rules"]["naming"]["pattern"].text
    try:
        compiled = re.compile(pattern or ".*")
    except re.error as error:
        yield root["rules"]["naming"]["pattern"].wrong(
            f"is not a regular expression ({error})", "write a pattern Python takes"
        )
        return
    for project, machine in _model_checks.machines(root):
        name = _model_checks.name_of(root, project, machine)
        if name and not compiled.fullmatch(name):
            yield machine["role"].wrong(
                f"makes the name {name}, which does not match {pattern}", "rename project or role"
            )


def _mandatory_tags(root: Node, _today: datetime.date) -> Iterator[Offence]:
    also = [node.text for node in root["rules"]["mandatory_tags"]["also"] if node.text]
    for project in root["projects"]:
        missing = [key for key in also if not project["tags"][key].text]
        if missing:
            yield project["tags"].wrong(f"lack {', '.join(missing)}", f"add {missing[0]}: and a value under tags")


def _backup_present(root: Node, _today: datetime.date) -> Iterator[Offence]:
    for project in root["projects"]:
        if project["machines"].value and project["backup"].value in (None, "none"):
            yield project["backup"].wrong(
                "leaves the machines without backup", "name a backup class, for example daily"
            )


def _schedule_present(root: Node, _today: datetime.date) -> Iterator[Offence]:
    for project in root["projects"]:
        if project["machines"].value and project["schedule"].value is None:
            yield project["schedule"].wrong(
                "leaves the machines running for ever", "name a schedule, for example office (always if they must)"
            )


EVALUATED: dict[str, Callable[[Node, datetime.date], Iterator[Offence]]] = {
    "open_world": _open_world,
    "flow_expired": _flow_expired,
    "naming": _naming,
    "mandatory_tags": _mandatory_tags,
    "backup_present": _backup_present,
    "schedule_present": _schedule_present,
}
# Checked where their facts are: on the images found, in the stacks' templates, on the hosts.
ELSEWHERE = ("approved_image", "image_age", "public_address", "imdsv2", "encryption")
