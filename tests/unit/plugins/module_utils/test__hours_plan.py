"""The plan: what the decision says, drawn, written as a calendar, and with what surprises pointed out."""

from __future__ import annotations

import datetime
import xml.etree.ElementTree as ET
from typing import Any

import icalendar
import pytest
from ansible_collections.atelier.datalab.plugins.action import hours_plan as action
from ansible_collections.atelier.datalab.plugins.module_utils import _hours as hours
from ansible_collections.atelier.datalab.plugins.module_utils import (
    _hours_calendar,
    _hours_conflicts,
    _hours_extensions,
    _hours_ical,
    _hours_picture,
    _hours_plan,
)

UTC = datetime.UTC
OFFICE = {
    "name": "office", "timezone": "Europe/Paris", "holidays": ["france"],
    "periods": [{"days": ["mon-fri"], "begin": "09:00", "end": "18:00"}],
}  # fmt: skip
CALENDAR = {
    "holidays": {"france": {"country": "FR"}},
    "freezes": [{"name": "move", "state": "leave", "begin": "2027-07-17", "end": "2027-07-18", "reason": "racks"}],
}
MACHINES = [
    {"name": "m1", "project": "alpha", "schedule": "office", "instance_type": "m6i.large"},
    {"name": "m2", "project": "alpha", "schedule": "none", "instance_type": "m6i.large"},
]
EXTENSIONS = [
    {
        "machine": "m1",
        "start": "2027-07-12T18:00:00+02:00",
        "until": "2027-07-12T21:30:00+02:00",
        "by": "alice",
        "reason": "<run>",
    }
]
PRICES = {
    "currency": "USD",
    "euros": 0.5,
    "regions": {"eu-west-1": {"instances": {"m6i.large": 0.2}}},
    "source": "test",
}


def plan(**more: Any) -> dict[str, Any]:
    asked = {
        "environment": "prod", "region": "eu-west-1", "machines": MACHINES, "schedules": [OFFICE], "calendar": CALENDAR,
        "extensions": _hours_extensions.read(EXTENSIONS), "prices": PRICES, "first": datetime.date(2027, 7, 12),
        "days": 7, "zone": "Europe/Paris",
    }  # fmt: skip
    return _hours_plan.report(_hours_plan.Asked(**(asked | more)))


def test_the_table_of_the_week_of_bastille_day() -> None:
    head, first, second, *rest = _hours_plan.lines(plan())
    assert head.split() == [
        "Mon",
        "12",
        "Jul",
        "Tue",
        "13",
        "Jul",
        "Wed",
        "14",
        "Jul",
        "Thu",
        "15",
        "Jul",
        "Fri",
        "16",
        "Jul",
        "Sat",
        "17",
        "Jul",
        "Sun",
        "18",
        "Jul",
    ]
    assert first.split() == [
        "m1",
        "09:00-21:30",
        "09:00-18:00",
        "-",
        "09:00-18:00",
        "09:00-18:00",
        "left",
        "alone",
        "left",
        "alone",
    ]
    assert second.split()[1:3] == ["no", "hours"]
    assert rest[0] == "closed: 2027-07-14 Fête nationale (office)"
    assert rest[1] == "freeze move, left alone until Mon 19 Jul 00:00: racks (office)"


def test_segments_are_what_the_decision_says_at_each_minute() -> None:
    schedule = _hours_calendar.read([OFFICE], CALENDAR)["office"]
    asked = [
        hours.Extension(datetime.datetime(2027, 7, 12, 15, tzinfo=UTC), datetime.datetime(2027, 7, 12, 20, tzinfo=UTC))
    ]
    begin, end = datetime.datetime(2027, 7, 11, tzinfo=UTC), datetime.datetime(2027, 7, 19, tzinfo=UTC)
    found = _hours_plan.segments(schedule, begin, end, asked)
    moment = begin
    while moment < end:
        wanted = hours.decide(schedule, moment, None, asked).desired
        here = [one.kind for one in found if one.begin <= moment < one.end]
        assert len(here) == (0 if wanted == "stopped" else 1), moment
        assert (here == ["alone"]) == (wanted == "leave"), moment
        moment += datetime.timedelta(minutes=7)


