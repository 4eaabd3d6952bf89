"""What a schedule's words mean: days, periods, overrides. Pure, standard library only.

Times of day and dates are those of the schedule's own zone. What they come to is in `_hours_timeline`.
"""

from __future__ import annotations

import calendar
import dataclasses
import datetime
import functools
import re
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

RUNNING, STOPPED, LEAVE = "running", "stopped", "leave"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
SKIP, RUN, ONLY = "skip", "run", "only"  # what a period does on a closed day
UTC = datetime.UTC
NEVER = datetime.datetime.min.replace(tzinfo=UTC)
_DAY = datetime.timedelta(days=1)
_LAST = 99  # the nth weekday that is the last one; the day of a month that is its end

Closed = Callable[[datetime.date], str | None]


class Words(NamedTuple):
    """How one field of a period is written: its names, its bounds, what a person may write."""

    names: tuple[str, ...]
    first: int
    last: int
    wraps: bool
    told: str


WEEKDAY = Words(DAYS, 0, 6, True, "mon, mon-fri, mon/2, mon#1 (the first of a month) or friL (the last)")
MONTH = Words(MONTHS, 1, 12, True, "jan, jan-mar, nov-feb or jan/3 (every third from January)")
MONTH_DAY = Words((), 1, 31, False, "1, 1-15, 20-L, 1/7, L (the last day) or 15W (the weekday nearest to the 15th)")


