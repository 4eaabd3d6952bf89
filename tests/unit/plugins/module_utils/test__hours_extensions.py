"""Extensions: one union, capped by rule, ending by themselves, each answer a record."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _hours as hours
from ansible_collections.atelier.datalab.plugins.module_utils import _hours_extensions as he
from hypothesis import given
from hypothesis import strategies as st

UTC = datetime.UTC
NOW = datetime.datetime(2027, 3, 1, 18, tzinfo=UTC)
HOUR = datetime.timedelta(hours=1)
RULE = he.Rule(longest_hours=12, week_hours=40, ahead_days=14)


def held(*spans: tuple[float, float]) -> list[he.Extension]:
    return [he.Extension(NOW + begin * HOUR, NOW + end * HOUR, "alice", "x") for begin, end in spans]


def ask(until: float, start: float | None = None, by: str = "alice", reason: str = "training") -> he.Ask:
    return he.Ask("m", by, NOW + until * HOUR, reason, None if start is None else NOW + start * HOUR)


def test_granted_and_recorded() -> None:
    answer = he.grant(ask(3), [], RULE, NOW, ["alice"])
    assert answer.extension == he.Extension(NOW, NOW + 3 * HOUR, "alice", "training")
    assert answer.record == {
        "at": "2027-03-01T18:00:00+00:00", "machine": "m", "by": "alice", "reason": "training",
        "asked_until": "2027-03-01T21:00:00+00:00", "granted": True, "until": "2027-03-01T21:00:00+00:00",
        "answer": "granted",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (ask(3, by="mallory"), "not a member"),
        (ask(3, reason="  "), "what it is for"),
        (ask(-1), "end before it begins"),
        (ask(400, start=399), "at most 14 days ahead"),
    ],
)
def test_refused_with_the_rule_and_recorded(asked: he.Ask, said: str) -> None:
    answer = he.grant(asked, [], RULE, NOW, ["alice"])
    assert answer.extension is None
    assert said in answer.reason
    assert (answer.record["granted"], answer.record["answer"]) == (False, answer.reason)


def test_longer_than_the_rule_is_cut_and_says_so() -> None:
    answer = he.grant(ask(20), [], RULE, NOW)
    assert answer.extension is not None
    assert answer.extension.until == NOW + 12 * HOUR
    assert answer.reason == "capped at 12 hours without a gap"


def test_a_week_has_its_own_cap() -> None:
    before = held((-100, -90), (-80, -70), (-60, -50), (-40, -35))  # 35 hours in the last seven days
    answer = he.grant(ask(9), before, RULE, NOW)
    assert answer.extension is not None
    assert answer.extension.until == NOW + 5 * HOUR
    assert answer.reason == "capped at 40 hours in seven days"


def test_what_is_longer_ago_than_a_week_counts_no_more() -> None:
    answer = he.grant(ask(9), held((-200, -170)), RULE, NOW)
    assert answer.reason == "granted"


hours_of_it = st.integers(0, 200)
lists = st.lists(st.tuples(hours_of_it, st.integers(1, 30)).map(lambda p: (p[0], p[0] + p[1])), max_size=8)


@given(spans=lists, longest=st.integers(1, 20), week=st.integers(1, 60))
def test_what_is_left_keeps_the_rule_and_never_adds(spans: list[tuple[int, int]], longest: int, week: int) -> None:
    rule = he.Rule(longest, week)
    asked = held(*spans)
    kept = he.effective(asked, rule)
    for minutes in range(0, 232 * 60, 60):
        moment = NOW + minutes * datetime.timedelta(minutes=1)
        if any(one.start <= moment < one.until for one in kept):
            assert any(one.start <= moment < one.until for one in asked)
    unions = hours.merge([(one.start, one.until) for one in kept])
    assert all(end - begin <= longest * HOUR for begin, end in unions)
    for _, end in unions:
        inside = [(max(a, end - 168 * HOUR), min(b, end)) for a, b in unions if b > end - 168 * HOUR and a < end]
        assert sum(((b - a) for a, b in inside), datetime.timedelta()) <= week * HOUR


@given(spans=lists)
def test_without_a_rule_everything_is_left(spans: list[tuple[int, int]]) -> None:
    asked = held(*spans)
    assert sorted(he.effective(asked, he.Rule()), key=str) == sorted(asked, key=str)


OFFICE = hours.read_schedule(
    {"name": "office", "timezone": "UTC", "periods": [{"days": ["mon-fri"], "begin": "09:00", "end": "18:00"}]}
)


@given(spans=lists, minutes=st.integers(0, 230 * 60))
def test_the_state_is_the_union_of_hours_and_extensions_and_they_expire(
    spans: list[tuple[int, int]], minutes: int
) -> None:
    now = NOW + minutes * datetime.timedelta(minutes=1)
    asked = held(*spans)
    wanted = hours.decide(OFFICE, now, None).desired == "running" or any(x.start <= now < x.until for x in asked)
    assert (hours.decide(OFFICE, now, None, asked).desired == "running") == wanted


def test_an_extension_that_ended_cuts_no_start_without_an_end() -> None:
    start_only = hours.read_schedule({"name": "s", "timezone": "UTC", "periods": [{"begin": "09:00"}]})
    asked = [he.Extension(NOW - 20 * HOUR, NOW - 5 * HOUR, "alice", "x")]  # ends at 13:00, hours began at 09:00
    assert hours.decide(start_only, NOW, None, asked).desired == "running"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"machine": "m", "start": "2027-03-01T18:00:00", "until": "2027-03-01T20:00:00+00:00"}, "has no zone"),
        ({"machine": "m", "start": "2027-03-01T18:00:00Z", "until": "2027-03-01T18:00:00Z"}, "of m does not end after"),
        ({"machine": "m", "start": "soon", "until": "2027-03-01T18:00:00Z"}, "soon"),
    ],
)
def test_what_cannot_be_read_is_refused(entry: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        he.read([entry])
