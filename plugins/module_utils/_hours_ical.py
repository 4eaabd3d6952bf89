"""The plan as an iCalendar file (RFC 5545): people subscribe to it, or open it once. Pure."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from typing import Any

import icalendar

_DAY = datetime.timedelta(days=1)
_WORDS = {
    "hours": "runs",
    "extension": "runs (extension)",
    "window": "runs (maintenance)",
    "kept": "is kept running",
    "alone": "is left alone",
}


def calendar(plan: Mapping[str, Any], made: datetime.datetime) -> bytes:
    """Stretches as events in UTC, which every program shows in its own zone; closed days as whole days.

    Args:
        plan: the report.
        made: the instant it was made at.
    """
    found = icalendar.Calendar()
    found.add("prodid", "-//atelier.datalab//hours//EN")
    found.add("version", "2.0")
    found.add("x-wr-calname", f"Machines of {plan['environment']}")
    for row in plan["machines"]:
        for one in row["segments"]:
            begin, end = (
                datetime.datetime.fromisoformat(one[key]).astimezone(datetime.UTC) for key in ("begin", "end")
            )
            event = _event(f"{row['name']} {begin.isoformat()}", f"{row['name']} {_WORDS[one['kind']]}", made)
            event.add("dtstart", begin)
            event.add("dtend", end)
            event.add("description", one["reason"])
            event.add("categories", [row["project"], one["kind"]])
            # Nobody is busy because a machine runs.
            event.add("transp", "TRANSPARENT")
            found.add_component(event)
    for one in plan["closed"]:
        day = datetime.date.fromisoformat(one["date"])
        event = _event(f"closed {one['date']} {one['name']}", f"Machines stay off: {one['name']}", made)
        event.add("dtstart", day)
        event.add("dtend", day + _DAY)
        event.add("description", f"Schedules: {', '.join(one['schedules'])}")
        event.add("transp", "TRANSPARENT")
        found.add_component(event)
    return found.to_ical()


def _event(key: str, summary: str, made: datetime.datetime) -> icalendar.Event:
    event = icalendar.Event()
    # The same stretch keeps its id from run to run, so that a subscription changes it and adds no second.
    event.add("uid", f"{hashlib.sha256(key.encode()).hexdigest()[:32]}@hours.datalab")
    event.add("dtstamp", made)
    event.add("summary", summary)
    return event
