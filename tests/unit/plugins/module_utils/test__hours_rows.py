"""Rows: what is left alone and why, what is started and stopped, what AWS says of a start that did not come."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _hours as hours
from ansible_collections.atelier.datalab.plugins.module_utils import _hours_rows as rows

UTC = datetime.UTC
OFFICE = hours.read_schedule(
    {
        "name": "test",
        "timezone": "Europe/Paris",
        "periods": [{"days": ["mon", "tue", "wed", "thu", "fri"], "begin": "09:00", "end": "18:00"}],
    }
)


def instance(state: str = "running", *, since: str = "2027-01-14T09:01:00+00:00", **tags: str) -> dict[str, Any]:
    stamp = datetime.datetime.fromisoformat(since)
    return {
        "InstanceId": "i-1",
        "State": {"Name": state},
        "LaunchTime": stamp,
        "StateTransitionReason": f"User initiated ({stamp:%Y-%m-%d %H:%M:%S} GMT)" if state == "stopped" else "",
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }


NIGHT = datetime.datetime(2027, 1, 14, 22, tzinfo=UTC)


def row(one: dict[str, Any], now: datetime.datetime = NIGHT) -> dict[str, str]:
    return rows.plan([one], {"office": OFFICE}, now)[0]


def test_a_running_machine_is_stopped_at_night() -> None:
    found = row(instance(Name="m", Schedule="office"))
    assert (found["action"], found["reason"]) == ("stop", "outside hours test")


def test_the_bastion_is_never_stopped() -> None:
    found = row(instance(Name="b", Schedule="office", Role="bastion"))
    assert (found["action"], found["reason"]) == ("none", "the bastion is never stopped")


@pytest.mark.parametrize("tags", [{}, {"Schedule": ""}, {"Schedule": "none"}, {"Schedule": "offfice"}])
def test_a_machine_without_a_known_schedule_is_left_alone_and_says_so(tags: dict[str, str]) -> None:
    found = row(instance(Name="m", **tags))
    assert found["action"] == "none"
    assert "left alone" in found["reason"]


def test_a_stopped_machine_starts_in_the_morning() -> None:
    morning = datetime.datetime(2027, 1, 15, 8, 5, tzinfo=UTC)
    assert row(instance("stopped", since="2027-01-14T17:02:00+00:00", Schedule="office"), morning)["action"] == "start"


def test_stopped_by_hand_is_read_from_the_instance() -> None:
    noon = datetime.datetime(2027, 1, 15, 11, 30, tzinfo=UTC)
    found = row(instance("stopped", since="2027-01-15T11:00:00+00:00", Schedule="office"), noon)
    assert (found["action"], found["reason"][:20]) == ("none", "changed at Fri 12:00")


@pytest.mark.parametrize("state", ["pending", "stopping"])
def test_what_is_between_two_states_waits(state: str) -> None:
    assert "next run decides" in row(instance(state, Schedule="office"))["reason"]


def test_rows_are_sorted_and_aligned() -> None:
    found = rows.plan([instance(Name="bb"), instance(Name="a", Schedule="office")], {"office": OFFICE}, NIGHT)
    assert [one["name"] for one in found] == ["a", "bb"]
    assert rows.table(found)[0] == "a   running  stop  outside hours test"
    assert rows.table([]) == []
