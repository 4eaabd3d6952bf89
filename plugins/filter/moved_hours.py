"""Schedules of another scheduler as ours."""

from __future__ import annotations

DOCUMENTATION = r"""
name: moved_hours
short_description: Schedules of another scheduler as corporate.schedules
version_added: "0.4.0"
description:
  - Takes the configuration of Instance Scheduler on AWS (items of its DynamoDB table, answers of its command line, or a
    template with C(Custom::ServiceInstanceSchedule)), or a mapping C(c7n) of names and values of Cloud Custodian's tag.
  - Returns C(schedules), to be pasted into C(corporate.schedules), and C(notes) on what means something else here.
options:
  _input:
    description: The configuration.
    type: raw
    required: true
  timezone:
    description: IANA zone of schedules that name none.
    type: str
    default: UTC
  today:
    description: Day an C(override_status) counts from, as C(2027-03-31). Today where it is left out.
    type: str
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Show what a tag of Cloud Custodian means
  ansible.builtin.debug:
    msg: "{{ {'c7n': {'evening': 'off=(M-F,19);on=(M-F,7);tz=cet'}} | atelier.datalab.moved_hours }}"
"""

RETURN = r"""
_value:
  description: C(schedules) and C(notes).
  type: dict
"""

import datetime
import zoneinfo
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.atelier.datalab.plugins.module_utils import _hours_c7n, _hours_move


def moved_hours(data: Any, timezone: str = "UTC", today: str | None = None) -> dict[str, Any]:
    """Return schedules and notes.

    Raises:
        AnsibleFilterError: the configuration cannot be read.
    """
    try:
        if isinstance(data, dict) and "c7n" in data:
            zones = zoneinfo.available_timezones()
            read = [_hours_c7n.from_c7n(str(tag), name, zones=zones) for name, tag in data["c7n"].items()]
            left = [name for name, one in zip(data["c7n"], read, strict=True) if one is None]
            return {
                "schedules": [one for one in read if one],
                "notes": [f"{name} says off: give it the tag Schedule=none" for name in left],
            }
        day = today or datetime.datetime.now().astimezone().date().isoformat()
        found = _hours_move.from_instance_scheduler(data, day, timezone)
    except _hours_move.MoveError as error:
        raise AnsibleFilterError(str(error)) from None
    return {"schedules": found.schedules, "notes": found.notes}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names under which Ansible finds them."""
        return {"moved_hours": moved_hours}
