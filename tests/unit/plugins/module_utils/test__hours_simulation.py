"""A replayed year breaks no promise; savings are told from what ran."""

from __future__ import annotations

import datetime
import random
import time

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _hours as hours
from ansible_collections.atelier.datalab.plugins.module_utils import (
    _hours_busy,
    _hours_calendar,
    _hours_history,
    _hours_savings,
    _hours_simulation,
)
from hypothesis import given
from hypothesis import strategies as st

UTC = datetime.UTC
HOUR = datetime.timedelta(hours=1)
YEAR = (datetime.datetime(2027, 1, 1, tzinfo=UTC), datetime.datetime(2028, 1, 1, tzinfo=UTC))
MONTH = (YEAR[0], YEAR[0] + datetime.timedelta(days=31))
SCHEDULES = _hours_calendar.read(
    [
        {"name": "office", "timezone": "Europe/Paris", "holidays": ["france"],
         "periods": [{"days": ["mon-fri"], "begin": "09:00", "end": "18:00"}]},
    ],
    {"holidays": {"france": {"country": "FR"}}},
)  # fmt: skip


def fleet(
    count: int, extensions: int = 0, within: tuple[datetime.datetime, datetime.datetime] = YEAR
) -> list[_hours_simulation.Imagined]:
    dice = random.Random(7)  # noqa: S311
    hours_of_it = int((within[1] - within[0]) / HOUR)
    made = []
    for n in range(count):
        asked = []
        for _ in range(extensions):
            begin = within[0] + dice.randrange(hours_of_it) * HOUR
            asked.append(hours.Extension(begin, begin + dice.randint(1, 8) * HOUR, "alice", "training"))
        made.append(_hours_simulation.Imagined(f"m{n}", f"p{n % 2}", "office", extensions=asked))
    return made


ROUGH = _hours_simulation.Chances(start_fails=0.1, stop_fails=0.1, missed=0.05, busy=0.3, silent=0.1, by_hand=0.001)


def test_a_year_of_failures_and_extensions_in_seconds() -> None:
    begun = time.process_time()
    world = _hours_simulation.World(SCHEDULES, _hours_busy.Rule(), ROUGH)
    found = _hours_simulation.replay(fleet(5, 30), world, YEAR)
    assert time.process_time() - begun < 30, "seconds of this process; about three where nothing else runs"
    assert found.runs + found.missed == 365 * 24 * 4
    assert found.cut == [], "stopped within an extension"
    assert min(found.missed, found.failures, found.deferred, found.warnings, found.by_hand) > 0


def test_steps_that_are_passed_over_would_have_decided_the_same() -> None:
    # Without failures, since the dice fall differently where a step is passed over.
    chances = _hours_simulation.Chances(missed=0.05, by_hand=0.002)
    worlds = [_hours_simulation.World(SCHEDULES, _hours_busy.Rule(), chances, every=every) for every in (False, True)]
    quick, slow = (_hours_simulation.replay(fleet(3, 10, MONTH), world, MONTH) for world in worlds)
    assert [one.ran for one in quick.machines] == [one.ran for one in slow.machines]
    assert (quick.starts, quick.stops, quick.warnings) == (slow.starts, slow.stops, slow.warnings)


def test_a_smooth_year_runs_the_hours_of_the_law() -> None:
    """2027 has 261 days from Monday to Friday; six holidays of France that are one, counted in a calendar by hand."""
    found = _hours_simulation.replay(fleet(1), _hours_simulation.World(SCHEDULES), YEAR)
    working = 261 - len(["1 Jan", "29 Mar", "6 May", "17 May", "14 Jul", "1 Nov", "11 Nov"])
    assert _hours_savings.total(found.machines[0].ran) == working * 9
    assert (found.starts, found.stops) == (working, working)


def test_whatever_is_missed_or_fails_every_extension_is_served_in_the_end() -> None:
    asked = hours.Extension(YEAR[0] + 20 * HOUR, YEAR[0] + 44 * HOUR, "alice", "run")
    (machine,) = fleet(1)
    machine.extensions = [asked]
    chances = _hours_simulation.Chances(start_fails=0.5, missed=0.5)
    _hours_simulation.replay([machine], _hours_simulation.World(SCHEDULES, chances=chances), MONTH)
    served = _hours_savings.total(_hours_savings.common(machine.ran, [(asked.start, asked.until)]))
    assert served >= 20


# -- savings

instants = st.integers(0, 200).map(lambda n: YEAR[0] + n * HOUR)
spans = st.lists(st.tuples(instants, instants), max_size=6)


