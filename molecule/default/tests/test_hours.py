"""A working day in a minute: the hours really stop and start the hosts, and an extension really keeps one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.platform import ALPHA, BASTION, BETA, ENVIRONMENT, LAB, host, instance, play
from tests.hosts.power import containers_up, runs, start
from tests.waiting import until

# A Tuesday and the Wednesday after it, without a holiday and after everything that happens while this runs.
EVENING, LATE, MORNING = "2028-03-07T20:00:00+01:00", "2028-03-07T22:05:00+01:00", "2028-03-08T09:05:00+01:00"
EXTENSIONS = [
    {"machine": ALPHA, "start": "2028-03-07T17:00:00+01:00", "until": "2028-03-07T19:30:00+01:00", "by": "bob"},
    {"machine": ALPHA, "start": "2028-03-07T18:30:00+01:00", "until": "2028-03-07T22:00:00+01:00", "by": "alice"},
]


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run the playbook as at a moment; what it did with each machine."""
    history = tmp_path_factory.mktemp("hours") / "history.jsonl"

    def at(moment: str, *more: str) -> dict[str, str]:
        given = json.dumps({"hours_now": moment, "hours_history": str(history), "hours_extensions": EXTENSIONS})
        done = play("playbooks/hours.yml", "-i", f"inventories/{ENVIRONMENT}", "-e", given, *more)
        [rows] = [result["machines"] for _, _, result in done["all"] if "machines" in result]
        return {row["name"]: row["action"] for row in rows}

    yield at
    for name in (ALPHA, BETA):
        if not runs(name):
            start(name)


At = Callable[..., dict[str, str]]


def gone(name: str) -> bool:
    return LAB.namespace(instance(name)["InstanceId"]) not in containers_up()


def test_check_mode_tells_and_leaves(hours: At) -> None:
    assert hours(EVENING, "--check") == {ALPHA: "none", BETA: "stop", BASTION: "none"}
    assert runs(BETA)


def test_in_the_evening_a_machine_stops_and_one_that_is_extended_twice_goes_on(hours: At) -> None:
    """At 20:00 the shorter of two extensions that overlap has ended; it cuts nothing off the longer one."""
    assert hours(EVENING) == {ALPHA: "none", BETA: "stop", BASTION: "none"}
    until(lambda: gone(BETA), 60)
    assert not gone(ALPHA)
    assert not gone(BASTION)


def test_a_run_that_was_missed_is_caught_up_when_the_extension_has_ended(hours: At) -> None:
    assert hours(LATE) == {ALPHA: "stop", BETA: "none", BASTION: "none"}
    until(lambda: gone(ALPHA), 60)


def test_in_the_morning_both_start_and_work_goes_on(hours: At) -> None:
    assert hours(MORNING) == {ALPHA: "start", BETA: "start", BASTION: "none"}
    for name in (ALPHA, BETA):
        until(lambda name=name: runs(name), 90)
        until(lambda name=name: host(name).service("jupyterhub").is_running, 90)
    assert hours(MORNING) == dict.fromkeys((ALPHA, BETA, BASTION), "none")


def test_the_week_is_told(tmp_path: Path) -> None:
    play("playbooks/hours_plan.yml", "-i", f"inventories/{ENVIRONMENT}", "-e", f"hours_plan_reports={tmp_path}")
    assert {file.suffix for file in tmp_path.rglob("*") if file.is_file()} >= {".html", ".ics"}
