"""A schedule as a line of boundaries, worked out once and then looked up: decisions depend on it, not on the machine.

Pure, standard library only.
"""

from __future__ import annotations

import bisect
import datetime
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ansible_collections.atelier.datalab.plugins.module_utils._hours_schedule import (
    LEAVE,
    NEVER,
    RUNNING,
    STOPPED,
    UTC,
    Override,
    Period,
    Schedule,
    begin_of,
    end_of,
)

_DAY = datetime.timedelta(days=1)
_EDGE = 3 * _DAY  # over midnight and the zone's distance to UTC: what stands nearer to the end of a line is not sure
_BACK = (45, 400, 3000)  # days; a 29th of February may be eight years apart
_AHEAD = 120
_KEPT = 8  # lines per schedule; a replay walks forward, a plan looks at one week
BEGINNING = NEVER
_RANK = {STOPPED: 0, LEAVE: 0, RUNNING: 1}

Span = tuple[datetime.datetime, datetime.datetime]
Hours = tuple[datetime.datetime, datetime.datetime, Period]


class Standing(NamedTuple):
    """What a schedule says from an instant on."""

    at: datetime.datetime  # since when: the boundary that decides about what was done by hand
    desired: str
    reason: str
    kind: str = "hours"  # hours, start, stop, override, nothing
    instance_type: str | None = None
    began: datetime.datetime | None = None  # of hours that ended here: when they had begun


class Line(NamedTuple):
    """Boundaries in order, what stands from each on, and between which instants that is sure."""

    instants: list[datetime.datetime]
    standings: list[Standing]
    sure_from: datetime.datetime
    sure_to: datetime.datetime


def merge(spans: Iterable[Span]) -> list[Span]:
    """The union of intervals, in order; those that touch become one."""
    merged: list[Span] = []
    for begin, end in sorted(span for span in spans if span[0] < span[1]):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def standing(schedule: Schedule, now: datetime.datetime) -> Standing:
    """What the schedule says at an instant, and since when."""
    memo = schedule.memo
    if memo.begin <= now < memo.end:
        return memo.standing
    line = _line(schedule, now)
    place = bisect.bisect_right(line.instants, now) - 1
    # Valid from its boundary to the next, and no further than the line is sure.
    memo.begin = max(line.instants[place], line.sure_from) if place >= 0 else now
    memo.end = line.sure_to
    if place + 1 < len(line.instants):
        memo.end = min(line.instants[place + 1], memo.end)
    memo.decision = None
    if place < 0:
        memo.standing = Standing(BEGINNING, LEAVE, f"{schedule.name} has planned nothing for it", "nothing")
    else:
        memo.standing = line.standings[place]
    return memo.standing


def following(schedule: Schedule, now: datetime.datetime, end: datetime.datetime) -> Iterator[Standing]:
    """What begins to stand after an instant and up to another; `at` is when it does."""
    line = _line(schedule, now)
    if end >= line.sure_to:
        line = build(schedule, now.date() - _before(schedule), end.date() + 5 * _DAY)
    for place in range(bisect.bisect_right(line.instants, now), bisect.bisect_right(line.instants, end)):
        yield line.standings[place]._replace(at=line.instants[place])


def _before(schedule: Schedule) -> datetime.timedelta:
    """How far before an instant a line has to begin: an override may end in what began long before it."""
    return (_BACK[1] if schedule.overrides else 5) * _DAY


def running_spans(schedule: Schedule, begin: datetime.datetime, end: datetime.datetime) -> list[Span]:
    """The intervals within which it says running, cut to `begin` and `end`."""
    points = [standing(schedule, begin)._replace(at=begin), *following(schedule, begin, end)]
    edges = [one.at for one in points[1:]] + [end]
    return merge((one.at, edge) for one, edge in zip(points, edges, strict=True) if one.desired == RUNNING)


def _line(schedule: Schedule, now: datetime.datetime) -> Line:
    lines = schedule.memo.lines
    for line in lines:
        if line.sure_from <= now < line.sure_to:
            return line
    line = _around(schedule, now)
    lines.insert(0, line)
    del lines[_KEPT:]
    return line


def _around(schedule: Schedule, now: datetime.datetime) -> Line:
    """A line that is sure at `now`: looks further back until it finds what decides there."""
    today = now.astimezone(UTC).date()
    for back in _BACK:
        first = today - back * _DAY
        line = build(schedule, first, today + _AHEAD * _DAY)
        place = bisect.bisect_right(line.instants, now) - 1
        edge = datetime.datetime.combine(first, datetime.time(), UTC) + _EDGE
        found = place >= 0 and line.standings[place].kind != "nothing"
        sure = place
        while sure >= 0 and _sure(line.standings[sure], edge):
            sure -= 1
        if found and sure < place:
            return line._replace(sure_from=line.instants[sure + 1], sure_to=_unsure(line, place, edge))
        if found and back > _BACK[0]:
            # Hours that go on for longer than we look back have no begin: what was done by hand stays.
            endless = [one._replace(at=BEGINNING) if one.at <= edge else one for one in line.standings]
            return line._replace(standings=endless, sure_from=edge)
    return line._replace(sure_from=edge)


def _unsure(line: Line, place: int, edge: datetime.datetime) -> datetime.datetime:
    """Where an override ends in what began before the line does."""
    later = zip(line.instants[place:], line.standings[place:], strict=True)
    return next((at for at, one in later if not _sure(one, edge)), line.sure_to)


