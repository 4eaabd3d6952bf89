"""What the rules come to for playbooks (`datalab.rules`, `datalab.images`), and what the data expects to run
(`datalab.expected`), against which `rules_report` judges. Pure."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.atelier.datalab.plugins.module_utils import (
    _names,
    _rules_model,
    _rules_running,
    _rules_template,
)
from ansible_collections.atelier.datalab.plugins.module_utils._model_node import Node
from ansible_collections.atelier.datalab.plugins.module_utils._rules import OF_EXCEPTIONS

if TYPE_CHECKING:
    from ansible_collections.atelier.datalab.plugins.module_utils._model import Model


def here(model: Model, today: datetime.date, host: str | None) -> dict[str, Any]:
    """`rules`: severity and parameters here and now, for a host with its exceptions. `images`: core IT's criteria."""
    root = Node(model.data.model_dump(mode="json"))
    policy = _rules_model.policy(root, today)
    projects = [project.name for project in model.data.projects if _of(model, project.name, host)]
    subjects = [name for name in (host, *projects) if name]
    return {
        "rules": {
            name: {"severity": policy.severity(name, subjects), **policy.parameters(name)}
            for name, rule in root["rules"].entries()
            if rule.value is not None
        },
        "images": {
            key: {**image.value, "on_old": policy.severity("image_age", (key,))}
            for key, image in root["corporate"]["images"].entries()
        },
    }


def _of(model: Model, project: str, host: str | None) -> bool:
    environment = model.data.platform.environment
    return any(
        host == _names.machine_name(environment, project, machine.role, machine.number)
        for one in model.data.projects
        if one.name == project
        for machine in one.machines
    )


def expected(model: Model, stacks: list[dict[str, Any]], bastion: str) -> dict[str, Any]:
    """Everything that what runs is compared with; plain values, no secret."""
    data = model.data
    root = Node(data.model_dump(mode="json"))
    members = [member.login for member in data.members]
    return {
        "rules": {name: rule.value for name, rule in root["rules"].entries() if rule.value is not None},
        "exceptions": root["exceptions"].value,
        "subjects": sorted(_rules_model.subjects(root)),
        "stacks": [stack["name"] for stack in stacks],
        "bastion": bastion,
        "images": root["corporate"]["images"].value,
        "owners": {_names.PLATFORM: members, **{one.name: list(one.members) for one in data.projects}},
        "members": members,
        "tags": {
            **{key: sorted({stack["tags"][key] for stack in stacks}) for key in ("Project", "Environment", "Role")},
            "CostCenter": list(data.corporate.cost_centers),
            "Schedule": ["always", "none", *(one.name for one in data.corporate.schedules)],
            "Backup": ["none", *(one.name for one in data.corporate.backup_classes)],
            "ManagedBy": [_names.MANAGED_BY],
        },
        "checked": {name: places(name) for name, rule in root["rules"].entries() if rule.value is not None},
        "findings": [one.plain() for one in model.findings],
    }


def places(rule: str) -> list[str]:
    """Where a rule is checked, in the order in which it happens."""
    checked = {
        "data": _rules_model.CHECKS,
        "templates": _rules_template.CHECKS,
        "running": {check.rule for check in _rules_running.CHECKS} | {OF_EXCEPTIONS},
    }
    return [place for place, rules in checked.items() if rule in rules]