@given(one=spans, other=spans, probe=instants)
def test_interval_algebra(one: list, other: list, probe: datetime.datetime) -> None:
    def inside(found: list) -> bool:
        return any(a <= probe < b for a, b in found)

    assert inside(_hours_savings.common(one, other)) == (inside(one) and inside(other))
    assert inside(_hours_savings.without(one, other)) == (inside(one) and not inside(other))


@given(ran=spans, bare=spans, extensions=spans, deferrals=spans)
def test_every_running_hour_is_owed_to_exactly_one_thing(
    ran: list, bare: list, extensions: list, deferrals: list
) -> None:
    one = _hours_savings.Ran("m", "p", "r", "t", ran, bare, extensions, deferrals)
    found = _hours_savings.parts(one)
    assert sum(found[part] for part in _hours_savings.PARTS) == pytest.approx(_hours_savings.total(ran))


def span(begin: float, end: float) -> tuple[datetime.datetime, datetime.datetime]:
    return YEAR[0] + begin * HOUR, YEAR[0] + end * HOUR


def test_savings_against_always_and_the_bare_schedule_in_euros() -> None:
    # On one day: hours 9 to 18; ran 8 to 23, of which 18 to 20 for an extension and 20 to 21 deferred.
    one = _hours_savings.Ran("m", "alpha", "eu", "big", [span(8, 23)], [span(9, 18)], [span(17, 20)], [span(20, 21)])
    prices = _hours_savings.Prices({"currency": "USD", "euros": 0.5, "regions": {"eu": {"instances": {"big": 4.0}}}})
    (row,) = _hours_savings.projects([one], *span(0, 24), prices)
    assert prices.currency == "EUR"
    assert row["hours"] == {
        "hours": 9, "extensions": 2, "deferrals": 1, "by_hand": 3, "ran": 15, "always": 24, "bare": 9,
    }  # fmt: skip
    assert row["cost"]["extensions"] == 4.0
    assert row["cost"]["deferrals"] == 2.0
    assert (row["saved"], row["above_bare"]) == (18.0, 12.0)
    assert row["share"] == pytest.approx(9 / 24)


def test_a_missing_price_is_named_and_a_missing_rate_is_not_called_euros() -> None:
    one = _hours_savings.Ran("m", "alpha", "eu", "rare", [span(0, 1)], [])
    prices = _hours_savings.Prices({"currency": "USD", "regions": {}})
    (row,) = _hours_savings.projects([one], *span(0, 24), prices)
    assert (row["missing"], prices.currency) == (["eu: rare"], "USD")


def test_the_chart_is_as_long_as_24_7_and_says_its_parts() -> None:
    one = _hours_savings.Ran("m", "alpha", "eu", "big", [span(0, 6)], [span(0, 6)])
    prices = _hours_savings.Prices({"currency": "EUR", "regions": {"eu": {"instances": {"big": 1.0}}}})
    drawn = str(_hours_savings.chart("x", _hours_savings.projects([one], *span(0, 24), prices), "EUR"))
    assert "75 % saved" in drawn
    assert "saved: 18.00 EUR" in drawn


# -- history


def test_a_history_survives_half_a_line_and_tells_when_machines_ran() -> None:
    now = YEAR[0] + 30 * HOUR
    rows = [{"id": "i-1", "name": "m", "action": "start", "reason": "hours"}]
    text = "".join(
        _hours_history.json.dumps(line) + "\n" for line in _hours_history.of_rows(rows, YEAR[0] + 9 * HOUR, {})
    )
    text += '{"at": "2027-01-01T18:00:00+00:00", "id": "i-1", "machine": "m", "action": "stop", "reason": "x"}\n'
    text += '{"at": "2027-01-01T19:00:00+00:00", "id": "i-1", "machine": "m", "action": "start", "error": "no"}\n'
    lines = list(_hours_history.read(text + '{"at": "2027-01-'))
    assert [order.action for order in _hours_history.orders(lines, now)["i-1"]] == ["start", "stop"]
    assert _hours_history.spans(lines, YEAR[0], now) == {"m": [span(9, 18)]}


def test_a_machine_whose_start_nobody_saw_ran_since_before() -> None:
    lines = list(
        _hours_history.read('{"at": "2027-01-01T18:00:00+00:00", "id": "i", "machine": "m", "action": "stop"}')
    )
    assert _hours_history.spans(lines, YEAR[0], YEAR[1]) == {"m": [span(0, 18)]}
