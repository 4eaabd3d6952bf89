"""The line of boundaries says what a plain reading of the periods says, however far back it has to look."""

from __future__ import annotations

import dataclasses
import datetime
import zoneinfo
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _hours_schedule as hs
from ansible_collections.atelier.datalab.plugins.module_utils import _hours_timeline as timeline
from hypothesis import given, settings
from hypothesis import strategies as st

UTC = datetime.UTC
DAY, MINUTE = datetime.timedelta(days=1), datetime.timedelta(minutes=1)
ZONES = ["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]


def schedule(*periods: dict[str, Any], zone: str = "Europe/Paris", **more: Any) -> hs.Schedule:
    return hs.read_schedule({"name": "test", "timezone": zone, "periods": list(periods)} | more)


def at(text: str, zone: str = "Europe/Paris") -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone))


instants = st.datetimes(
    min_value=datetime.datetime(2026, 1, 1),  # noqa: DTZ001
    max_value=datetime.datetime(2029, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
clocks = st.builds(lambda hour, minute: f"{hour:02d}:{minute:02d}", st.integers(0, 23), st.sampled_from([0, 15, 30]))
words = st.fixed_dictionaries(
    {},
    optional={
        "days": st.lists(st.sampled_from(["mon", "tue-fri", "sat-sun", "mon#1", "friL"]), min_size=1, max_size=2),
        "month_days": st.lists(st.sampled_from([1, "15-20", "L", "15W", "1/7", "25-L"]), min_size=1, max_size=2),
        "months": st.lists(st.sampled_from(["jan", "mar-may", "nov-feb", "jan/3"]), min_size=1, max_size=2),
        "instance_type": st.sampled_from(["m6i.large", "m6i.xlarge"]),
    },
)
periods = st.builds(
    lambda fields, begin, end, sides: (
        fields | {"begin": begin, "end": end} if sides == "both" else fields | {sides: begin}
    ),
    words,
    clocks,
    clocks,
    st.sampled_from(["both", "both", "both", "begin", "end"]),
).filter(lambda period: period.get("begin") != period.get("end"))
schedules = st.builds(
    lambda found, zone: schedule(*found, zone=zone), st.lists(periods, max_size=4), st.sampled_from(ZONES)
)


def plainly(one: hs.Schedule, now: datetime.datetime) -> str:
    """Read date by date, without merging, sorting or remembering anything."""
    today = now.astimezone(one.zone).date()
    last: tuple[datetime.datetime, int] | None = None
    for back in range(-2, 2980):
        date = today - back * DAY
        for period in (p for p in one.periods if date in p.days):
            begin = hs.begin_of(one.zone, date, period.begin) if period.begin else None
            until = date + DAY if period.begin and period.end and period.end <= period.begin else date
            end = hs.end_of(one.zone, until, period.end) if period.end else None
            if begin and end and begin <= now < end:
                return hs.RUNNING
            # Of two at one instant a start wins; hours whose clock was turned past their end have none.
            point = (end, 0) if end and (begin is None or begin < end) else (begin, 1) if not end else None
            if point and point[0] <= now and (last is None or point > last) and not _inside(one, point[0]):
                last = point
        if last and back > 3 and date < last[0].astimezone(one.zone).date() - 3 * DAY:
            break
    return hs.LEAVE if last is None else (hs.STOPPED, hs.RUNNING)[last[1]]


def _inside(one: hs.Schedule, instant: datetime.datetime) -> bool:
    """Whether hours cover an instant, so that a one-sided begin or end within them is none."""
    day = instant.astimezone(one.zone).date()
    for date in (day - 2 * DAY, day - DAY, day, day + DAY):
        for period in (p for p in one.periods if date in p.days and p.begin and p.end):
            until = date + DAY if period.end <= period.begin else date
            if hs.begin_of(one.zone, date, period.begin) <= instant < hs.end_of(one.zone, until, period.end):
                return True
    return False


@settings(max_examples=150, deadline=None)
@given(now=instants, plan=schedules)
def test_it_says_what_a_plain_reading_says(now: datetime.datetime, plan: hs.Schedule) -> None:
    assert timeline.standing(plan, now).desired == plainly(plan, now)


@settings(max_examples=60, deadline=None)
@given(plan=schedules, moments=st.lists(instants, min_size=2, max_size=6))
def test_what_was_asked_before_changes_no_answer(plan: hs.Schedule, moments: list[datetime.datetime]) -> None:
    """Lines are kept; a kept one says the same as a new one."""
    kept = [timeline.standing(plan, moment) for moment in moments]
    for moment, one in zip(moments, kept, strict=True):
        assert timeline.standing(dataclasses.replace(plan, memo=hs.Memo()), moment) == one


@settings(max_examples=60, deadline=None)
@given(now=instants, plan=schedules, hours=st.integers(1, 2000))
def test_between_two_boundaries_nothing_changes(now: datetime.datetime, plan: hs.Schedule, hours: int) -> None:
    end = now + datetime.timedelta(hours=hours)
    here = timeline.standing(plan, now)
    first = next(timeline.following(plan, now, end), None)
    before = (first.at if first else end) - MINUTE
    if before > now:
        assert timeline.standing(plan, before)[:2] == here[:2]
    if first:
        assert timeline.standing(plan, first.at).desired == first.desired


@settings(max_examples=40, deadline=None)
@given(now=instants, plan=schedules)
def test_running_spans_are_where_it_says_running(now: datetime.datetime, plan: hs.Schedule) -> None:
    spans = timeline.running_spans(plan, now, now + 7 * DAY)
    for step in range(0, 7 * 24 * 60, 437):
        moment = now + step * MINUTE
        assert any(a <= moment < b for a, b in spans) == (timeline.standing(plan, moment).desired == hs.RUNNING)


def test_once_a_year_is_found_eleven_months_later() -> None:
    yearly = schedule({"months": ["jan"], "month_days": [2], "begin": "08:00", "end": "20:00"})
    found = timeline.standing(yearly, at("2027-12-01T12:00:00"))
    assert (found.desired, found.at) == ("stopped", at("2027-01-02T20:00:00"))


def test_a_leap_day_is_found_seven_years_later() -> None:
    leap = schedule({"months": ["feb"], "month_days": [29], "end": "20:00"})
    found = timeline.standing(leap, at("2103-12-31T12:00:00"))  # 2100 has no 29th of February
    assert found.at == at("2096-02-29T20:00:00")


def test_hours_over_weeks_keep_their_begin() -> None:
    """The 1st to the 20th without a stop: a run missed on the 1st is caught up on the 19th."""
    long = schedule({"month_days": ["1-20"], "begin": "00:00", "end": "24:00"})
    assert timeline.standing(long, at("2027-03-19T12:00:00")).at == at("2027-03-01T00:00:00")


@pytest.mark.parametrize(
    ("moment", "desired"),
    [
        ("2027-03-01T10:00:00", "running"),
        ("2027-03-02T10:00:00", "stopped"),
        ("2027-03-03T10:00:00", "stopped"),
        ("2027-03-03T18:00:00", "running"),  # the override ends at 17:00, within hours
        ("2027-03-03T19:00:00", "stopped"),
    ],
)
def test_an_override_ends_by_itself(moment: str, desired: str) -> None:
    late = schedule(
        {"days": ["mon-fri"], "begin": "09:00", "end": "19:00"},
        override={"state": "stopped", "begin": "2027-03-01 20:00", "end": "2027-03-03 17:00", "reason": "repair"},
    )
    assert timeline.standing(late, at(moment)).desired == desired


def test_after_a_running_override_the_machines_it_started_are_stopped() -> None:
    kept = schedule(
        {"days": ["mon-fri"], "begin": "09:00", "end": "18:00"},
        override={"state": "running", "begin": "2027-03-06", "end": "2027-03-06", "reason": "move"},
    )
    assert timeline.standing(kept, at("2027-03-06T12:00:00")).desired == "running"
    after = timeline.standing(kept, at("2027-03-07T12:00:00"))
    assert (after.desired, after.at) == ("stopped", at("2027-03-07T00:00:00"))


def test_the_type_is_that_of_the_hours_that_began_last() -> None:
    two = schedule(
        {"begin": "08:00", "end": "20:00", "instance_type": "m6i.large"},
        {"begin": "12:00", "end": "14:00", "instance_type": "m6i.4xlarge"},
    )
    found = {h: timeline.standing(two, at(f"2027-03-01T{h:02d}:30:00")) for h in (9, 12, 15)}
    assert {h: one.instance_type for h, one in found.items()} == {9: "m6i.large", 12: "m6i.4xlarge", 15: "m6i.large"}
    # The boundary that decides about what was done by hand is still the morning.
    assert {one.at for one in found.values()} == {at("2027-03-01T08:00:00")}
