"""A time of day, or a full time, as an exact moment."""

from __future__ import annotations

DOCUMENTATION = r"""
name: moment
short_description: A time of day, or a full time, as an exact moment
version_added: "0.2.0"
description:
  - Takes C(18:00) (today, by the clock of the computer that runs the playbook) or ISO 8601 and returns ISO 8601 with
    an offset, which means the same on every host.
options:
  _input:
    description: The time.
    type: str
    required: true
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Show until when
  ansible.builtin.debug:
    msg: "{{ '18:00' | atelier.datalab.moment }}"
"""

RETURN = r"""
_value:
  description: ISO 8601 with offset.
  type: str
"""

import datetime
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError


def moment(text: str, now: datetime.datetime | None = None) -> str:
    """Return a time as ISO 8601 with offset; ``now`` is the present, with the zone that a bare time is meant in.

    Raises:
        AnsibleFilterError: it is no time, or it is past.
    """
    now = now or datetime.datetime.now().astimezone()
    try:
        if len(text) <= 5:
            found = datetime.datetime.combine(now.date(), datetime.time.fromisoformat(text), now.tzinfo)
        else:
            found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise AnsibleFilterError(f"'{text}' is no time; write 18:00 or 2026-11-23T18:00+01:00") from None
    found = found if found.tzinfo else found.replace(tzinfo=now.tzinfo)
    if found <= now:
        raise AnsibleFilterError(f"'{text}' is past (it is {now.isoformat(timespec='minutes')}); give a later time")
    return found.isoformat()


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names under which Ansible finds them."""
        return {"moment": moment}