def test_what_the_hours_cover_is_not_drawn_as_an_extension() -> None:
    schedule = _hours_calendar.read([OFFICE], CALENDAR)["office"]
    begin = datetime.datetime(2027, 7, 12, tzinfo=UTC)
    asked = [hours.Extension(begin + datetime.timedelta(hours=9), begin + datetime.timedelta(hours=10))]
    assert [s.kind for s in _hours_plan.segments(schedule, begin, begin + datetime.timedelta(days=1), asked)] == [
        "hours"
    ]


def test_the_costs_of_the_plan() -> None:
    (alpha,) = plan()["planned"]
    # m1: 4 days of 9 hours, one prolonged by 3.5; m2 has no hours and runs the whole week.
    assert alpha["hours"]["hours"] == 4 * 9 + 168
    assert alpha["hours"]["extensions"] == 3.5
    assert alpha["cost"]["ran"] == pytest.approx((4 * 9 + 3.5 + 168) * 0.2 * 0.5)
    assert alpha["saved"] == pytest.approx((336 - 207.5) * 0.1)


def test_the_calendar_file_is_read_by_the_library_and_ids_stay() -> None:
    made = datetime.datetime(2027, 7, 1, tzinfo=UTC)
    one, other = (_hours_ical.calendar(plan(), made + datetime.timedelta(days=n)) for n in (0, 1))
    events = list(icalendar.Calendar.from_ical(one).walk("VEVENT"))
    found = [(str(e["summary"]), e.decoded("dtstart"), e.decoded("dtend")) for e in events]
    assert (
        "m1 runs (extension)",
        datetime.datetime(2027, 7, 12, 16, tzinfo=UTC),
        datetime.datetime(2027, 7, 12, 19, 30, tzinfo=UTC),
    ) in found
    assert ("Machines stay off: Fête nationale", datetime.date(2027, 7, 14), datetime.date(2027, 7, 15)) in found
    again = [str(e["uid"]) for e in icalendar.Calendar.from_ical(other).walk("VEVENT")]
    assert [str(e["uid"]) for e in events] == again
    assert len(set(again)) == len(again)
    assert all(line.endswith(b"\r") and len(line) <= 76 for line in one.split(b"\n")[:-1])


def test_the_picture_is_well_formed_and_places_things_by_the_clock() -> None:
    root = ET.fromstring(str(_hours_picture.draw(plan(), alone=True)))  # noqa: S314  our own text
    space = "{http://www.w3.org/2000/svg}"
    bars = [e for e in root.iter(f"{space}rect") if e.get("class") == "hours"]
    assert len(bars) == 4 + 1  # and its legend
    # 9 of 24 hours of a column of 112, which begins at 210.
    assert float(bars[0].get("x", 0)) == pytest.approx(210 + 112 * 9 / 24, abs=0.1)
    assert float(bars[0].get("width", 0)) == pytest.approx(112 * 9 / 24, abs=0.1)
    (extended, _) = [e for e in root.iter(f"{space}rect") if e.get("class") == "extension"]
    assert float(extended.get("width", 0)) == pytest.approx(112 * 3.5 / 24, abs=0.1)
    titles = [e.text for e in root.iter(f"{space}title")]
    assert any("<run>" in (text or "") for text in titles), "escaped once, read back as it was"
    assert len([e for e in root.iter(f"{space}rect") if e.get("class") == "closed"]) == 2  # the day and its legend


def test_a_day_of_23_hours_is_as_wide_as_another() -> None:
    always = {"name": "office", "timezone": "Europe/Paris", "periods": [{"begin": "00:00", "end": "24:00"}]}
    march = plan(first=datetime.date(2027, 3, 26), days=3, schedules=[always], calendar={}, machines=MACHINES[:1])
    drawn = str(_hours_picture.draw(march))
    assert f'width="{112 * 3:.1f}"' in drawn


def test_many_machines_with_equal_hours_share_a_row() -> None:
    many = [MACHINES[0] | {"name": f"m{n:03d}"} for n in range(200)]
    drawn = str(_hours_picture.draw(plan(machines=many, extensions={})))
    assert "alpha: 200 machines" in drawn
    assert drawn.count('class="name"') == 1


