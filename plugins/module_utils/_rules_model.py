"""Core IT's rules on the data, before anything is made: what it breaks, and what that leads to here. Pure."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _model_checks, _names
from ansible_collections.atelier.datalab.plugins.module_utils._model_node import Node
from ansible_collections.atelier.datalab.plugins.module_utils._model_offences import Offence
from ansible_collections.atelier.datalab.plugins.module_utils._rules import (
    OF_EXCEPTIONS,
    Breach,
    Finding,
    Policy,
    is_world,
)

WARN_DAYS = 30  # before a flow ends, where the data does not say
# What only AWS can tell whether it exists; `rules_report` looks.
_ELSEWHERE = re.compile(r"(?:i|vol|sg|eni|eipalloc|lt|ami)-[0-9a-f]{8,17}|arn:\S+")


def policy(root: Node, today: datetime.date) -> Policy:
    """The rules as the data has them, in its environment."""
    return Policy(root["rules"], root["exceptions"], root["platform"]["environment"].text or "", today)


def judge(data: Any, today: datetime.date) -> list[Finding]:
    """What the data breaks of the rules that are checked on it."""
    root = Node(data)
    held = policy(root, today)
    found: list[Finding] = []
    for check in CHECKS.values():
        found += held.settle(check(root, held))
    return found


def offence(finding: Finding) -> Offence:
    """A finding in the words of the model's other faults."""
    one, granted = finding.breach, finding.exception
    note = f"exception {granted['ticket']} of {granted['owner']} until {granted['expires']}" if granted else ""
    return Offence(one.path, one.value, one.wrong, one.remedy, one.rule, note)


def subjects(root: Node) -> set[str]:
    """Everything of the data that an exception may name."""
    environment = root["platform"]["environment"].text or ""
    named = {node.text for kind in ("projects", "flows") for one in root[kind] if (node := one["name"]).text}
    named |= {name for name, _ in root["corporate"]["images"].entries()}
    named |= root["corporate"]["networks"].texts()
    named |= {name for pair in _model_checks.machines(root) if (name := _model_checks.name_of(root, *pair))}
    return {name for name in named if name} | {_names.machine_name(environment, _names.PLATFORM, "bastion", 1)}


def _breach(rule: str, node: Node, subjects: tuple[str | None, ...], wrong: str, remedy: str) -> Breach:
    named = tuple(name for name in subjects if name) or (node.key,)
    return Breach(rule, named, wrong, remedy, node.path, node.value)


def _open_world(root: Node, _policy: Policy) -> Iterator[Breach]:
    wrong = "is the whole Internet or a large part of it"
    for flow in root["flows"]:
        for side in ("source", "destination"):
            if is_world(flow[side].text):
                instead = "write the networks that need it; outgoing traffic goes through the company's mirrors"
                yield _breach("open_world", flow[side], (flow["name"].text,), wrong, instead)
    for network in root["corporate"]["networks"]:
        if is_world(network.text):
            instead = "write the networks members and ops come from"
            yield _breach("open_world", network, (network.text,), wrong, instead)


def _flow_expired(root: Node, policy: Policy) -> Iterator[Breach]:
    for flow in root["flows"]:
        date = flow["expires"].date
        if date and date < policy.today:
            wrong = f"has passed ({(policy.today - date).days} days ago)"
            instead = "the flow is closed; have it extended and write the new date, or remove the flow"
            yield _breach("flow_expired", flow["expires"], (flow["name"].text,), wrong, instead)
        elif date and (left := (date - policy.today).days) <= warn_days(policy):
            wrong = f"ends in {left} day{'s' if left != 1 else ''}" if left else "ends today"
            instead = "the next run after that day closes the flow; have it extended now and write the new date"
            one = _breach("flow_expired", flow["expires"], (flow["name"].text,), wrong, instead)
            yield dataclasses.replace(one, ahead=True)


def warn_days(policy: Policy) -> int:
    """How many days ahead the end of a flow is warned of."""
    days = policy.parameter("flow_expired", "warn_days")
    return days if type(days) is int else WARN_DAYS


def _naming(root: Node, policy: Policy) -> Iterator[Breach]:
    node = policy.rules["naming"]["pattern"]
    try:
        compiled = re.compile(node.text or ".*")
    except re.error as error:
        wrong = f"is not a regular expression ({error})"
        yield _breach("naming", node, ("naming",), wrong, "write a pattern Python takes")
        return
    for project, machine in _model_checks.machines(root):
        name = _model_checks.name_of(root, project, machine)
        if name and not compiled.fullmatch(name):
            wrong = f"makes the name {name}, which does not match {node.text}"
            yield _breach("naming", machine["role"], (name, project["name"].text), wrong, "rename project or role")


def _mandatory_tags(root: Node, policy: Policy) -> Iterator[Breach]:
    also = [node.text for node in policy.rules["mandatory_tags"]["also"] if node.text]
    for project in root["projects"]:
        missing = [key for key in also if not project["tags"][key].text]
        if missing:
            wrong, instead = f"lack {', '.join(missing)}", f"add {missing[0]}: and a value under tags"
            yield _breach("mandatory_tags", project["tags"], (project["name"].text,), wrong, instead)


def _backup_present(root: Node, _policy: Policy) -> Iterator[Breach]:
    for project in root["projects"]:
        if project["machines"].value and project["backup"].value in (None, "none"):
            wrong, instead = "leaves the machines without backup", "name a backup class, for example daily"
            yield _breach("backup_present", project["backup"], (project["name"].text,), wrong, instead)


def _schedule_present(root: Node, _policy: Policy) -> Iterator[Breach]:
    for project in root["projects"]:
        if project["machines"].value and project["schedule"].value is None:
            wrong = "leaves the machines running for ever"
            instead = "name a schedule, for example office (always if they must)"
            yield _breach("schedule_present", project["schedule"], (project["name"].text,), wrong, instead)


def _exception_current(root: Node, policy: Policy) -> Iterator[Breach]:
    named = {one["subject"].text for one in root["exceptions"] if _ELSEWHERE.fullmatch(one["subject"].text or "")}
    yield from policy.stale(subjects(root) | {name for name in named if name})


CHECKS: dict[str, Callable[[Node, Policy], Iterator[Breach]]] = {
    "open_world": _open_world,
    "flow_expired": _flow_expired,
    "naming": _naming,
    "mandatory_tags": _mandatory_tags,
    "backup_present": _backup_present,
    "schedule_present": _schedule_present,
    OF_EXCEPTIONS: _exception_current,
}
