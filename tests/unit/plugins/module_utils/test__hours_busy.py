"""Closing time: deferred in steps to a cap, warned of before, and which side wins over a silent or lying probe."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _hours as hours
from ansible_collections.atelier.datalab.plugins.module_utils import _hours_busy as hb
from hypothesis import given
from hypothesis import strategies as st

UTC, MINUTE = datetime.UTC, datetime.timedelta(minutes=1)
CLOSING = datetime.datetime(2027, 3, 1, 18, tzinfo=UTC)
RULE = hb.Rule(step_minutes=30, cap_minutes=120, fresh_minutes=10)


def report(at: datetime.datetime, busy: bool = True, *signs: str, cpu: float | None = None) -> hb.Report:
    return hb.Report(at, busy, signs or (("kernel of alice executing",) if busy else ()), cpu)


@pytest.mark.parametrize(("minutes", "until"), [(0, 30), (5, 30), (29, 30), (30, 60), (50, 60), (95, 120), (119, 120)])
def test_a_busy_machine_is_deferred_in_steps_from_closing_time(minutes: int, until: int) -> None:
    now = CLOSING + minutes * MINUTE
    found = hb.defer(CLOSING, now, report(now), RULE)
    assert found == hb.Deferral(CLOSING + until * MINUTE, "deferred, busy: kernel of alice executing")


def test_the_cap_ends_it_and_says_so() -> None:
    now = CLOSING + 120 * MINUTE
    found = hb.defer(CLOSING, now, report(now), RULE)
    assert found == hb.Refusal("busy: kernel of alice executing, but 120 minutes of deferral are the cap")


def test_what_was_told_is_kept_though_it_is_idle_by_then() -> None:
    now = CLOSING + 10 * MINUTE
    found = hb.defer(CLOSING, now, report(now, False), RULE, CLOSING + 30 * MINUTE)
    assert isinstance(found, hb.Deferral)
    assert isinstance(hb.defer(CLOSING, CLOSING + 30 * MINUTE, report(CLOSING + 30 * MINUTE, False), RULE), hb.Refusal)


def test_what_was_told_never_goes_past_the_cap() -> None:
    now = CLOSING + 121 * MINUTE
    assert isinstance(hb.defer(CLOSING, now, report(now), RULE, CLOSING + 500 * MINUTE), hb.Refusal)


# The table of probe outputs: what it said, how old, and which side the rule gives it.
@pytest.mark.parametrize(
    ("said", "state", "words"),
    [
        (None, hb.SILENT, "never said anything"),
        (report(CLOSING - 11 * MINUTE), hb.SILENT, "silent for 11 minutes"),
        (report(CLOSING - 10 * MINUTE), hb.BUSY, "kernel of alice executing"),
        (report(CLOSING, True, "GPU at 90 %", "tmux of bob", cpu=1.0), hb.BUSY, "GPU at 90 %, tmux of bob"),
        (report(CLOSING + 1 * MINUTE), hb.BUSY, "busy"),
        (report(CLOSING + 5 * MINUTE), hb.LYING, "from the future"),
        (hb.Report(CLOSING, True), hb.LYING, "names nothing"),
        (report(CLOSING, False, cpu=97.0), hb.LYING, "idle while the processor is at 97 %"),
        (report(CLOSING, False, cpu=3.0), hb.IDLE, "idle"),
        (report(CLOSING, False), hb.IDLE, "idle"),
    ],
)
def test_what_a_probe_says(said: hb.Report | None, state: str, words: str) -> None:
    found, told = hb.judge(said, CLOSING, RULE)
    assert found == state
    assert words in told


@pytest.mark.parametrize("side", [hb.WAIT, hb.STOP])
@pytest.mark.parametrize(("kind", "said"), [("silent", None), ("lying", hb.Report(CLOSING, True))])
def test_the_rule_says_which_side_wins_and_it_is_in_the_reason(side: str, kind: str, said: hb.Report | None) -> None:
    found = hb.defer(CLOSING, CLOSING, said, hb.Rule(**{kind: side}))
    assert isinstance(found, hb.Deferral) == (side == hb.WAIT)
    assert f"the rule for {kind} probes says {side}" in found.reason


@given(
    minutes=st.integers(0, 600), busy=st.booleans(), step=st.integers(1, 90), cap=st.integers(1, 300),
    granted=st.none() | st.integers(0, 600),
)  # fmt: skip
def test_never_past_the_cap_and_never_into_the_past(
    minutes: int, busy: bool, step: int, cap: int, granted: int | None
) -> None:
    now = CLOSING + minutes * MINUTE
    told = None if granted is None else CLOSING + granted * MINUTE
    found = hb.defer(CLOSING, now, report(now, busy), hb.Rule(step_minutes=step, cap_minutes=cap), told)
    if isinstance(found, hb.Deferral):
        assert now < found.until <= CLOSING + cap * MINUTE
    else:
        assert not busy or minutes >= cap


STOP = CLOSING + 60 * MINUTE


@pytest.mark.parametrize(
    ("before", "sent", "due"),
    [
        (31, (), None), (30, (), 30), (30, (30,), None), (12, (30,), None), (10, (30,), 10), (9, (30, 10), None),
        (2, (30, 10), 2), (1, (30, 10, 2), None), (0, (), None), (-5, (), None),
        (5, (), 10),  # runs were missed: one warning, the nearest, not two
        (1, (30,), 2),
    ],
)  # fmt: skip
def test_warnings_are_due_30_10_and_2_minutes_before(before: int, sent: tuple[int, ...], due: int | None) -> None:
    assert hb.due(STOP, STOP - before * MINUTE, RULE, sent) == due


def test_a_late_warning_says_what_is_left() -> None:
    text = hb.warning("m", STOP, STOP - 5 * MINUTE, UTC, "outside hours office")
    assert text == "m stops in 5 minutes, at 19:00: outside hours office. Extend it to keep it."


OFFICE = hours.read_schedule(
    {"name": "office", "timezone": "UTC", "periods": [{"days": ["mon-fri"], "begin": "09:00", "end": "18:00"}]}
)


def test_the_decision_waits_for_a_busy_machine_and_says_until_when() -> None:
    machine = hours.Machine(state="running", since=CLOSING - 540 * MINUTE, report=report(CLOSING))
    found = hours.judge(OFFICE, CLOSING, machine, RULE)
    assert (found.desired, found.kind, found.until) == ("leave", "deferred", CLOSING + 30 * MINUTE)
    assert found.reason == "outside hours office; deferred, busy: kernel of alice executing"
    assert hours.judge(OFFICE, CLOSING, machine).desired == "stopped", "without a rule closing time is closing time"


def test_a_machine_that_is_off_is_not_deferred() -> None:
    machine = hours.Machine(state="stopped", report=report(CLOSING))
    assert hours.judge(OFFICE, CLOSING, machine, RULE).desired == "stopped"


def test_who_started_it_late_has_the_steps_from_then_on() -> None:
    strict = hours.read_schedule(
        {"name": "s", "timezone": "UTC", "periods": [{"begin": "09:00", "end": "18:00"}], "enforced": True}
    )
    late = CLOSING + 300 * MINUTE
    machine = hours.Machine(state="running", since=late, report=report(late))
    found = hours.judge(strict, late, machine, RULE)
    assert found.until == late + 30 * MINUTE