def test_the_page_escapes_what_people_wrote() -> None:
    page = action.page(plan())
    assert "&lt;run&gt;" in page
    assert "<run>" not in page
    assert "7 days: 2 machines run 207.5 of 336 hours" in page


def problems(*periods: dict[str, Any], calendar: dict[str, Any] | None = None, **more: Any) -> list[str]:
    data = {"name": "s", "timezone": "Europe/Paris", "periods": list(periods)} | more
    schedules = _hours_calendar.read([data], calendar)
    found = _hours_conflicts.problems(schedules, calendar or {}, ["s"], datetime.date(2027, 1, 15))
    assert all(one.instead for one in found)
    return [f"{one.where}: {one.why}" for one in found]


DAY = {"days": ["mon-fri"], "begin": "09:00", "end": "18:00"}


@pytest.mark.parametrize(
    ("periods", "said"),
    [
        ([DAY], None),
        ([DAY, {"days": ["tue"], "begin": "10:00", "end": "12:00"}], "period 2 (10:00-12:00): it changes nothing"),
        ([DAY, {"days": ["tue"], "begin": "10:00", "end": "19:00"}], None),
        ([DAY, {"days": ["tue"], "end": "12:00"}], "period 2 (...-12:00): it changes nothing"),
        ([DAY, {"days": ["tue"], "end": "20:00"}], None),  # it stops what was started by hand
        ([DAY, {"month_days": [30], "months": ["feb"], "end": "12:00"}], "its days never come"),
        ([DAY | {"end": "12:00"}, DAY | {"begin": "12:10"}], "stops at Fri 12:00 and starts again 10 minutes later"),
        (
            [DAY | {"instance_type": "m6i.large"}, DAY | {"instance_type": "m6i.xlarge", "end": "19:00"}],
            "both begin at 09:00, as m6i.large and m6i.xlarge",
        ),
        (
            [DAY | {"instance_type": "m6i.large"}, DAY | {"begin": "12:00", "instance_type": "m6i.xlarge"}],
            "it changes the instance type while machines run",
        ),
    ],
)
def test_conflicts_and_periods_without_effect_are_pointed_out(periods: list[dict[str, Any]], said: str | None) -> None:
    found = problems(*periods)
    assert (not found) if said is None else any(said in one for one in found), found


def test_a_period_that_is_always_closed_is_pointed_out() -> None:
    calendar = {"holidays": {"fr": {"country": "FR"}}}
    new_year = {"months": ["jan"], "month_days": [1], "begin": "09:00", "end": "18:00"}
    assert any(
        "each of its days is closed" in one for one in problems(DAY, new_year, calendar=calendar, holidays=["fr"])
    )
    only = DAY | {"months": ["feb"], "holidays": "only"}
    assert any(
        "each of its days is a working day" in one for one in problems(DAY, only, calendar=calendar, holidays=["fr"])
    )


def test_freezes_and_days_that_are_over_or_change_nothing() -> None:
    freezes = [
        {"name": "old", "state": "leave", "begin": "2026-01-01", "end": "2026-01-02", "reason": "x"},
        {"name": "weekend", "state": "stopped", "begin": "2027-01-23", "end": "2027-01-24", "reason": "x"},
        {"name": "week", "state": "stopped", "begin": "2027-01-25", "end": "2027-01-29", "reason": "x"},
    ]
    found = problems(DAY, calendar={"freezes": freezes, "company_days": [{"date": "2026-12-24", "name": "Eve"}]})
    assert found == [
        "freeze old: it is over",
        "freeze weekend: nothing would run in it anyway",
        "company day Eve: it is over",
    ]


def test_a_schedule_that_nobody_has_and_an_extension_for_nobody() -> None:
    wanted = [OFFICE, OFFICE | {"name": "spare"}]
    extensions = _hours_extensions.read([EXTENSIONS[0] | {"machine": "gone"}])
    found = [f"{one['where']}: {one['why']}" for one in plan(schedules=wanted, extensions=extensions)["problems"]]
    assert "schedule spare: no machine has it" in found
    assert any(one.startswith("gone, extension") and one.endswith("no such machine has hours") for one in found)
