"""Which warnings are due before stops. Pure: somebody else sends them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _hours_busy
from ansible_collections.atelier.datalab.plugins.module_utils._hours import RUNNING, STOPPED, judge
from ansible_collections.atelier.datalab.plugins.module_utils._hours_rows import Known, Subject, left_alone, machine_of
from ansible_collections.atelier.datalab.plugins.module_utils._hours_schedule import Schedule
from ansible_collections.atelier.datalab.plugins.module_utils._hours_timeline import following


def notices(
    rows: Iterable[Mapping[str, Any]],
    subjects: Iterable[Subject],
    schedules: Mapping[str, Schedule],
    now: datetime.datetime,
    known: Known,
) -> list[dict[str, Any]]:
    """The warnings that are due: id, machine, stop, minutes and the text for its users."""
    rule, found = known.rule, []
    if rule is None or not rule.warnings:
        return found
    by_id = {row["id"]: row for row in rows}
    for subject in subjects:
        row = by_id[subject.id]
        warned = subject.kind == "ec2" and subject.state == RUNNING and row["action"] == "none"
        if not warned or left_alone(subject, schedules):
            continue
        schedule = schedules[subject.tags["Schedule"]]
        stop, why = next_stop(subject, schedule, now, known, row)
        if stop is None:
            continue
        minutes = _hours_busy.due(stop, now, rule, known.sent.get((subject.id, stop.isoformat()), ()))
        if minutes is not None:
            text = _hours_busy.warning(subject.name or subject.id, stop, now, schedule.zone, why)
            notice = {"id": subject.id, "machine": subject.name, "stop": stop.isoformat(), "minutes": minutes}
            found.append(notice | {"text": text})
    return found


def next_stop(
    subject: Subject, schedule: Schedule, now: datetime.datetime, known: Known, row: Mapping[str, Any]
) -> tuple[datetime.datetime | None, str]:
    """When it will be stopped, as far ahead as warnings go, and why."""
    if until := row.get("deferred_until"):
        return datetime.datetime.fromisoformat(until), row["reason"]
    ahead = now + datetime.timedelta(minutes=max(known.rule.warnings if known.rule else (0,)))
    machine = machine_of(subject, schedule, known)
    edges = [one.at for one in following(schedule, now, ahead)] + [one.until for one in machine.extensions]
    for edge in sorted(edge for edge in edges if now < edge <= ahead):
        verdict = judge(schedule, edge, machine)
        if verdict.desired == STOPPED:
            return edge, verdict.reason
    return None, ""