def _sure(one: Standing, edge: datetime.datetime) -> bool:
    """What stands at the edge of a line may have begun before it."""
    return one.at > edge or one.kind == "override"


def build(schedule: Schedule, first: datetime.date, last: datetime.date) -> Line:
    """The boundaries of the dates from `first` to `last`."""
    spans, events = _expand(schedule, first, last)
    edge = datetime.datetime.combine(last, datetime.time(), UTC) - _EDGE
    found: list[Standing] = list(_sweep(schedule, spans, edge))
    unions = [(one.at, end.at) for one, end in zip(found[::2], found[1::2], strict=True)]
    if any(period.instance_type for period in schedule.periods):
        found = _typed(found, spans)
    hidden = iter(unions)
    union = next(hidden, None)
    for event in sorted(events, key=lambda one: one.at):
        while union and union[1] <= event.at:
            union = next(hidden, None)
        if not (union and union[0] <= event.at):
            found.append(event)
    # At one instant a start wins over a stop, and hours over both, as in a union.
    ordered = sorted(_points(found), key=lambda p: (p[0], _RANK[p[1].desired], p[1].kind != "start"))
    instants, standings = [point for point, _ in ordered], [one for _, one in ordered]
    for override in schedule.overrides:
        instants, standings = _override(instants, standings, override, schedule)
    return Line(instants, standings, BEGINNING, edge)


def _points(found: list[Standing]) -> list[tuple[datetime.datetime, Standing]]:
    """Each standing with the instant it is valid from: its own, except where only the instance type changed."""
    return [(one.began if one.kind == "type" else one.at, one) for one in found]  # type: ignore[misc]


def _dates(first: datetime.date, last: datetime.date) -> Iterator[datetime.date]:
    for number in range(first.toordinal(), last.toordinal() + 1):
        yield datetime.date.fromordinal(number)


def _expand(schedule: Schedule, first: datetime.date, last: datetime.date) -> tuple[list[Hours], list[Standing]]:
    """Hours with both sides as spans, one-sided ones as events."""
    spans, events = [], []
    zone, name = schedule.zone, schedule.name
    for date in _dates(first, last):
        for period in schedule.periods:
            begin, end = period.begin, period.end
            if not period.begins(date, schedule.closed):
                continue
            if begin and end:
                until = date + _DAY if end <= begin else date
                spans.append((begin_of(zone, date, begin), end_of(zone, until, end), period))
            elif begin:
                at = begin_of(zone, date, begin)
                events.append(Standing(at, RUNNING, f"{name} starts at {begin}", "start", period.instance_type))
            elif end:
                events.append(Standing(end_of(zone, date, end), STOPPED, f"{name} stops at {end}", "stop"))
    return spans, events


def _sweep(schedule: Schedule, spans: list[Hours], edge: datetime.datetime) -> Iterator[Standing]:
    """Begin and end of each union, in turn."""
    for begin, end in merge((begin, end) for begin, end, _ in spans):
        until = ""
        if end < edge:
            local = end.astimezone(schedule.zone)
            until = f" until {local:%H:%M}" if end - begin <= _DAY else f" until {local:%a %H:%M}"
        yield Standing(begin, RUNNING, f"hours {schedule.name}{until}")
        yield Standing(end, STOPPED, f"outside hours {schedule.name}", began=begin)


def _typed(found: list[Standing], spans: list[Hours]) -> list[Standing]:
    """With the instance type of the period that began last; where that changes within hours, a point of its own."""
    result: list[Standing] = []
    ordered = sorted(spans, key=lambda span: span[0])
    place = 0
    for begin, end in zip(found[::2], found[1::2], strict=True):
        inside = []
        while place < len(ordered) and ordered[place][0] < end.at:
            inside.append(ordered[place])
            place += 1
        before: str | None = None
        for number, point in enumerate(sorted({p for b, e, _ in inside for p in (b, e) if p < end.at})):
            active = [(b, -n, period) for n, (b, e, period) in enumerate(inside) if b <= point < e]
            wanted = max(active, key=lambda one: one[:2])[2].instance_type
            if number == 0:
                result.append(begin._replace(instance_type=wanted))
            elif wanted != before:
                # `began` carries the instant here: the hours themselves began earlier.
                result.append(begin._replace(kind="type", instance_type=wanted, began=point))
            before = wanted
        result.append(end)
    return result


def _override(
    instants: list[datetime.datetime], standings: list[Standing], one: Override, schedule: Schedule
) -> tuple[list[datetime.datetime], list[Standing]]:
    """The line with an override laid over it; where it ends the hours decide anew."""
    if one.end is not None and one.end <= one.begin:
        return instants, standings
    low = bisect.bisect_left(instants, one.begin)
    high = len(instants) if one.end is None else bisect.bisect_right(instants, one.end)
    inserted = [(one.begin, Standing(one.begin, one.state, one.reason, "override"))]
    if one.end is not None:
        nothing = Standing(BEGINNING, LEAVE, f"{schedule.name} has planned nothing for it", "nothing")
        after = standings[high - 1] if high else nothing
        if one.state != LEAVE and after.kind != "nothing":
            after = after._replace(at=max(after.at, one.end))
        inserted.append((one.end, after))
    instants = instants[:low] + [at for at, _ in inserted] + instants[high:]
    return instants, standings[:low] + [standing for _, standing in inserted] + standings[high:]