@dataclasses.dataclass(frozen=True)
class Days:
    """The days a period begins on: a date must fit all three fields, as in Instance Scheduler and unlike cron."""

    weekdays: frozenset[int] = frozenset(range(7))
    nth: frozenset[tuple[int, int]] = frozenset()  # (weekday, 1 to 5 or _LAST)
    month_days: frozenset[int] = frozenset(range(1, 32))
    tails: frozenset[tuple[int, int]] = frozenset()  # (first day, step), up to the last day of the month
    nearest: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset(range(1, 13))

    def __contains__(self, date: datetime.date) -> bool:
        if date.month not in self.months:
            return False
        if date.weekday() not in self.weekdays and not (self.nth and self._nth(date)):
            return False
        return date.day in self.month_days or (bool(self.tails or self.nearest) and self._odd_day(date))

    def _nth(self, date: datetime.date) -> bool:
        last = date.day + 7 > calendar.monthrange(date.year, date.month)[1]
        return (date.weekday(), (date.day + 6) // 7) in self.nth or (last and (date.weekday(), _LAST) in self.nth)

    def _odd_day(self, date: datetime.date) -> bool:
        length = calendar.monthrange(date.year, date.month)[1]
        for first, step in self.tails:
            begin = length if first == _LAST else first
            if date.day >= begin and (date.day - begin) % step == 0:
                return True
        return any(_nearest(date, day, length) == date.day for day in self.nearest if day <= length)


def _nearest(date: datetime.date, day: int, length: int) -> int:
    """The weekday nearest to a day without leaving its month."""
    weekday = date.replace(day=day).weekday()
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < length else day - 2
    return day


def _value(word: str, field: Words) -> int:
    if word in field.names:
        return field.names.index(word) + field.first
    if field.names or not word.isdigit() or not field.first <= int(word) <= field.last:
        raise ValueError(word)
    return int(word)


def _values(text: str, field: Words) -> set[int]:
    """`a`, `a-b`, `a/2`, `a-b/2`."""
    span, slash, step = text.partition("/")
    begin, dash, end = span.partition("-")
    first = _value(begin, field)
    last = _value(end, field) if dash else field.last if slash else first
    every = int(step) if slash else 1
    if every < 1 or (first > last and not field.wraps):
        raise ValueError(text)
    if first > last:
        last += field.last - field.first + 1
    return {(n - field.first) % (field.last - field.first + 1) + field.first for n in range(first, last + 1, every)}


def _weekday(text: str, days: dict[str, set[Any]]) -> None:
    if found := re.fullmatch(r"([a-z]+)#([1-5])", text):
        days["nth"].add((_value(found[1], WEEKDAY), int(found[2])))
    elif found := re.fullmatch(r"([a-z]+)L", text):
        days["nth"].add((_value(found[1], WEEKDAY), _LAST))
    else:
        days["weekdays"] |= _values(text, WEEKDAY)


def _month_day(text: str, days: dict[str, set[Any]]) -> None:
    if text == "L":
        days["tails"].add((_LAST, 1))
    elif found := re.fullmatch(r"(\d+)-L(?:/([1-9]\d*))?", text):
        days["tails"].add((_value(found[1], MONTH_DAY), int(found[2] or 1)))
    elif found := re.fullmatch(r"(\d+)W", text):
        days["nearest"].add(_value(found[1], MONTH_DAY))
    else:
        days["month_days"] |= _values(text, MONTH_DAY)


def _month(text: str, days: dict[str, set[Any]]) -> None:
    days["months"] |= _values(text, MONTH)


_FIELDS = {
    "days": (_weekday, WEEKDAY, ("weekdays", "nth")),
    "month_days": (_month_day, MONTH_DAY, ("month_days", "tails", "nearest")),
    "months": (_month, MONTH, ("months",)),
}


def day_problem(field: str, text: str) -> str | None:
    """Why a word of `days`, `month_days` or `months` means nothing, as what to write instead; None when it does."""
    read, words, _ = _FIELDS[field]
    try:
        read(text, {name: set() for name in ("weekdays", "nth", "month_days", "tails", "nearest", "months")})
    except ValueError:
        return f"write {words.told}"
    return None


def read_days(period: Mapping[str, Any]) -> Days:
    """The day fields of a period; a field left out holds every day.

    Raises:
        ValueError: a word means nothing.
    """
    found: dict[str, frozenset[Any]] = {}
    for field, (read, _, parts) in _FIELDS.items():
        if not period.get(field):
            continue
        sets: dict[str, set[Any]] = {part: set() for part in parts}
        for word in period[field]:
            read(str(word), sets)
        found |= {part: frozenset(values) for part, values in sets.items()}
    return Days(**found)


@dataclasses.dataclass(frozen=True)
class Period:
    """Begin and end of the running hours on some days; one of them may be None: start only, stop only."""

    days: Days
    begin: str | None
    end: str | None
    overnight: bool = False
    instance_type: str | None = None
    holidays: str = SKIP
    name: str = ""

    def begins(self, date: datetime.date, closed: Closed) -> bool:
        """Whether it counts on a date. A closed day takes away begins, never a stop."""
        if date not in self.days:
            return False
        if self.holidays == RUN or (self.begin is None and self.holidays == SKIP):
            return True
        return (closed(date) is not None) == (self.holidays == ONLY)

    def told(self) -> str:
        """It in one word or two, for messages."""
        return self.name or f"{self.begin or '...'}-{self.end or '...'}"


@dataclasses.dataclass(frozen=True)
class Override:
    """A state in place of the periods' for a while: an override of one schedule, or a freeze of several."""

    begin: datetime.datetime
    end: datetime.datetime | None
    state: str
    reason: str


def open_always(_: datetime.date) -> None:
    """The calendar of a schedule without holidays."""


class Memo:
    """What was worked out for a schedule: its lines, and what stands between two boundaries, looked up last."""

    __slots__ = ("begin", "decision", "end", "lines", "standing")

    def __init__(self) -> None:
        self.lines: list[Any] = []
        self.begin = self.end = NEVER
        self.standing: Any = None
        self.decision: Any = None  # of a machine nobody touched since


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Named hours in one time zone, with what the calendar and the company's switches make of them."""

    name: str
    zone: zoneinfo.ZoneInfo
    periods: tuple[Period, ...]
    closed: Closed = open_always
    overrides: tuple[Override, ...] = ()
    enforced: bool | str = False
    retain_running: bool = False
    stop_new: bool = False
    hibernate: bool = False
    maintenance_windows: tuple[str, ...] = ()
    description: str = ""
    memo: Memo = dataclasses.field(default_factory=Memo, compare=False, repr=False)


def read_period(period: Mapping[str, Any]) -> Period:
    """A period as the model has checked it."""
    return Period(
        read_days(period),
        period.get("begin"),
        period.get("end"),
        bool(period.get("overnight")),
        period.get("instance_type"),
        period.get("holidays") or SKIP,
        period.get("name") or "",
    )


def read_schedule(
    data: Mapping[str, Any], closed: Closed | None = None, freezes: Iterable[Mapping[str, Any]] = ()
) -> Schedule:
    """A schedule as the model has checked it (corporate.schedules).

    Args:
        data: the entry.
        closed: names the holiday or company day that a date is; None where no day is closed.
        freezes: of the calendar, those that hold for this schedule.

    Raises:
        KeyError, ValueError: something is missing or means nothing.
    """
    zone = zoneinfo.ZoneInfo(data["timezone"])
    own = [data["override"]] if data.get("override") else []
    windows = data.get("maintenance_windows") or () if data.get("use_maintenance_windows", True) else ()
    return Schedule(
        name=data["name"],
        zone=zone,
        periods=tuple(read_period(period) for period in data["periods"]),
        closed=closed or open_always,
        # The schedule's own is the last word, so it comes last.
        overrides=tuple([_override(one, zone, "freeze") for one in freezes] + [_override(o, zone, "set") for o in own]),
        enforced=data.get("enforced") or False,
        retain_running=bool(data.get("retain_running")),
        stop_new=bool(data.get("stop_new")),
        hibernate=bool(data.get("hibernate")),
        maintenance_windows=tuple(windows),
        description=data.get("description") or "",
    )


def _override(data: Mapping[str, Any], zone: zoneinfo.ZoneInfo, kind: str) -> Override:
    begin, end = moment(data["begin"], zone), moment(data["end"], zone, end=True) if data.get("end") else None
    until = "" if end is None else f" until {end.astimezone(zone):%a %d %b %H:%M}"
    words = {RUNNING: "kept running", STOPPED: "kept stopped", LEAVE: "left alone"}[data["state"]]
    name = f"freeze {data['name']}, " if kind == "freeze" else "override, "
    return Override(begin, end, data["state"], f"{name}{words}{until}: {data['reason']}")


def moment(value: Any, zone: zoneinfo.ZoneInfo, *, end: bool = False) -> datetime.datetime:
    """A day, or a day and time, of a zone as an instant; a day alone ends when it is over.

    Raises:
        ValueError: it is neither.
    """
    text = value.isoformat(" ") if isinstance(value, datetime.datetime) else str(value)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        date = datetime.date.fromisoformat(text) + (_DAY if end else datetime.timedelta())
        return datetime.datetime.combine(date, datetime.time(), zone).astimezone(UTC)
    found = datetime.datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


# -- times of day


@functools.lru_cache(maxsize=512)
def _clock(clock: str) -> tuple[int, datetime.time]:
    hours, minutes = map(int, clock.split(":"))
    return (1, datetime.time()) if hours == 24 else (0, datetime.time(hours, minutes))


def begin_of(zone: zoneinfo.ZoneInfo, date: datetime.date, clock: str) -> datetime.datetime:
    """A time the clock skips (spring) counts as the instant it would have been; one it shows twice, as the first."""
    days, time = _clock(clock)
    return datetime.datetime.combine(date + days * _DAY, time, zone).astimezone(UTC)


def end_of(zone: zoneinfo.ZoneInfo, date: datetime.date, clock: str) -> datetime.datetime:
    """As `begin_of`, but a time the clock shows twice (autumn) counts as the second, so that no hour is lost."""
    days, time = _clock(clock)
    first = datetime.datetime.combine(date + days * _DAY, time, zone)
    second = first.replace(fold=1)
    if second.utcoffset() < first.utcoffset():  # type: ignore[operator]
        return second.astimezone(UTC)
    return first.astimezone(UTC)
