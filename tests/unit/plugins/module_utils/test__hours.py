"""The decision: what the clock on the wall says, unions, boundaries, what was done by hand, days the clock jumps."""

from __future__ import annotations

import datetime
import itertools
import zoneinfo
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _hours as hours
from hypothesis import assume, given, settings
from hypothesis import strategies as st

settings.register_profile("steady", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("steady")

UTC = datetime.UTC
PARIS = zoneinfo.ZoneInfo("Europe/Paris")
ZONES = ["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"]
WEEK = list(hours.DAYS)


def schedule(*periods: dict[str, Any], zone: str = "Europe/Paris") -> hours.Schedule:
    return hours.read_schedule({"name": "test", "timezone": zone, "periods": list(periods)})


OFFICE = schedule({"days": WEEK[:5], "begin": "09:00", "end": "18:00"})
ALWAYS = schedule({"days": WEEK, "begin": "00:00", "end": "24:00"})


def at(text: str, zone: datetime.tzinfo = PARIS) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=zone)


def extension(start: str, until: str) -> hours.Extension:
    return hours.Extension(at(start), at(until), "alice", "training")


instants = st.datetimes(
    min_value=datetime.datetime(2026, 1, 1),  # noqa: DTZ001
    max_value=datetime.datetime(2029, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
clocks = st.builds(lambda hour, minute: f"{hour:02d}:{minute:02d}", st.integers(0, 23), st.integers(0, 59))
periods = st.builds(
    lambda days, begin, end: {
        "days": sorted(days, key=WEEK.index),
        "begin": begin,
        "end": end,
        "overnight": end < begin,
    },
    st.sets(st.sampled_from(WEEK), min_size=1),
    clocks,
    clocks,
).filter(lambda period: period["begin"] != period["end"])
schedules = st.builds(
    lambda found, zone: schedule(*found, zone=zone), st.lists(periods, max_size=4), st.sampled_from(ZONES)
)
extension_lists = st.lists(
    st.builds(
        lambda start, minutes: hours.Extension(start, start + datetime.timedelta(minutes=minutes)),
        instants,
        st.integers(1, 3000),
    ),
    max_size=3,
)


@pytest.mark.parametrize(
    ("moment", "desired"),
    [
        ("2027-01-15T08:59:59", "stopped"),
        ("2027-01-15T09:00:00", "running"),
        ("2027-01-15T17:59:59", "running"),
        ("2027-01-15T18:00:00", "stopped"),
        ("2027-01-16T12:00:00", "stopped"),
        ("2027-01-18T09:00:00", "running"),
        ("2027-07-15T09:00:00", "running"),
    ],
)
def test_office_hours(moment: str, desired: str) -> None:
    assert hours.decide(OFFICE, at(moment), None).desired == desired


@given(now=instants, period=periods, zone=st.sampled_from(ZONES))
def test_it_says_what_the_clock_on_the_wall_says(now: datetime.datetime, period: dict[str, Any], zone: str) -> None:
    local = now.astimezone(zoneinfo.ZoneInfo(zone))
    near = [now + datetime.timedelta(hours=step) for step in (-36, 36)]
    assume(len({moment.astimezone(local.tzinfo).utcoffset() for moment in near}) == 1)  # not where the clock jumps
    clock, day = f"{local:%H:%M}", local.weekday()
    on, before = WEEK[day] in period["days"], WEEK[day - 1] in period["days"]
    if period["overnight"]:
        expected = (on and clock >= period["begin"]) or (before and clock < period["end"])
    else:
        expected = on and period["begin"] <= clock < period["end"]
    assert hours.decide(schedule(period, zone=zone), now, None).desired == ("running" if expected else "stopped")


@given(now=instants, plan=schedules, extensions=extension_lists)
def test_an_extension_only_ever_adds(
    now: datetime.datetime, plan: hours.Schedule, extensions: list[hours.Extension]
) -> None:
    without = hours.decide(plan, now, None).desired
    having = hours.decide(plan, now, None, extensions).desired
    covered = any(one.start <= now < one.until for one in extensions)
    assert having == "running" if covered or without == "running" else having != "running"


@given(now=instants, plan=schedules, extensions=extension_lists)
def test_the_order_of_extensions_does_not_matter(
    now: datetime.datetime, plan: hours.Schedule, extensions: list[hours.Extension]
) -> None:
    one, other = (hours.decide(plan, now, None, order) for order in (extensions, extensions[::-1]))
    assert one.desired == other.desired


@given(now=instants, plan=schedules, extensions=extension_lists)
def test_what_was_done_a_moment_ago_is_left_alone(
    now: datetime.datetime, plan: hours.Schedule, extensions: list[hours.Extension]
) -> None:
    moment = datetime.timedelta(microseconds=1)
    before, after = (hours.decide(plan, when, None, extensions) for when in (now, now + moment))
    assume(before == after)
    assert hours.decide(plan, now + moment, now, extensions).desired in ("leave", before.desired)


@given(now=instants, plan=schedules, extensions=extension_lists, days=st.integers(10, 400))
def test_a_missed_run_is_caught_up(
    now: datetime.datetime, plan: hours.Schedule, extensions: list[hours.Extension], days: int
) -> None:
    """However long nobody ran it: an old transition changes nothing, unless the hours have no boundary at all."""
    long_ago = now - datetime.timedelta(days=days)
    having = hours.decide(plan, now, long_ago, extensions)
    assume(not any(one.start <= long_ago <= one.until for one in extensions))
    without = hours.decide(plan, now, None, extensions)
    recent = any(period.days for period in plan.periods)
    if recent and not _never_ends(plan):
        assert having.desired == without.desired


def _never_ends(plan: hours.Schedule) -> bool:
    start = datetime.datetime(2026, 1, 5, tzinfo=UTC)
    step = datetime.timedelta(minutes=1)
    return all(hours.decide(plan, start + n * 30 * step, None).desired == "running" for n in range(0, 7 * 48, 7))


def test_stopped_by_hand_stays_stopped_until_the_next_boundary() -> None:
    by_hand = at("2027-01-15T12:00:00")
    assert hours.decide(OFFICE, at("2027-01-15T12:05:00"), by_hand).desired == "leave"
    assert "Fri 12:00" in hours.decide(OFFICE, at("2027-01-15T12:05:00"), by_hand).reason
    assert hours.decide(OFFICE, at("2027-01-18T09:00:00"), by_hand).desired == "running"


def test_started_by_hand_in_the_evening_runs_until_the_next_evening() -> None:
    by_hand = at("2027-01-14T20:00:00")
    assert hours.decide(OFFICE, at("2027-01-14T21:00:00"), by_hand).desired == "leave"
    assert hours.decide(OFFICE, at("2027-01-15T18:00:00"), by_hand).desired == "stopped"


def test_always_leaves_alone_what_was_stopped_by_hand_however_long_ago() -> None:
    now = at("2027-06-15T12:00:00")
    assert hours.decide(ALWAYS, now, None).desired == "running"
    for days in (1, 8, 30):
        assert hours.decide(ALWAYS, now, now - datetime.timedelta(days=days)).desired == "leave"


def test_an_extension_starts_what_was_stopped_by_hand_before_it() -> None:
    asked = extension("2027-01-15T16:30:00", "2027-01-15T21:00:00")
    decision = hours.decide(OFFICE, at("2027-01-15T16:31:00"), at("2027-01-15T16:00:00"), [asked])
    assert decision == ("running", "extension until Fri 21:00 by alice: training")


def test_overlapping_extensions_never_cut_each_other() -> None:
    asked = [
        extension("2027-01-15T18:00:00", "2027-01-15T20:00:00"),
        extension("2027-01-15T19:00:00", "2027-01-15T22:00:00"),
    ]
    for moment, desired in (("20:00", "running"), ("21:59", "running"), ("22:00", "stopped")):
        assert hours.decide(OFFICE, at(f"2027-01-15T{moment}:00"), at("2027-01-15T09:00:00"), asked).desired == desired


@pytest.mark.parametrize(
    ("moment", "desired"),
    [
        ("2027-01-15T08:59:00", "stopped"),  # yesterday's stop
        ("2027-01-15T09:00:00", "running"),
        ("2027-01-15T19:59:00", "running"),
        ("2027-01-15T20:00:00", "stopped"),
    ],
)
def test_one_sided_periods(moment: str, desired: str) -> None:
    both = schedule({"days": WEEK[:5], "begin": "09:00"}, {"days": WEEK[:5], "end": "20:00"})
    assert hours.decide(both, at(moment), None).desired == desired


def test_stop_only_never_starts_and_start_only_never_stops() -> None:
    stop, start = schedule({"days": WEEK, "end": "20:00"}), schedule({"days": WEEK, "begin": "09:00"})
    for hour in range(24):
        now = at(f"2027-01-15T{hour:02d}:30:00")
        assert hours.decide(stop, now, None).desired == "stopped"
        assert hours.decide(start, now, None).desired == "running"
        assert hours.decide(stop, now, at("2027-01-14T20:30:00")).desired == ("leave" if hour < 20 else "stopped")


def test_no_periods_decide_nothing() -> None:
    assert hours.decide(schedule(), at("2027-01-15T12:00:00"), None).desired == "leave"


@pytest.mark.parametrize(
    ("moment", "desired"),
    [
        # 2027-03-28: 02:00 becomes 03:00; 02:30 does not exist and counts as 03:30
        ("2027-03-28T00:59:00+00:00", "stopped"),
        ("2027-03-28T01:29:00+00:00", "stopped"),
        ("2027-03-28T01:30:00+00:00", "running"),
        # 2027-10-31: 03:00 becomes 02:00; 02:30 is there twice, the first begins, the second ends
        ("2027-10-31T00:29:00+00:00", "stopped"),
        ("2027-10-31T00:30:00+00:00", "running"),
        ("2027-10-31T01:30:00+00:00", "running"),
    ],
)
def test_days_on_which_the_clock_jumps(moment: str, desired: str) -> None:
    early = schedule({"days": ["sun"], "begin": "02:30", "end": "18:00"})
    assert hours.decide(early, datetime.datetime.fromisoformat(moment), None).desired == desired


def test_an_end_that_is_there_twice_is_the_second() -> None:
    night = schedule({"days": ["sat"], "begin": "22:00", "end": "02:30", "overnight": True})
    for moment, desired in (("00:45", "running"), ("01:29", "running"), ("01:30", "stopped")):
        now = datetime.datetime.fromisoformat(f"2027-10-31T{moment}:00+00:00")
        assert hours.decide(night, now, None).desired == desired


@settings(max_examples=15)
@given(now=instants)
def test_office_hours_are_45_a_week_even_when_the_clock_jumps(now: datetime.datetime) -> None:
    monday = now.astimezone(PARIS).date() - datetime.timedelta(days=now.astimezone(PARIS).weekday())
    begin = datetime.datetime.combine(monday, datetime.time(0, 30), PARIS).astimezone(UTC)
    half = datetime.timedelta(minutes=30)
    running = sum(hours.decide(OFFICE, begin + n * half, None).desired == "running" for n in range(336))
    assert running == 90


def test_a_span_inside_another_does_not_shorten_it() -> None:
    hour = [at(f"2027-01-15T{clock:02d}:00:00") for clock in range(24)]
    assert hours.merge([(hour[9], hour[18]), (hour[10], hour[12]), (hour[18], hour[20])]) == [(hour[9], hour[20])]
    assert hours.merge([(hour[9], hour[9]), (hour[12], hour[10])]) == []


def test_a_start_and_a_stop_at_one_instant_start() -> None:
    both = schedule({"days": WEEK, "end": "12:00"}, {"days": WEEK, "begin": "12:00"})
    assert hours.decide(both, at("2027-01-15T12:00:00"), None).desired == "running"


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        hours.decide(OFFICE, datetime.datetime(2027, 1, 15, 12), None)  # noqa: DTZ001


@given(st.lists(st.tuples(instants, instants), max_size=6), instants)
def test_merge_is_the_union(spans: list[tuple[datetime.datetime, datetime.datetime]], probe: datetime.datetime) -> None:
    merged = hours.merge(spans)
    assert any(a <= probe < b for a, b in spans) == any(a <= probe < b for a, b in merged)
    assert all(first[1] < second[0] for first, second in itertools.pairwise(merged))
