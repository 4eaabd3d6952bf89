"""Ten years of holidays of France, Germany and Belgium against their laws; company days and freezes.

The lists are written from the laws: fixed days, and days counted from Easter, which is computed here by Gauss's rule in
the form of Meeus, Jones and Butcher (J. Meeus, Astronomical Algorithms, chapter 8) and not by the library under test.
"""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _hours as hours
from ansible_collections.atelier.datalab.plugins.module_utils import _hours_calendar as hc

YEARS = range(2025, 2035)
DAY = datetime.timedelta(days=1)


def easter(year: int) -> datetime.date:
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    el = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 19 * el) // 433
    month = (h + el - 7 * m + 90) // 25
    return datetime.date(year, month, (h + el - 7 * m + 33 * month + 19) % 32)


# Days after Easter Sunday, or (month, day).
GOOD_FRIDAY, EASTER, EASTER_MONDAY, ASCENSION, PENTECOST, WHIT_MONDAY, CORPUS_CHRISTI = -2, 0, 1, 39, 49, 50, 60
# Code du travail, article L3133-1.
FRANCE: list[Any] = [
    (1, 1), EASTER_MONDAY, (5, 1), (5, 8), ASCENSION, WHIT_MONDAY, (7, 14), (8, 15), (11, 1), (11, 11), (12, 25),
]  # fmt: skip
# Code local d'Alsace-Moselle (ordonnance du 16 août 1892), there besides.
ALSACE = [*FRANCE, GOOD_FRIDAY, (12, 26)]
# Loi du 4 janvier 1974 and arrêté royal du 18 avril 1974, article 1; Sundays that Easter and Pentecost are, besides.
BELGIUM = [
    (1, 1), EASTER_MONDAY, (5, 1), ASCENSION, WHIT_MONDAY, (7, 21), (8, 15), (11, 1), (11, 11), (12, 25),
]  # fmt: skip
# In every Land, by its own law and by the Einigungsvertrag (3 October).
GERMANY = [(1, 1), GOOD_FRIDAY, EASTER_MONDAY, (5, 1), ASCENSION, WHIT_MONDAY, (10, 3), (12, 25), (12, 26)]
# Gesetz über den Schutz der Sonn- und Feiertage, article 1 (Bavaria, where most people are Catholic in most places).
BAVARIA = [*GERMANY, (1, 6), CORPUS_CHRISTI, (11, 1)]
# Gesetz über die Sonn- und Feiertage (Berlin); 8 May 2025 and 17 June 2028 are holidays once, see below.
BERLIN = [*GERMANY, (3, 8)]
# SächsSFG: Reformation Day, and the Wednesday before 23 November, see below.
SAXONY = [*GERMANY, (10, 31)]
BRANDENBURG = [*GERMANY, EASTER, PENTECOST, (10, 31)]


def by_law(rules: list[Any], year: int) -> set[datetime.date]:
    sunday = easter(year)
    return {datetime.date(year, *rule) if isinstance(rule, tuple) else sunday + rule * DAY for rule in rules}


def computed(year: int, country: str, region: str | None = None) -> set[datetime.date]:
    calendar = hc.Calendar({"holidays": {"one": {"country": country} | ({"region": region} if region else {})}})
    return set(calendar.days(["one"], datetime.date(year, 1, 1), datetime.date(year, 12, 31)))


@pytest.mark.parametrize(
    ("year", "day"),
    [
        # Published by the Bundesanstalt and the Bureau des longitudes: early, late and ordinary ones.
        (2025, (4, 20)), (2026, (4, 5)), (2027, (3, 28)), (2028, (4, 16)), (2029, (4, 1)), (2030, (4, 21)),
        (2031, (4, 13)), (2032, (3, 28)), (2033, (4, 17)), (2034, (4, 9)), (2038, (4, 25)), (1818, (3, 22)),
    ],
)  # fmt: skip
def test_the_easter_of_this_test_is_the_published_one(year: int, day: tuple[int, int]) -> None:
    assert easter(year) == datetime.date(year, *day)


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize(
    ("country", "region", "rules"),
    [
        ("FR", None, FRANCE), ("FR", "57", ALSACE), ("DE", None, GERMANY), ("DE", "BY", BAVARIA), ("DE", "BE", BERLIN),
        ("DE", "SN", SAXONY), ("DE", "BB", BRANDENBURG), ("BE", None, BELGIUM),
    ],
)  # fmt: skip
def test_holidays_are_those_of_the_law(year: int, country: str, region: str | None, rules: list[Any]) -> None:
    expected = by_law(rules, year)
    if region == "SN":
        before = datetime.date(year, 11, 22)
        expected.add(before - (before.weekday() - 2) % 7 * DAY)  # Buß- und Bettag
    if region == "BE":
        expected |= {d for d in (datetime.date(2025, 5, 8), datetime.date(2028, 6, 17)) if d.year == year}
    found = computed(year, country, region)
    # A Sunday that is a holiday closes nothing that is not closed anyway where it is one only to some.
    assert {d for d in found if d.weekday() < 6} == {d for d in expected if d.weekday() < 6}
    assert found - expected <= {easter(year), easter(year) + PENTECOST * DAY}


