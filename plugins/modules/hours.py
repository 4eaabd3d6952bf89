#!/usr/bin/python
"""Start and stop machines by their schedules."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hours
short_description: Start and stop machines by their schedules
version_added: 0.1.0
description:
  - Compares the instances of an environment with the schedule that their tag C(Schedule) names, and starts or stops
    those that differ.
  - Decides on the state that should be, so a missed run is caught up by the next; what somebody started or stopped by
    hand since the last boundary of the hours is left alone until the next one.
  - Never stops the bastion. A machine without a known schedule is left alone and reported.
  - Orders and does not wait; the next run tells what came of it.
options:
  environment:
    description: Value of the tag C(Environment) of the machines.
    type: str
    required: true
  schedules:
    description: The schedules, as in C(corporate.schedules).
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: What the tag C(Schedule) says., type: str, required: true}
      timezone: {description: IANA time zone., type: str, required: true}
      periods:
        description: When machines run; C(days), and C(begin), C(end) or both; C(overnight) where it ends the next day.
        type: list
        elements: dict
        required: true
  extensions:
    description: Machines that run until an instant whatever their hours say.
    type: list
    elements: dict
    default: []
    suboptions:
      machine: {description: Name of the machine., type: str, required: true}
      start: {description: Begin of the extension in ISO 8601 with its zone., type: str, required: true}
      until: {description: End of the extension in ISO 8601 with its zone., type: str, required: true}
      by: {description: Who asked., type: str, default: ""}
      reason: {description: What for., type: str, default: ""}
  now:
    description: The instant to decide for, in ISO 8601 with its zone. The present where it is left out.
    type: str
extends_documentation_fragment:
  - atelier.datalab.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author: [Atelier Datalab]
"""

EXAMPLES = r"""
- name: Start and stop what the hours ask for
  atelier.datalab.hours:
    environment: preprod
    region: eu-west-1
    schedules: "{{ corporate.schedules }}"

- name: Show what would happen on Saturday at noon
  atelier.datalab.hours:
    environment: preprod
    region: eu-west-1
    schedules: "{{ corporate.schedules }}"
    now: "2027-03-06T12:00:00+01:00"
  check_mode: true
"""

RETURN = r"""
machines:
  description: One entry per instance, by name.
  returned: success
  type: list
  elements: dict
  contains:
    id: {description: Instance id., type: str}
    name: {description: Tag Name., type: str}
    schedule: {description: Tag Schedule., type: str}
    state: {description: State before this run., type: str}
    action: {description: "C(start), C(stop) or C(none).", type: str}
    reason: {description: Why., type: str}
lines:
  description: The same as aligned lines for people.
  returned: success
  type: list
  elements: str
now:
  description: The instant the decision is for.
  returned: success
  type: str
"""

import datetime
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.atelier.datalab.plugins.module_utils import _aws, _hours, _hours_rows, _names

STATES = ["pending", "running", "stopping", "stopped"]


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=_arguments(), supports_check_mode=True)
    try:
        now = _instant(module.params["now"]) or datetime.datetime.now(tz=datetime.UTC)
        schedules = {one["name"]: _hours.read_schedule(one) for one in module.params["schedules"]}
        extensions = _extensions(module.params["extensions"])
    except (KeyError, ValueError) as error:
        module.fail_json(
            msg=f"schedules, extensions or now cannot be read: {error}. The model checks them: run it first."
        )
    try:
        ec2 = _aws.client(module, "ec2")
        rows = _hours_rows.plan(_instances(ec2, module.params["environment"]), schedules, now, extensions)
    except _aws.AWS_ERRORS as error:
        module.fail_json(msg=f"Machines cannot be listed: {_aws.sentence(error)}")
    failures = [] if module.check_mode else [problem for row in rows if (problem := _act(ec2, row))]
    result = {
        "changed": any(row["action"] != "none" for row in rows),
        "machines": rows,
        "lines": _hours_rows.table(rows),
        "now": now.isoformat(),
        "diff": _diff(rows),
    }
    if failures:
        module.fail_json(msg="\n".join(failures), **result)
    module.exit_json(**result)


def _arguments() -> dict[str, Any]:
    return {
        "environment": {"type": "str", "required": True},
        "schedules": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "timezone": {"type": "str", "required": True},
                "periods": {"type": "list", "elements": "dict", "required": True},
            },
        },
        "extensions": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "machine": {"type": "str", "required": True},
                "start": {"type": "str", "required": True},
                "until": {"type": "str", "required": True},
                "by": {"type": "str", "default": ""},
                "reason": {"type": "str", "default": ""},
            },
        },
        "now": {"type": "str"},
    }


def _instant(text: str | None) -> datetime.datetime | None:
    if not text:
        return None
    instant = datetime.datetime.fromisoformat(text)
    if instant.utcoffset() is None:
        msg = f"{text} has no zone, write it as 2027-03-06T12:00:00+01:00"
        raise ValueError(msg)
    return instant


def _extensions(entries: list[dict[str, str]]) -> dict[str, list[_hours.Extension]]:
    found: dict[str, list[_hours.Extension]] = {}
    for one in entries:
        start, until = _instant(one["start"]), _instant(one["until"])
        if start is None or until is None or start >= until:
            msg = f"the extension of {one['machine']} does not end after it starts"
            raise ValueError(msg)
        found.setdefault(one["machine"], []).append(_hours.Extension(start, until, one["by"], one["reason"]))
    return found


def _instances(ec2: Any, environment: str) -> list[dict[str, Any]]:
    filters = [
        {"Name": "tag:Environment", "Values": [environment]},
        {"Name": "tag:ManagedBy", "Values": [_names.MANAGED_BY]},
        {"Name": "instance-state-name", "Values": STATES},
    ]
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    return [instance for page in pages for one in page["Reservations"] for instance in one["Instances"]]


def _act(ec2: Any, row: dict[str, str]) -> str | None:
    """One call per machine, so that one that cannot start keeps no other from starting."""
    order = {"start": "start_instances", "stop": "stop_instances"}.get(row["action"])
    if order is None:
        return None
    try:
        getattr(ec2, order)(InstanceIds=[row["id"]])
    except _aws.AWS_ERRORS as error:
        return f"{row['name']} ({row['id']}): could not {row['action']}: {_aws.sentence(error)}"
    return None


def _diff(rows: list[dict[str, str]]) -> dict[str, str]:
    after = {"start": "running", "stop": "stopped"}
    return {
        "before": "".join(f"{row['name']}: {row['state']}\n" for row in rows),
        "after": "".join(f"{row['name']}: {after.get(row['action'], row['state'])}\n" for row in rows),
    }


if __name__ == "__main__":
    main()
