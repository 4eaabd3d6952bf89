"""What is valid and still surprises: periods without effect, contradictions, entries nobody uses. Pure.

Every statement is made by working the hours out with and without the entry, not by comparing words.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._hours_extensions import Extension, tell
from ansible_collections.atelier.datalab.plugins.module_utils._hours_schedule import UTC, Memo, Period, Schedule
from ansible_collections.atelier.datalab.plugins.module_utils._hours_timeline import Line, build, running_spans

_DAY = datetime.timedelta(days=1)
_AHEAD = 730  # days: every yearly thing is in it twice
_GAP = datetime.timedelta(minutes=15)


@dataclasses.dataclass(frozen=True)
class Problem:
    """Where, what, and what to write instead."""

    where: str
    why: str
    instead: str


def problems(
    schedules: Mapping[str, Schedule],
    calendar: Mapping[str, Any],
    used: Iterable[str],
    today: datetime.date,
) -> list[Problem]:
    """All of the schedules and the calendar.

    Args:
        schedules: by name.
        calendar: as the model has checked it.
        used: names of schedules that machines have.
        today: the two years from it on are looked at.
    """
    found: list[Problem] = []
    used = set(used)
    for schedule in schedules.values():
        found += _of_schedule(schedule, today)
        if schedule.name not in used:
            found.append(Problem(f"schedule {schedule.name}", "no machine has it", "remove it when nobody will"))
    found += _of_calendar(calendar, schedules, today)
    return found


def _of_schedule(schedule: Schedule, today: datetime.date) -> Iterator[Problem]:
    where = f"schedule {schedule.name}"
    bare = dataclasses.replace(schedule, overrides=(), memo=Memo())
    line = _worked_out(bare, today)
    for number, period in enumerate(schedule.periods):
        yield from _of_period(bare, number, period, line, today)
    yield from _types(bare, today)
    if any(one.kind == "type" for one in line.standings):
        yield Problem(
            where,
            "it changes the instance type while machines run",
            "they change at their next start; end the hours before",
        )
    begin = datetime.datetime.combine(today, datetime.time(), UTC)
    stops = [(at, one) for at, one in zip(line.instants, line.standings, strict=True) if at >= begin]
    for (at, one), (then, other) in itertools.pairwise(stops):
        if one.desired == "stopped" and other.desired == "running" and then - at <= _GAP:
            minutes = int((then - at).total_seconds() // 60)
            local = at.astimezone(schedule.zone)
            yield Problem(
                where, f"it stops at {local:%a %H:%M} and starts again {minutes} minutes later", "let the hours touch"
            )
            break


def _worked_out(schedule: Schedule, today: datetime.date) -> Line:
    return build(schedule, today - 10 * _DAY, today + _AHEAD * _DAY)


def _of_period(bare: Schedule, number: int, period: Period, line: Line, today: datetime.date) -> Iterator[Problem]:
    where = f"schedule {bare.name}, period {number + 1} ({period.told()})"
    dates = [today + n * _DAY for n in range(_AHEAD)]
    if not any(date in period.days for date in dates):
        yield Problem(where, "its days never come in the next two years", "correct days, month_days or months")
        return
    if not any(period.begins(date, bare.closed) for date in dates):
        words = "is closed" if period.holidays != "only" else "is a working day"
        yield Problem(where, f"each of its days {words}", "change its holidays, or remove it")
        return
    others = tuple(one for n, one in enumerate(bare.periods) if n != number)
    less = _worked_out(dataclasses.replace(bare, periods=others, memo=Memo()), today)
    if _same(line, less):
        yield Problem(where, "it changes nothing: other periods cover it", "remove it, or correct its times")


def _same(one: Line, other: Line) -> bool:
    def points(line: Line) -> list[tuple[Any, ...]]:
        return [(at, s.desired, s.instance_type) for at, s in zip(line.instants, line.standings, strict=True)]

    return points(one) == points(other)


def _types(bare: Schedule, today: datetime.date) -> Iterator[Problem]:
    """Two types for one begin: nobody can know which is meant."""
    typed = [(n, one) for n, one in enumerate(bare.periods) if one.begin and one.instance_type]
    for place, (n, one) in enumerate(typed):
        for m, other in typed[place + 1 :]:
            if one.begin != other.begin or one.instance_type == other.instance_type:
                continue
            day = next(
                (d for d in (today + n * _DAY for n in range(_AHEAD)) if d in one.days and d in other.days), None
            )
            if day:
                yield Problem(
                    f"schedule {bare.name}, periods {n + 1} and {m + 1}",
                    f"on {day:%a %d %b %Y} both begin at {one.begin}, as {one.instance_type} and {other.instance_type}",
                    f"write one of them; now it would be {one.instance_type}",
                )


def _of_calendar(
    calendar: Mapping[str, Any], schedules: Mapping[str, Schedule], today: datetime.date
) -> Iterator[Problem]:
    # Names only: what a schedule's holidays are called is not kept in it.
    for one in calendar.get("freezes") or ():
        holds = [s for s in schedules.values() if not one.get("schedules") or s.name in one["schedules"]]
        ends = [o.end for s in holds for o in s.overrides if o.reason.startswith(f"freeze {one['name']},") and o.end]
        if ends and max(ends) <= datetime.datetime.combine(today, datetime.time(), UTC):
            yield Problem(f"freeze {one['name']}", "it is over", "remove it")
        elif one.get("state") == "stopped" and not any(_runs_in(s, one["name"]) for s in holds):
            yield Problem(f"freeze {one['name']}", "nothing would run in it anyway", "remove it, or correct its days")
    for one in calendar.get("company_days") or ():
        last = one.get("until") or one["date"]
        if datetime.date.fromisoformat(str(last)) < today:
            yield Problem(f"company day {one['name']}", "it is over", "remove it")


def _runs_in(schedule: Schedule, name: str) -> bool:
    bare = dataclasses.replace(schedule, overrides=(), memo=Memo())
    mine = [one for one in schedule.overrides if one.reason.startswith(f"freeze {name},") and one.end]
    return any(running_spans(bare, one.begin, one.end) for one in mine if one.end)


def of_extensions(
    machine: str, schedule: Schedule | None, extensions: Sequence[Extension], now: datetime.datetime
) -> Iterator[Problem]:
    """Extensions that change nothing, and those a rule cut."""
    for one in extensions:
        zone = schedule.zone if schedule else UTC
        where = f"{machine}, {tell(one, zone)}"
        if one.capped:
            yield Problem(where, f"it was {one.capped}", "ask for less, or change corporate.hours.extensions")
        if one.until <= now:
            continue
        if schedule is None:
            yield Problem(where, "no such machine has hours", "correct the machine's name")
        elif running_spans(schedule, one.start, one.until) == [(one.start, one.until)]:
            yield Problem(where, "it changes nothing: the hours cover it", "nothing to do")