def test_an_unknown_country_or_region_says_what_to_write() -> None:
    assert hc.supported("FR") is None
    assert hc.supported("XX") == (
        "country", "is no country whose holidays are known", "write its two letters, such as FR, DE or BE",
    )  # fmt: skip
    key, why, instead = hc.supported("DE", "XX") or ("", "", "")
    assert (key, why) == ("region", "is no region of DE")
    assert "BY" in instead


CALENDAR = {
    "holidays": {"france": {"country": "FR"}, "belgium": {"country": "BE"}},
    "company_days": [
        {"date": "2027-05-07", "name": "Bridge", "holidays": ["france"]},
        {"date": "2027-12-27", "until": "2027-12-31", "name": "Year's end"},
    ],
    "freezes": [
        {"name": "move", "state": "stopped", "begin": "2027-03-01 12:00", "end": "2027-03-02", "reason": "move"},
        {"name": "closing", "state": "leave", "begin": "2027-03-08", "end": "2027-03-09", "reason": "audit",
         "schedules": ["office"]},
    ],
}  # fmt: skip


def read(name: str = "office", **more: Any) -> hours.Schedule:
    data = {
        "name": name, "timezone": "Europe/Paris", "holidays": ["france"],
        "periods": [{"days": ["mon-fri"], "begin": "09:00", "end": "18:00"}],
    }  # fmt: skip
    return hc.read([data | more], CALENDAR)[name]


def desired(one: hours.Schedule, moment: str) -> hours.Decision:
    return hours.decide(one, datetime.datetime.fromisoformat(moment), None)


@pytest.mark.parametrize(
    ("moment", "state", "said"),
    [
        ("2027-07-14T10:00:00+02:00", "stopped", "a closed day: Fête nationale"),
        ("2027-07-15T10:00:00+02:00", "running", ""),
        ("2027-05-07T10:00:00+02:00", "stopped", "a closed day: Bridge"),
        ("2027-12-29T10:00:00+01:00", "stopped", "a closed day: Year's end"),
        ("2027-03-01T11:00:00+01:00", "running", ""),
        ("2027-03-01T13:00:00+01:00", "stopped", "freeze move, kept stopped until Wed 03 Mar 00:00: move"),
        ("2027-03-03T10:00:00+01:00", "running", ""),
        ("2027-03-08T10:00:00+01:00", "leave", "freeze closing, left alone"),
        ("2027-03-10T10:00:00+01:00", "running", ""),
    ],
)
def test_closed_days_and_freezes(moment: str, state: str, said: str) -> None:
    found = desired(read(), moment)
    assert found.desired == state
    assert said in found.reason


def test_company_days_of_others_and_freezes_of_others_do_no_harm() -> None:
    assert desired(read(holidays=["belgium"]), "2027-05-07T10:00:00+02:00").desired == "running"
    assert desired(read("other"), "2027-03-08T10:00:00+01:00").desired == "running"


def test_without_holidays_no_day_is_closed() -> None:
    assert desired(read(holidays=[]), "2027-07-14T10:00:00+02:00").desired == "running"
    assert desired(read(holidays=[]), "2027-12-29T10:00:00+01:00").desired == "running"


def test_an_extension_runs_on_a_holiday_and_in_a_freeze() -> None:
    for moment in ("2027-07-14T10:00:00+02:00", "2027-03-01T13:00:00+01:00", "2027-03-08T10:00:00+01:00"):
        now = datetime.datetime.fromisoformat(moment)
        asked = hours.Extension(now, now + datetime.timedelta(hours=1), "alice", "training")
        assert hours.decide(read(), now, None, [asked]).desired == "running"


def test_a_night_that_began_before_a_holiday_goes_on_into_it() -> None:
    night = read(periods=[{"days": ["mon-sun"], "begin": "22:00", "end": "05:00", "overnight": True}])
    assert desired(night, "2027-07-14T03:00:00+02:00").desired == "running"
    assert desired(night, "2027-07-14T23:00:00+02:00").desired == "stopped"


def test_a_set_that_nobody_wrote_is_refused() -> None:
    with pytest.raises(hc.CalendarError, match=r"calendar\.holidays has no spain"):
        read(holidays=["spain"])
