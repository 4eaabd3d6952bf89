#!/usr/bin/python
"""What the hours will do, before they do it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hours_plan
short_description: Writes what the hours of an environment will do over some days
version_added: "0.4.0"
description:
  - Works out from the data alone when each machine runs, and what surprises in schedules, calendar and extensions.
    Calls no API.
  - Writes C(<environment>-plan.html) (one page, prints, needs nothing from outside), C(.svg) and C(.ics) into
    O(destination). Changes nothing else.
options:
  environment:
    description: Name of the environment.
    type: str
    required: true
  region:
    description: Region whose prices count.
    type: str
    required: true
  machines:
    description: The machines, C(datalab.machines) of M(atelier.datalab.model).
    type: list
    elements: dict
    required: true
  schedules:
    description: The schedules, as in C(corporate.schedules).
    type: list
    elements: dict
    required: true
  calendar:
    description: Holidays, company days and freezes, as in C(corporate.calendar).
    type: dict
    default: {}
  rules:
    description: What members may ask for, as in C(corporate.hours).
    type: dict
    default: {}
  extensions:
    description: As in M(atelier.datalab.hours).
    type: list
    elements: dict
    default: []
  prices:
    description: List prices, as in C(audit_prices); C(euros) is what one of its currency is in euros.
    type: dict
    default: {}
  history:
    description: File that M(atelier.datalab.hours) keeps; with it the page has the savings of the four weeks before.
    type: path
  first:
    description: The first day, as C(2027-03-31). Today where it is left out.
    type: str
  days:
    description: How many days.
    type: int
    default: 7
  timezone:
    description: IANA zone of the page. That of the first schedule where it is left out.
    type: str
  destination:
    description: Folder for the files. Made when it is not there; nothing is written in check mode.
    type: path
    required: true
requirements:
  - holidays, where O(calendar) names a country
  - icalendar
extends_documentation_fragment:
  - atelier.datalab.attributes.read_only
author: [Atelier Datalab]
"""

EXAMPLES = r"""
- name: Write what will happen this week
  atelier.datalab.hours_plan:
    environment: "{{ datalab.environment }}"
    region: "{{ datalab.region }}"
    machines: "{{ datalab.machines }}"
    schedules: "{{ corporate.schedules }}"
    calendar: "{{ corporate.calendar }}"
    rules: "{{ corporate.hours }}"
    destination: reports/hours
"""

RETURN = r"""
msg:
  description: The counts in one line.
  returned: always
  type: str
  sample: "prod from 2027-03-01 on, 7 days: 12 machines run 540 of 2016 hours; 2 things to look at"
counts:
  description: How many C(machines) and C(problems) there are, and the C(hours) they run.
  returned: success
  type: dict
files:
  description: The files written.
  returned: success
  type: list
  elements: str
"""

import datetime
import zoneinfo
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.atelier.datalab.plugins.module_utils import (
    _hours_calendar,
    _hours_extensions,
    _hours_history,
    _hours_plan,
)

ARGUMENTS = {
    "environment": {"type": "str", "required": True},
    "region": {"type": "str", "required": True},
    "machines": {"type": "list", "elements": "dict", "required": True},
    "schedules": {"type": "list", "elements": "dict", "required": True},
    "calendar": {"type": "dict", "default": {}},
    "rules": {"type": "dict", "default": {}},
    "extensions": {"type": "list", "elements": "dict", "default": []},
    "prices": {"type": "dict", "default": {}},
    "history": {"type": "path"},
    "first": {"type": "str"},
    "days": {"type": "int", "default": 7},
    "timezone": {"type": "str"},
    "destination": {"type": "path", "required": True},
}


def planned(params: dict[str, Any]) -> dict[str, Any]:
    """The report."""
    zone = params["timezone"] or next((one["timezone"] for one in params["schedules"]), "UTC")
    first = params["first"]
    today = datetime.date.fromisoformat(first) if first else datetime.datetime.now(tz=zoneinfo.ZoneInfo(zone)).date()
    if not 1 <= params["days"] <= 31:
        message = f"days: {params['days']} is not from 1 to 31"
        raise ValueError(message)
    asked = _hours_plan.Asked(
        environment=params["environment"],
        region=params["region"],
        machines=params["machines"],
        schedules=params["schedules"],
        calendar=params["calendar"],
        extensions=_hours_extensions.read(params["extensions"], params["rules"].get("extensions")),
        prices=params["prices"],
        first=today,
        days=params["days"],
        zone=zone,
        ran=_ran(params["history"], today, zone),
    )
    return _hours_plan.report(asked)


def _ran(path: str | None, today: datetime.date, zone: str) -> dict[str, Any] | None:
    if not path or not Path(path).is_file():
        return None
    begin, _ = _hours_plan.week(today, 1, zoneinfo.ZoneInfo(zone))
    lines = list(_hours_history.read(Path(path).read_text(encoding="utf-8", errors="replace")))
    return _hours_history.spans(lines, begin - datetime.timedelta(days=_hours_plan.BACK), begin)


def main() -> None:
    """Entry point; the action plugin shows and writes the report."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        report = planned(module.params)
    except (KeyError, ValueError, _hours_calendar.CalendarError) as error:
        module.fail_json(msg=f"The plan cannot be made: {error}. The model checks the data: run it first.")
    module.exit_json(changed=False, report=report)


if __name__ == "__main__":
    main()
