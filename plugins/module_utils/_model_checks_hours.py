"""Checks of the hours that join several values: periods, overrides, the calendar's references. Pure.

What is valid and still surprising (a period that changes nothing) is told by the plan, `_hours_conflicts`.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterator

from ansible_collections.atelier.datalab.plugins.module_utils import _hours_calendar, _hours_schedule
from ansible_collections.atelier.datalab.plugins.module_utils._model_fields import CLOCK
from ansible_collections.atelier.datalab.plugins.module_utils._model_node import Node, doubles, unknown
from ansible_collections.atelier.datalab.plugins.module_utils._model_offences import Offence


def check(root: Node) -> Iterator[Offence]:
    """Every offence of corporate.schedules, corporate.calendar and corporate.hours."""
    corporate = root["corporate"]
    schedules, calendar = corporate["schedules"], corporate["calendar"]
    named = [(one["name"], one["name"].text) for one in schedules]
    yield from doubles(named, "schedule", "give every one its own name")
    for schedule in schedules:
        for period in schedule["periods"]:
            yield from _sides(period)
            yield from _period(period, schedule)
        for one in schedule["holidays"]:
            yield from _set(one, calendar)
        if isinstance(schedule["override"].value, dict):
            yield from _order(schedule["override"])
    yield from _calendar(calendar, schedules)
    busy = corporate["hours"]["busy"]
    step, cap = busy["step_minutes"].number, busy["cap_minutes"].number
    if step and cap and step > cap:
        yield busy["step_minutes"].wrong(f"is longer than the cap ({cap})", "write a step that fits into it")


def _sides(period: Node) -> Iterator[Offence]:
    begin, end = (side.text if CLOCK.fullmatch(side.text or "") else None for side in (period["begin"], period["end"]))
    if isinstance(period.value, dict) and period["begin"].value is None and period["end"].value is None:
        yield period.wrong("has neither begin nor end", 'write begin: "09:00", end: "18:00" or one of them')
    if begin == "24:00":
        yield period["begin"].wrong("is the end of a day", 'write "00:00" with the next day')
    if begin and end and begin == end:
        yield period["end"].wrong("is the same as begin", 'for the whole day write begin: "00:00", end: "24:00"')
    elif begin and end and begin > end and period["overnight"].value is not True:
        yield period["end"].wrong(
            f"is before begin ({begin})", "swap them, or add overnight: true if it ends the next day"
        )
    elif begin and end and begin < end and period["overnight"].value is True:
        yield period["overnight"].wrong("does not fit an end after begin", "remove overnight")


def _period(period: Node, schedule: Node) -> Iterator[Offence]:
    if period["holidays"].text in ("only", "run") and not schedule["holidays"].texts():
        yield period["holidays"].wrong(
            "has no holidays to go by", "name sets of calendar.holidays in the schedule's holidays, or remove it"
        )
    if period["instance_type"].text and period["begin"].value is None and period["end"].text:
        yield period["instance_type"].wrong("never counts: this period starts nothing", "remove it, or write begin")


def _set(one: Node, calendar: Node) -> Iterator[Offence]:
    sets = calendar["holidays"]
    if isinstance(sets.value, dict):
        yield from unknown(one, sets, "set of holidays")
    elif one.text:
        yield one.wrong("is not a known set of holidays", "write corporate.calendar.holidays first")


def _calendar(calendar: Node, schedules: Node) -> Iterator[Offence]:
    for _, one in calendar["holidays"].entries():
        yield from _holidays(one)
    for day in calendar["company_days"]:
        first, until = day["date"].date, day["until"].date
        if first and until and until < first:
            yield day["until"].wrong(f"is before the first day ({first})", "swap them")
        for name in day["holidays"]:
            yield from _set(name, calendar)
    freezes = calendar["freezes"]
    yield from doubles([(one["name"], one["name"].text) for one in freezes], "freeze", "give every one its own name")
    for freeze in freezes:
        yield from _order(freeze)
        for name in freeze["schedules"]:
            yield from unknown(name, schedules, "schedule")


def _holidays(one: Node) -> Iterator[Offence]:
    country, region = one["country"], one["region"]
    if not country.text:
        return
    try:
        faults = _hours_calendar.supported(country.text, region.text)
    except _hours_calendar.CalendarError as error:
        yield country.wrong("cannot be looked up", str(error))
        return
    if faults:
        key, why, instead = faults
        yield one[key].wrong(why, instead)


def _order(one: Node) -> Iterator[Offence]:
    begin, end = (_instant(one[key], end=key == "end") for key in ("begin", "end"))
    if begin and end and end <= begin:
        yield one["end"].wrong("is not after begin", "write the later one; a day alone lasts until it is over")


def _instant(node: Node, *, end: bool) -> datetime.datetime | None:
    if not isinstance(node.value, (str, datetime.date)):
        return None
    try:
        return _hours_schedule.moment(node.value, zoneinfo.ZoneInfo("UTC"), end=end)
    except ValueError:
        return None
