"""What will happen: the hours of every machine over some days, as data for a table, a picture and a calendar. Pure.

Every stretch is what the decision itself says at its begin, so the plan cannot differ from what will be done, except by
hand, by busy machines and by what AWS refuses.
"""

from __future__ import annotations

import datetime
import itertools
import zoneinfo
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.atelier.datalab.plugins.module_utils import _hours_calendar, _hours_conflicts, _hours_savings
from ansible_collections.atelier.datalab.plugins.module_utils._hours import LEAVE, RUNNING, Machine, judge
from ansible_collections.atelier.datalab.plugins.module_utils._hours_extensions import Extension
from ansible_collections.atelier.datalab.plugins.module_utils._hours_schedule import Schedule
from ansible_collections.atelier.datalab.plugins.module_utils._hours_timeline import (
    Span,
    following,
    running_spans,
    standing,
)

HOURS, EXTENSION, WINDOW, KEPT, ALONE = "hours", "extension", "window", "kept", "alone"
_KINDS = {"extension": EXTENSION, "window": WINDOW, "override": KEPT}
_DAY = datetime.timedelta(days=1)
BACK = 28  # days of history that savings are reckoned over


class Segment(NamedTuple):
    """A stretch within which a machine runs, or is left alone by a freeze."""

    begin: datetime.datetime
    end: datetime.datetime
    kind: str
    reason: str
    instance_type: str | None = None


def segments(
    schedule: Schedule, begin: datetime.datetime, end: datetime.datetime, extensions: Sequence[Extension] = ()
) -> list[Segment]:
    """The stretches between two instants."""
    points = {begin, end, *(one.at for one in following(schedule, begin, end))}
    points |= {at for one in extensions for at in (one.start, one.until) if begin < at < end}
    ordered = sorted(points)
    found: list[Segment] = []
    for at, until in itertools.pairwise(ordered):
        verdict = judge(schedule, at, Machine(extensions=extensions))
        if verdict.kind in _KINDS and standing(schedule, at).desired == RUNNING:
            verdict = judge(schedule, at, Machine())  # what the hours cover owes nothing to an extension
        if verdict.desired == RUNNING:
            kind = _KINDS.get(verdict.kind, HOURS)
        elif verdict.desired == LEAVE and verdict.kind == "override":
            kind = ALONE
        else:
            continue
        one = Segment(at, until, kind, verdict.reason, verdict.instance_type)
        same = found and found[-1].end == at and (found[-1].kind, found[-1].instance_type) == (kind, one.instance_type)
        if same and (kind == HOURS or found[-1].reason == one.reason):
            found[-1] = found[-1]._replace(end=until)
        else:
            found.append(one)
    return found


def week(today: datetime.date, days: int, zone: zoneinfo.ZoneInfo) -> Span:
    """From a day's midnight, so many days of the clock on the wall."""
    begin = datetime.datetime.combine(today, datetime.time(), zone)
    return begin.astimezone(datetime.UTC), datetime.datetime.combine(
        today + days * _DAY, datetime.time(), zone
    ).astimezone(datetime.UTC)


class Asked(NamedTuple):
    """What a plan is made of."""

    environment: str
    region: str
    machines: Sequence[Mapping[str, Any]]  # name, project, schedule, instance_type
    schedules: Sequence[Mapping[str, Any]]
    calendar: Mapping[str, Any]
    extensions: Mapping[str, Sequence[Extension]]
    prices: Mapping[str, Any]
    first: datetime.date
    days: int
    zone: str
    ran: Mapping[str, Sequence[Span]] | None = None  # by machine, of the four weeks before; None: nobody kept it


def report(asked: Asked) -> dict[str, Any]:
    """The plan as texts, numbers and lists.

    Raises:
        CalendarError, KeyError, ValueError: the data cannot be read.
    """
    zone = zoneinfo.ZoneInfo(asked.zone)
    begin, end = week(asked.first, asked.days, zone)
    calendar = _hours_calendar.Calendar(asked.calendar)
    schedules = {one["name"]: calendar.schedule(one) for one in asked.schedules}
    machines, planned, past = [], [], []
    problems = _hours_conflicts.problems(
        schedules, asked.calendar, {one["schedule"] for one in asked.machines}, asked.first
    )
    for one in sorted(asked.machines, key=lambda one: (one["project"], one["name"])):
        schedule, extensions = schedules.get(one["schedule"]), asked.extensions.get(one["name"], ())
        stretches = segments(schedule, begin, end, extensions) if schedule else []
        problems += _hours_conflicts.of_extensions(one["name"], schedule, extensions, begin)
        machines.append(_machine(one, stretches, schedule, zone, asked))
        planned.append(_ran(one, asked, schedule, (begin, end), [s[:2] for s in stretches if s.kind != ALONE]))
        if asked.ran is not None:
            since = begin - BACK * _DAY
            past.append(_ran(one, asked, schedule, (since, begin), asked.ran.get(one["name"], ())))
    for name in sorted(set(asked.extensions) - {one["name"] for one in asked.machines}):
        problems += _hours_conflicts.of_extensions(name, None, asked.extensions[name], begin)
    prices = _hours_savings.Prices(asked.prices)
    return {
        "environment": asked.environment,
        "zone": asked.zone,
        "first": asked.first.isoformat(),
        "days": asked.days,
        "begin": begin.isoformat(),
        "end": end.isoformat(),
        "machines": machines,
        "closed": _closed(asked, calendar),
        "freezes": _freezes(schedules, begin, end, zone),
        "problems": [{"where": one.where, "why": one.why, "instead": one.instead} for one in problems],
        "currency": prices.currency,
        "prices": prices.source,
        "planned": _hours_savings.projects(planned, begin, end, prices),
        "past": _hours_savings.projects(past, begin - BACK * _DAY, begin, prices) if past else [],
        "past_days": BACK,
    }


