"""When a machine runs: a pure decision from a schedule, extensions and the time.

The decision is about the state that should be, not about the moment: a run that was missed is caught up by the next.
What somebody did by hand since the last boundary is respected until the next one.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
import zoneinfo
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

RUNNING, STOPPED, LEAVE = "running", "stopped", "leave"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = datetime.timedelta(days=1)
_LOOK_BACK = 9  # days; a period comes back after 7, overnight and the zone add up to 2
UTC = datetime.UTC


class Decision(NamedTuple):
    """What should be (`running`, `stopped`, or `leave` it as it is), and why."""

    desired: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Period:
    """Begin and end of the running hours on some weekdays; one of them may be None: start only, stop only."""

    days: frozenset[int]
    begin: str | None
    end: str | None
    overnight: bool = False


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Named hours in one time zone."""

    name: str
    zone: zoneinfo.ZoneInfo
    periods: tuple[Period, ...]


@dataclasses.dataclass(frozen=True)
class Extension:
    """Keep or start the machine until then, asked by a member; it ends by itself."""

    start: datetime.datetime
    until: datetime.datetime
    by: str = ""
    reason: str = ""


class _Event(NamedTuple):
    at: datetime.datetime
    desired: str
    reason: str


def read_schedule(data: Mapping[str, Any]) -> Schedule:
    """A schedule as the model has checked it (corporate.schedules)."""
    periods = tuple(
        Period(
            frozenset(DAYS.index(day) for day in period["days"]),
            period.get("begin"),
            period.get("end"),
            bool(period.get("overnight")),
        )
        for period in data["periods"]
    )
    return Schedule(data["name"], zoneinfo.ZoneInfo(data["timezone"]), periods)


def decide(
    schedule: Schedule,
    now: datetime.datetime,
    last_transition: datetime.datetime | None,
    extensions: Iterable[Extension] = (),
) -> Decision:
    """What should be at `now`.

    Running hours and extensions are one union: no extension is cut by the end of the hours or of another extension.
    Outside the union the latest end, start or stop before `now` decides.

    Args:
        schedule: the machine's hours.
        now: an instant with its zone.
        last_transition: when the machine last started or stopped, by whomever; None where nobody knows.
        extensions: of this machine; ended and future ones do no harm.

    Raises:
        ValueError: an instant has no zone.
    """
    extensions = list(extensions)
    _aware(now, last_transition, *(extension.start for extension in extensions))
    _aware(*(extension.until for extension in extensions))
    decided = _covered(schedule, now, extensions) or _outside(schedule, now, extensions)
    if decided is None:
        return Decision(LEAVE, f"{schedule.name} has planned nothing for it")
    if last_transition is not None and last_transition > decided.at:
        moment = last_transition.astimezone(schedule.zone)
        return Decision(
            LEAVE, f"changed at {moment:%a %H:%M}, after the last boundary; next one decides ({decided.reason})"
        )
    return Decision(decided.desired, decided.reason)


def _aware(*instants: datetime.datetime | None) -> None:
    if any(instant is not None and instant.utcoffset() is None for instant in instants):
        msg = "an instant without its time zone"
        raise ValueError(msg)


def _covered(schedule: Schedule, now: datetime.datetime, extensions: list[Extension]) -> _Event | None:
    """Running, because hours or an extension cover `now`; dated by the latest of their begins."""
    begins = []
    for begin, end in merge(_spans(schedule, now)):
        if begin <= now < end:
            # Hours that go on for longer than we look back have no begin: what was done by hand stays.
            old = begin < now - (_LOOK_BACK - 2) * _DAY
            since = datetime.datetime.min.replace(tzinfo=UTC) if old else begin
            until = "" if end > now + _DAY else f" until {end.astimezone(schedule.zone):%H:%M}"
            begins.append(_Event(since, RUNNING, f"hours {schedule.name}{until}"))
    begins += [_Event(one.start, RUNNING, _tell(one, schedule)) for one in extensions if one.start <= now < one.until]
    return max(begins, default=None)


def _tell(extension: Extension, schedule: Schedule) -> str:
    until = f"extension until {extension.until.astimezone(schedule.zone):%a %H:%M}"
    by = f" by {extension.by}" if extension.by else ""
    return f"{until}{by}: {extension.reason}" if extension.reason else f"{until}{by}"


def _outside(schedule: Schedule, now: datetime.datetime, extensions: list[Extension]) -> _Event | None:
    """The latest thing that happened before `now`, when nothing covers it."""
    past = [event for event in _one_sided(schedule, now) if event.at <= now]
    past += [
        _Event(end, STOPPED, f"outside hours {schedule.name}") for _, end in merge(_spans(schedule, now)) if end <= now
    ]
    past += [_Event(one.until, STOPPED, "extension ended") for one in extensions if one.start < one.until <= now]
    # At one instant a start wins over a stop: running before stopped, as in a union.
    return max(past, key=lambda event: (event.at, event.desired == RUNNING), default=None)


