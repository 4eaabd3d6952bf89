"""Words of periods: which days they are, and which words mean nothing."""

from __future__ import annotations

import calendar
import datetime
import itertools
import zoneinfo
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _hours_schedule as hs
from hypothesis import given
from hypothesis import strategies as st

dates = st.dates(datetime.date(2024, 1, 1), datetime.date(2032, 12, 31))


def days(**fields: list[Any]) -> hs.Days:
    return hs.read_days(fields)


def of_month(year: int, month: int, **fields: list[Any]) -> list[int]:
    rule = days(**fields)
    last = calendar.monthrange(year, month)[1]
    return [day for day in range(1, last + 1) if datetime.date(year, month, day) in rule]


# January 2027 begins on a Friday and has five of Friday, Saturday and Sunday; February has 28 days from a Monday on.
@pytest.mark.parametrize(
    ("fields", "month", "expected"),
    [
        ({"days": ["mon"]}, 1, [4, 11, 18, 25]),
        ({"days": ["mon-wed"]}, 2, [1, 2, 3, 8, 9, 10, 15, 16, 17, 22, 23, 24]),
        ({"days": ["sat-mon"]}, 1, [2, 3, 4, 9, 10, 11, 16, 17, 18, 23, 24, 25, 30, 31]),
        ({"days": ["mon/3"]}, 1, [3, 4, 7, 10, 11, 14, 17, 18, 21, 24, 25, 28, 31]),
        ({"days": ["mon-fri/2"]}, 2, [1, 3, 5, 8, 10, 12, 15, 17, 19, 22, 24, 26]),
        ({"days": ["mon#1"]}, 1, [4]),
        ({"days": ["fri#5"]}, 1, [29]),
        ({"days": ["fri#5"]}, 2, []),
        ({"days": ["friL"]}, 1, [29]),
        ({"days": ["friL"]}, 2, [26]),
        ({"days": ["mon#1", "friL"]}, 2, [1, 26]),
        ({"month_days": [1, "15-17"]}, 1, [1, 15, 16, 17]),
        ({"month_days": ["L"]}, 2, [28]),
        ({"month_days": ["26-L"]}, 2, [26, 27, 28]),
        ({"month_days": ["20-L/3"]}, 1, [20, 23, 26, 29]),
        ({"month_days": ["1/7"]}, 1, [1, 8, 15, 22, 29]),
        ({"month_days": ["1/7"]}, 2, [1, 8, 15, 22]),
        ({"month_days": ["10-20/5"]}, 1, [10, 15, 20]),
        ({"month_days": ["16W"]}, 1, [15]),  # a Saturday: the Friday before
        ({"month_days": ["17W"]}, 1, [18]),  # a Sunday: the Monday after
        ({"month_days": ["31W"]}, 1, [29]),  # a Sunday at the end: not into the next month
        ({"month_days": ["31W"]}, 2, []),
        ({"months": ["feb"]}, 1, []),
        ({"months": ["nov-feb"], "month_days": [1]}, 1, [1]),
        ({"months": ["jan/3"], "month_days": [1]}, 2, []),
        # Both must fit, as in Instance Scheduler; cron would take either.
        ({"days": ["mon"], "month_days": ["1-7"]}, 1, [4]),
        ({}, 2, list(range(1, 29))),
    ],
)
def test_days_of_a_month(fields: dict[str, list[Any]], month: int, expected: list[int]) -> None:
    assert of_month(2027, month, **fields) == expected


def test_the_first_of_a_month_on_a_saturday_goes_forward() -> None:
    assert of_month(2027, 5, month_days=["1W"]) == [3]


def test_steps_over_the_end_of_the_year_go_on() -> None:
    rule = days(months=["nov-mar/2"], month_days=[1])
    assert [m for m in range(1, 13) if datetime.date(2027, m, 1) in rule] == [1, 3, 11]


@given(date=dates, weekday=st.integers(0, 6))
def test_every_weekday_of_a_month_is_an_nth_and_one_is_the_last(date: datetime.date, weekday: int) -> None:
    name = hs.DAYS[weekday]
    nth = [n for n in range(1, 6) if date in days(days=[f"{name}#{n}"])]
    weeks = [week[weekday] for week in calendar.monthcalendar(date.year, date.month) if week[weekday]]
    assert nth == ([weeks.index(date.day) + 1] if date.weekday() == weekday else [])
    assert (date in days(days=[f"{name}L"])) == (date.day == weeks[-1])


@given(date=dates, day=st.integers(1, 31))
def test_the_nearest_weekday_is_a_working_day_of_the_month_and_near(date: datetime.date, day: int) -> None:
    last = calendar.monthrange(date.year, date.month)[1]
    rule = days(month_days=[f"{day}W"])
    found = [d for d in range(1, last + 1) if date.replace(day=d) in rule]
    if day > last:
        assert found == []
        return
    working = [d for d in range(1, last + 1) if date.replace(day=d).weekday() < 5]
    assert found == [min(working, key=lambda d: abs(d - day))]


@pytest.mark.parametrize(
    ("field", "word"),
    [
        ("days", "monday"), ("days", "mon#6"), ("days", "mon#0"), ("days", "L"), ("days", "1"), ("days", "mon-"),
        ("days", "mon/0"), ("days", ""), ("month_days", "0"), ("month_days", "32"), ("month_days", "20-10"),
        ("month_days", "L-3"), ("month_days", "mon"), ("month_days", "32W"), ("months", "13"), ("months", "L"),
        ("months", "jan/x"), ("months", "january"),
    ],
)  # fmt: skip
def test_words_that_mean_nothing_are_refused_with_what_to_write(field: str, word: str) -> None:
    assert (hs.day_problem(field, word) or "").startswith("write ")


@given(field=st.sampled_from(["days", "month_days", "months"]), word=st.text(max_size=8))
def test_a_word_is_refused_or_read_never_both(field: str, word: str) -> None:
    if hs.day_problem(field, word) is None:
        assert isinstance(days(**{field: [word]}), hs.Days)
    elif word:
        with pytest.raises(ValueError, match=r"(?s).*"):
            days(**{field: [word]})


PARIS = zoneinfo.ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("text", "end", "expected"),
    [
        ("2027-07-14", False, "2027-07-13T22:00:00+00:00"),
        ("2027-07-14", True, "2027-07-14T22:00:00+00:00"),  # a day alone lasts until it is over
        ("2027-07-14 18:00", True, "2027-07-14T16:00:00+00:00"),
        (datetime.date(2027, 1, 2), False, "2027-01-01T23:00:00+00:00"),
        ("2027-07-14T18:00:00+00:00", False, "2027-07-14T18:00:00+00:00"),
    ],
)
def test_moments_of_the_calendar(text: Any, end: bool, expected: str) -> None:
    assert hs.moment(text, PARIS, end=end).isoformat() == expected


def test_a_closed_day_takes_away_begins_never_a_stop() -> None:
    closed = lambda _: "a holiday"  # noqa: E731
    date = datetime.date(2027, 7, 14)
    sides = {"both": ("09:00", "18:00"), "start": ("09:00", None), "stop": (None, "20:00")}
    for (side, (begin, end)), holidays in itertools.product(sides.items(), (hs.SKIP, hs.RUN, hs.ONLY)):
        period = hs.Period(hs.Days(), begin, end, holidays=holidays)
        assert period.begins(date, closed) == (holidays != hs.SKIP or side == "stop"), (side, holidays)
        assert period.begins(date, hs.open_always) == (holidays != hs.ONLY), (side, holidays)
