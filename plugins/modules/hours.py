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
  - Orders in batches and does not wait; one that AWS refuses blocks no other; the next run tells what came of it.
options:
  environment:
    description: Value of the tag C(Environment) of the machines.
    type: str
    required: true
  schedules:
    description: The schedules, as in C(corporate.schedules); docs/howto/hours.md has their fields.
    type: list
    elements: dict
    required: true
  calendar:
    description: Holidays, company days and freezes, as in C(corporate.calendar).
    type: dict
    default: {}
  rules:
    description: What members may ask for and what a busy machine is given, as in C(corporate.hours).
    type: dict
    default: {}
  kinds:
    description:
      - What has hours. C(rds) are databases and their clusters, C(asg) Auto Scaling groups.
      - What cannot be listed, other than instances, is a warning.
    type: list
    elements: str
    choices: [ec2, rds, asg]
    default: [ec2]
  extensions:
    description: Machines that run until an instant whatever their hours say, within C(rules.extensions).
    type: list
    elements: dict
    default: []
    suboptions:
      machine: {description: Name of the machine., type: str, required: true}
      start: {description: Begin of the extension in ISO 8601 with its zone., type: str, required: true}
      until: {description: End of the extension in ISO 8601 with its zone., type: str, required: true}
      by: {description: Who asked., type: str, default: ""}
      reason: {description: What for., type: str, default: ""}
  reports:
    description: What the probes on the machines said last, for C(rules.busy).
    type: list
    elements: dict
    default: []
    suboptions:
      machine: {description: Name of the machine., type: str, required: true}
      at: {description: When it said so in ISO 8601 with its zone., type: str, required: true}
      busy: {description: Whether it is busy., type: bool, required: true}
      signs: {description: What is busy., type: list, elements: str, default: []}
      cpu: {description: Use of the processor in percent as seen from outside., type: float}
  history:
    description:
      - File that keeps what was ordered, deferred and announced, one JSON object a line; read first, then added to.
      - Without it a deferral is not remembered, and a start of its own may look like one by hand.
    type: path
  c7n_tag:
    description: Tag with hours of Cloud Custodian, read on what has no tag C(Schedule).
    type: str
    default: maid_offhours
  now:
    description: The instant to decide for, in ISO 8601 with its zone. The present where it is left out.
    type: str
requirements:
  - holidays, where O(calendar) names a country
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
    calendar: "{{ corporate.calendar }}"
    rules: "{{ corporate.hours }}"
    kinds: [ec2, rds, asg]
    now: "2027-03-06T12:00:00+01:00"
  check_mode: true
"""

RETURN = r"""
machines:
  description: One entry per instance, database, cluster and group, by name.
  returned: success
  type: list
  elements: dict
  contains:
    id: {description: Its id; the name of a database or group., type: str}
    kind: {description: "C(ec2), C(rds), C(cluster) or C(asg).", type: str}
    name: {description: Tag Name., type: str}
    schedule: {description: Tag Schedule., type: str}
    state: {description: State before this run., type: str}
    action: {description: "C(start), C(stop) or C(none).", type: str}
    reason: {description: Why., type: str}
    instance_type: {description: What it becomes when it starts., type: str}
    hibernate: {description: Whether it hibernates., type: bool}
    deferred_until: {description: When a busy one is looked at again., type: str}
    error: {description: What AWS answered where it refused., type: str}
notices:
  description: Warnings that are due before stops, with the text for the machine's users. Somebody else sends them.
  returned: success
  type: list
  elements: dict
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
from pathlib import Path
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.atelier.datalab.plugins.module_utils import (
    _aws,
    _hours_api,
    _hours_busy,
    _hours_calendar,
    _hours_extensions,
    _hours_history,
    _hours_notices,
    _hours_rows,
    _hours_tags,
)


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=_arguments(), supports_check_mode=True)
    clients: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in clients:
            clients[service] = _aws.client(module, service)
        return clients[service]

    now, schedules, known, lines = _read(module)
    try:
        subjects, gaps = _hours_api.subjects(client, module.params["environment"], module.params["kinds"])
        if names := {name for one in schedules.values() for name in one.maintenance_windows}:
            known.windows.update(_hours_api.windows(client("ssm"), names, now))
    except _aws.AWS_ERRORS as error:
        module.fail_json(msg=f"Machines or maintenance windows cannot be listed: {_aws.sentence(error)}")
    subjects, schedules = _hours_tags.adopted(subjects, schedules, module.params["c7n_tag"])
    rows = _hours_rows.plan(subjects, schedules, now, known=known)
    notices = _hours_notices.notices(rows, subjects, schedules, now, known)
    failures = [] if module.check_mode else _hours_api.act(client, rows)
    _keep(module, now, rows, notices, lines)
    for gap in gaps:
        module.warn(gap)
    result = {
        "changed": any(row["action"] != "none" for row in rows),
        "machines": rows,
        "notices": notices,
        "lines": _hours_rows.table(rows),
        "now": now.isoformat(),
        "diff": _diff(rows),
    }
    if failures:
        module.fail_json(msg="\n".join(failures), **result)
    module.exit_json(**result)