def merge(
    spans: Iterable[tuple[datetime.datetime, datetime.datetime]],
) -> list[tuple[datetime.datetime, datetime.datetime]]:
    """The union of intervals, in order; those that touch become one."""
    merged: list[tuple[datetime.datetime, datetime.datetime]] = []
    for begin, end in sorted(span for span in spans if span[0] < span[1]):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _dates(schedule: Schedule, now: datetime.datetime) -> Iterator[datetime.date]:
    today = now.astimezone(schedule.zone).date()
    for offset in range(-_LOOK_BACK, 3):
        yield today + offset * _DAY


def _spans(schedule: Schedule, now: datetime.datetime) -> list[tuple[datetime.datetime, datetime.datetime]]:
    """Running hours around `now`, from the periods that have both sides."""
    found = []
    for date in _dates(schedule, now):
        for period in schedule.periods:
            if period.begin and period.end and date.weekday() in period.days:
                last = date + _DAY if period.end <= period.begin else date
                found.append((_begin(schedule, date, period.begin), _end(schedule, last, period.end)))
    return found


def _one_sided(schedule: Schedule, now: datetime.datetime) -> Iterator[_Event]:
    for date in _dates(schedule, now):
        for period in schedule.periods:
            if date.weekday() not in period.days or (period.begin and period.end):
                continue
            if period.begin:
                yield _Event(_begin(schedule, date, period.begin), RUNNING, f"{schedule.name} starts at {period.begin}")
            elif period.end:
                yield _Event(_end(schedule, date, period.end), STOPPED, f"{schedule.name} stops at {period.end}")


def _local(schedule: Schedule, date: datetime.date, clock: str) -> datetime.datetime:
    hours, minutes = map(int, clock.split(":"))
    if hours == 24:
        date, hours = date + _DAY, 0
    return datetime.datetime.combine(date, datetime.time(hours, minutes), schedule.zone)


def _begin(schedule: Schedule, date: datetime.date, clock: str) -> datetime.datetime:
    """A time the clock skips (spring) counts as the instant it would have been; one it shows twice, as the first."""
    return _local(schedule, date, clock).astimezone(UTC)


def _end(schedule: Schedule, date: datetime.date, clock: str) -> datetime.datetime:
    """As `_begin`, but a time the clock shows twice (autumn) counts as the second, so that no hour is lost."""
    first = _local(schedule, date, clock)
    second = first.replace(fold=1)
    return (
        max(first.astimezone(UTC), second.astimezone(UTC))
        if second.utcoffset() < first.utcoffset()
        else first.astimezone(UTC)
    )


# -- from instances to rows of a table

BASTION = "bastion"
_STAMP = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")


def last_transition(instance: Mapping[str, Any]) -> datetime.datetime | None:
    """When an instance (as DescribeInstances gives it) last started or stopped."""
    if instance["State"]["Name"] == RUNNING:
        return instance.get("LaunchTime")
    found = _STAMP.search(instance.get("StateTransitionReason") or "")
    return datetime.datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None


def plan(
    instances: Iterable[Mapping[str, Any]],
    schedules: Mapping[str, Schedule],
    now: datetime.datetime,
    extensions: Mapping[str, list[Extension]] | None = None,
) -> list[dict[str, str]]:
    """One row per instance: id, name, schedule, state, action (start, stop, none) and reason; sorted by name."""
    rows = []
    for instance in instances:
        tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
        name, schedule, state = tags.get("Name", ""), tags.get("Schedule", ""), instance["State"]["Name"]
        decision = _judge(instance, tags, schedules, now, (extensions or {}).get(name, []))
        action = {(STOPPED, RUNNING): "start", (RUNNING, STOPPED): "stop"}.get((state, decision.desired), "none")
        rows.append(
            {
                "id": instance["InstanceId"],
                "name": name,
                "schedule": schedule,
                "state": state,
                "action": action,
                "reason": decision.reason,
            }
        )
    return sorted(rows, key=lambda row: (row["name"], row["id"]))


def _judge(
    instance: Mapping[str, Any],
    tags: Mapping[str, str],
    schedules: Mapping[str, Schedule],
    now: datetime.datetime,
    extensions: list[Extension],
) -> Decision:
    if tags.get("Role") == BASTION:
        return Decision(LEAVE, "the bastion is never stopped")
    schedule = schedules.get(tags.get("Schedule", ""))
    if schedule is None:
        named = f"schedule {tags['Schedule']} is not known" if tags.get("Schedule") else "it has no tag Schedule"
        return Decision(LEAVE, f"left alone, {named}")
    if instance["State"]["Name"] not in (RUNNING, STOPPED):
        return Decision(LEAVE, f"it is {instance['State']['Name']}, the next run decides")
    return decide(schedule, now, last_transition(instance), extensions)


def table(rows: list[dict[str, str]]) -> list[str]:
    """The rows as aligned lines: name, state, action, reason."""
    columns = ("name", "state", "action")
    widths = [max((len(row[column]) for row in rows), default=0) for column in columns]
    return [
        "  ".join([*(row[column].ljust(width) for column, width in zip(columns, widths, strict=True)), row["reason"]])
        for row in rows
    ]