def _machine(
    one: Mapping[str, Any], found: list[Segment], schedule: Schedule | None, zone: zoneinfo.ZoneInfo, asked: Asked
) -> dict[str, Any]:
    closed = []
    if schedule:
        days = (asked.first + n * _DAY for n in range(asked.days))
        closed = [day.isoformat() for day in days if schedule.closed(day)]
    return {
        "name": one["name"],
        "project": one["project"],
        "schedule": one["schedule"],
        "known": schedule is not None,
        "instance_type": one["instance_type"],
        "hours": round(_hours_savings.total(s[:2] for s in found if s.kind != ALONE), 2),
        "closed": closed,
        "segments": [
            {
                "begin": s.begin.astimezone(zone).isoformat(), "end": s.end.astimezone(zone).isoformat(),
                "kind": s.kind, "reason": s.reason, "instance_type": s.instance_type or "",
            }
            for s in found
        ],
    }  # fmt: skip


def _ran(
    one: Mapping[str, Any],
    asked: Asked,
    schedule: Schedule | None,
    within: Span,
    ran: Sequence[Span],
) -> _hours_savings.Ran:
    begin, end = within
    extensions = asked.extensions.get(one["name"], ())
    return _hours_savings.Ran(
        one["name"],
        one["project"],
        asked.region,
        one["instance_type"],
        ran if schedule else [(begin, end)],  # without hours it runs all the time
        running_spans(schedule, begin, end) if schedule else [(begin, end)],
        [(extension.start, extension.until) for extension in extensions],
    )


def _closed(asked: Asked, calendar: _hours_calendar.Calendar) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], list[str]] = {}
    for one in asked.schedules:
        days = calendar.days(one.get("holidays") or (), asked.first, asked.first + (asked.days - 1) * _DAY)
        for day, name in days.items() if one.get("holidays") else ():
            found.setdefault((day.isoformat(), name), []).append(one["name"])
    return [{"date": day, "name": name, "schedules": names} for (day, name), names in sorted(found.items())]


def _freezes(
    schedules: Mapping[str, Schedule], begin: datetime.datetime, end: datetime.datetime, zone: zoneinfo.ZoneInfo
) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for schedule in schedules.values():
        for one in schedule.overrides:
            if one.begin < end and (one.end is None or one.end > begin):
                row = found.setdefault(one.reason, {"reason": one.reason, "schedules": []})
                row |= {
                    "begin": one.begin.astimezone(zone).isoformat(),
                    "end": one.end.astimezone(zone).isoformat() if one.end else "",
                }
                row["schedules"].append(schedule.name)
    return list(found.values())


# -- for people


def lines(plan: Mapping[str, Any], width: int = 150) -> list[str]:
    """The table on the terminal: a machine, its hours of each day."""
    zone, days = days_of(plan)
    table = [["", *(f"{day:%a %d %b}" for day in days)]]
    table += [[row["name"], *(cell(row, day, zone) for day in days)] for row in plan["machines"]]
    sizes = [max(map(len, column)) for column in zip(*table, strict=True)]
    found = ["  ".join(c.ljust(size) for c, size in zip(row, sizes, strict=True)).rstrip()[:width] for row in table]
    found += [f"closed: {one['date']} {one['name']} ({', '.join(one['schedules'])})" for one in plan["closed"]]
    found += [f"{one['reason']} ({', '.join(one['schedules'])})" for one in plan["freezes"]]
    found += [f"look at {one['where']}: {one['why']}; {one['instead']}" for one in plan["problems"]]
    return found


def days_of(plan: Mapping[str, Any]) -> tuple[zoneinfo.ZoneInfo, list[datetime.date]]:
    """The plan's zone and days."""
    first = datetime.date.fromisoformat(plan["first"])
    return zoneinfo.ZoneInfo(plan["zone"]), [first + n * _DAY for n in range(plan["days"])]


def cell(row: Mapping[str, Any], day: datetime.date, zone: zoneinfo.ZoneInfo) -> str:
    """When a machine runs on a day: `09:00-18:00`, `all day`, `-`."""
    if not row["known"]:
        return "no hours"
    begin = datetime.datetime.combine(day, datetime.time(), zone)
    end = datetime.datetime.combine(day + _DAY, datetime.time(), zone)
    parts: list[list[str]] = []
    for one in row["segments"]:
        start, stop = (datetime.datetime.fromisoformat(one[key]).astimezone(zone) for key in ("begin", "end"))
        if start >= end or stop <= begin:
            continue
        if one["kind"] == ALONE:
            parts.append(["alone", "alone"])
            continue
        clocks = [f"{max(start, begin):%H:%M}", "24:00" if stop >= end else f"{stop:%H:%M}"]
        if parts and parts[-1][1] == clocks[0]:
            parts[-1][1] = clocks[1]
        else:
            parts.append(clocks)
    texts = [
        "left alone" if a == "alone" else "all day" if (a, b) == ("00:00", "24:00") else f"{a}-{b}" for a, b in parts
    ]
    return " ".join(dict.fromkeys(texts)) or "-"