def _read(
    module: AnsibleAWSModule,
) -> tuple[datetime.datetime, dict[str, Any], _hours_rows.Known, list[dict[str, Any]]]:
    """The instant, the schedules, what is known beside AWS's lists, the lines of the history."""
    params, path = module.params, module.params["history"]
    try:
        now = instant(params["now"]) or datetime.datetime.now(tz=datetime.UTC)
        schedules = _hours_calendar.read(params["schedules"], params["calendar"])
        known, lines = _known(params, now)
        if path and not module.check_mode:
            _hours_history.append(Path(path), [])  # what cannot be kept is not begun
    except OSError as error:
        module.fail_json(msg=f"The history cannot be kept, so nothing was ordered: {error}")
    except (KeyError, ValueError, _hours_calendar.CalendarError) as error:
        module.fail_json(
            msg=f"schedules, calendar, extensions, reports or now cannot be read: {error}. "
            "The model checks them: run it first."
        )
    return now, schedules, known, lines


def _keep(
    module: AnsibleAWSModule,
    now: datetime.datetime,
    rows: list[dict[str, Any]],
    notices: list[dict[str, Any]],
    lines: list[dict[str, Any]],
) -> None:
    if module.params["history"] and not module.check_mode:
        warned = [notice | {"at": now.isoformat(), "action": "warn"} for notice in notices]
        done = _hours_history.of_rows(rows, now, _hours_history.deferred(lines))
        _hours_history.append(Path(module.params["history"]), done + warned)


def _arguments() -> dict[str, Any]:
    extension = {key: {"type": "str", "required": True} for key in ("machine", "start", "until")}
    extension |= {key: {"type": "str", "default": ""} for key in ("by", "reason")}
    report = {
        "machine": {"type": "str", "required": True},
        "at": {"type": "str", "required": True},
        "busy": {"type": "bool", "required": True},
        "signs": {"type": "list", "elements": "str", "default": []},
        "cpu": {"type": "float"},
    }
    return {
        "environment": {"type": "str", "required": True},
        "schedules": {"type": "list", "elements": "dict", "required": True},
        "calendar": {"type": "dict", "default": {}},
        "rules": {"type": "dict", "default": {}},
        "kinds": {"type": "list", "elements": "str", "choices": ["ec2", "rds", "asg"], "default": ["ec2"]},
        "extensions": {"type": "list", "elements": "dict", "default": [], "options": extension},
        "reports": {"type": "list", "elements": "dict", "default": [], "options": report},
        "history": {"type": "path"},
        "c7n_tag": {"type": "str", "default": "maid_offhours"},
        "now": {"type": "str"},
    }


def instant(text: str | None) -> datetime.datetime | None:
    """An instant that says its zone."""
    if not text:
        return None
    found = datetime.datetime.fromisoformat(text)
    if found.utcoffset() is None:
        msg = f"{text} has no zone, write it as 2027-03-06T12:00:00+01:00"
        raise ValueError(msg)
    return found


def _known(params: dict[str, Any], now: datetime.datetime) -> tuple[_hours_rows.Known, list[dict[str, Any]]]:
    """What is known beside AWS's lists, and the lines of the history."""
    path = Path(params["history"]) if params["history"] else None
    text = path.read_text(encoding="utf-8", errors="replace") if path and path.is_file() else ""
    lines = list(_hours_history.read(text))
    reports = {
        one["machine"]: _hours_busy.Report(instant(one["at"]) or now, one["busy"], tuple(one["signs"]), one["cpu"])
        for one in params["reports"]
    }
    known = _hours_rows.Known(
        extensions=_hours_extensions.read(params["extensions"], params["rules"].get("extensions")),
        windows={},
        orders=_hours_history.orders(lines, now),
        reports=reports,
        deferred=_hours_history.deferred(lines),
        rule=_hours_busy.read_rule(params["rules"].get("busy")),
        sent=_hours_history.sent(lines),
    )
    return known, lines


def _diff(rows: list[dict[str, str]]) -> dict[str, str]:
    after = {"start": "running", "stop": "stopped"}
    return {
        "before": "".join(f"{row['name']}: {row['state']}\n" for row in rows),
        "after": "".join(f"{row['name']}: {after.get(row['action'], row['state'])}\n" for row in rows),
    }


if __name__ == "__main__":
    main()
