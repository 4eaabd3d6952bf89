"""The worst complaints about the peers' schedulers, each as a test that would be red here if we had the fault.

IS: aws-solutions/instance-scheduler-on-aws; c7n: cloud-custodian/cloud-custodian; RES: aws/res;
TEAM: aws-samples/iam-identity-center-team; MoJ: ministryofjustice/modernisation-platform. Numbers are their issues.
"""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _hours as hours
from ansible_collections.atelier.datalab.plugins.module_utils import (
    _hours_busy,
    _hours_calendar,
    _hours_conflicts,
    _hours_extensions,
    _hours_notices,
)
from ansible_collections.atelier.datalab.plugins.module_utils import _hours_rows as rows

PARIS = zoneinfo.ZoneInfo("Europe/Paris")
HOUR, MINUTE = datetime.timedelta(hours=1), datetime.timedelta(minutes=1)


def at(text: str) -> datetime.datetime:
    """On Friday, 15 January 2027, or on the day that is written."""
    return datetime.datetime.fromisoformat(text if "T" in text else f"2027-01-15T{text}").replace(tzinfo=PARIS)


def schedule(*periods: dict[str, Any], **more: Any) -> hours.Schedule:
    wanted = list(periods) or [{"days": ["mon-fri"], "begin": "09:00", "end": "18:00"}]
    return hours.read_schedule({"name": "office", "timezone": "Europe/Paris", "periods": wanted} | more)


def row(one: rows.Subject, now: datetime.datetime, plan: hours.Schedule | None = None, **known: Any) -> dict[str, Any]:
    return rows.plan([one], {"office": plan or schedule()}, now, known=rows.Known(**known))[0]


def machine(state: str, since: datetime.datetime | None = None, **more: Any) -> rows.Subject:
    return rows.Subject("i-1", "ec2", state, {"Name": "m", "Schedule": "office"}, since, **more)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("Client.InternalError", "want of a grant on its key (KMS)"),
        ("Server.InsufficientInstanceCapacity", "no machine of this type in the zone"),
        ("Client.UserInitiatedShutdown", "AWS gives no reason"),
    ],
)
def test_is_9_38_49_139_207_230_267_460_504_it_says_started_and_is_not(code: str, said: str) -> None:
    """AWS accepts the start, the machine stays stopped: it is ordered again and the reason is said, never `started`."""
    instance = {
        "InstanceId": "i-1", "State": {"Name": "stopped"}, "StateReason": {"Code": code},
        "StateTransitionReason": "Server.InternalError (2027-01-15 08:00:20 GMT)",
        "Tags": [{"Key": "Name", "Value": "m"}, {"Key": "Schedule", "Value": "office"}],
    }  # fmt: skip
    ordered = [hours.Order(at("09:00"), "start")]
    found = row(rows.of_instance(instance), at("09:15"), orders={"i-1": ordered})
    assert found["action"] == "start"
    assert "still stopped" in found["reason"]
    assert said in found["reason"]


def test_is_231_206_243_515_c7n_1577_holidays() -> None:
    data = {
        "name": "office", "timezone": "Europe/Paris", "holidays": ["france"],
        "periods": [{"days": ["mon-fri"], "begin": "09:00", "end": "18:00"}],
    }  # fmt: skip
    plan = _hours_calendar.read([data], {"holidays": {"france": {"country": "FR"}}})["office"]
    for day in ("2027-05-06", "2027-07-14", "2027-11-11"):  # Ascension, a Wednesday, a Thursday
        assert hours.decide(plan, at(f"{day}T10:00"), None).desired == "stopped"


def test_is_261_a_change_freeze_starts_and_stops_nothing() -> None:
    freeze = {"name": "f", "state": "leave", "begin": "2027-01-15", "end": "2027-01-15", "reason": "core IT's"}
    data = {"name": "office", "timezone": "Europe/Paris", "periods": [{"begin": "09:00", "end": "18:00"}]}
    plan = _hours_calendar.read([data], {"freezes": [freeze]})["office"]
    for state, clock in (("stopped", "09:05"), ("running", "18:05")):
        found = row(machine(state), at(clock), plan)
        assert (found["action"], "freeze f" in found["reason"]) == ("none", True)


def test_is_598_469_moj_5302_6709_an_override_for_one_machine_ends_by_itself() -> None:
    """Patching during the evening stop; one schedule, another machine of it is not touched."""
    asked = {"m": [hours.Extension(at("17:00"), at("21:00"), "ops", "patching")]}
    assert row(machine("running", at("09:01")), at("20:59"), extensions=asked)["action"] == "none"
    assert row(machine("running", at("09:01")), at("21:00"), extensions=asked)["action"] == "stop"
    other = rows.Subject("i-2", "ec2", "running", {"Name": "n", "Schedule": "office"}, at("09:01"))
    assert row(other, at("20:00"), extensions=asked)["action"] == "stop"


def test_is_524_a_running_job_is_not_killed_at_closing_time() -> None:
    report = _hours_busy.Report(at("18:00"), True, ("kernel of alice executing",))
    found = row(machine("running", at("09:01")), at("18:00"), reports={"m": report}, rule=_hours_busy.Rule())
    assert found["action"] == "none"
    assert datetime.datetime.fromisoformat(found["deferred_until"]) == at("18:30")
    assert "kernel of alice" in found["reason"]


@pytest.mark.parametrize(("cpu", "sign"), [(6.0, "GPU at 95 %"), (0.5, "kernel of bob executing")])
def test_res_171_idle_is_not_measured_by_the_processor(cpu: float, sign: str) -> None:
    """A job on the GPU leaves the processor at 6 %."""
    report = _hours_busy.Report(at("18:00"), True, (sign,), cpu)
    assert row(machine("running"), at("18:00"), reports={"m": report}, rule=_hours_busy.Rule())["action"] == "none"


def test_res_171_a_spike_of_the_processor_does_not_keep_a_machine_for_ever() -> None:
    report = _hours_busy.Report(at("20:00"), False, (), 90.0)
    found = row(machine("running", at("09:01")), at("20:00"), reports={"m": report}, rule=_hours_busy.Rule())
    assert (found["action"], "cap" in found["reason"]) == ("stop", True)


def test_is_454_325_stopped_by_hand_stays_stopped_until_the_next_begin() -> None:
    off = machine("stopped", at("11:00"))
    assert row(off, at("11:05"))["action"] == "none"
    assert row(off, at("17:59"))["action"] == "none"
    assert row(off, at("2027-01-18T08:59"))["action"] == "none"
    assert row(off, at("2027-01-18T09:00"))["action"] == "start"


def test_is_268_stopped_by_hand_in_one_period_starts_with_the_next() -> None:
    two = schedule({"begin": "08:00", "end": "12:00"}, {"begin": "14:00", "end": "18:00"})
    assert row(machine("stopped", at("10:00")), at("14:00"), two)["action"] == "start"


@pytest.mark.parametrize("kept", [{}, {"enforced": "outside"}])
def test_is_122_148_225_36_77_c7n_5134_a_schedule_that_only_stops(kept: dict[str, Any]) -> None:
    """It stops at six, starts nothing, and what is started by hand after six runs on until the next six."""
    stop = schedule({"end": "18:00"}, **kept)
    assert row(machine("running", at("10:00")), at("18:00"), stop)["action"] == "stop"
    for clock in ("00:00", "09:00", "18:00", "23:59"):
        assert row(machine("stopped", at("2027-01-14T18:00:30")), at(clock), stop)["action"] == "none"
    late = row(machine("running", at("19:00")), at("19:05"), stop)["action"]
    assert late == ("stop" if kept else "none")
    assert row(machine("running", at("2027-01-14T19:00")), at("18:00"), stop)["action"] == "stop"


def test_is_229_started_by_hand_outside_hours_is_stopped_at_the_end_of_the_next_hours() -> None:
    on = machine("running", at("2027-01-14T20:00"))
    assert row(on, at("17:59"))["action"] == "none"
    assert row(on, at("18:00"))["action"] == "stop"


def test_is_129_an_override_that_was_forgotten_says_so_in_every_reason() -> None:
    plan = schedule(override={"state": "running", "begin": "2027-01-01", "reason": "test of the scheduler"})
    found = row(machine("running", at("2027-01-14T09:01")), at("20:00"), plan)
    assert (found["action"], found["reason"]) == ("none", "override, kept running: test of the scheduler")


@pytest.mark.parametrize("clock", ["03:00", "12:00", "20:00"])
def test_is_685_322_there_is_a_value_that_means_ignore(clock: str) -> None:
    for state in ("running", "stopped"):
        one = rows.Subject("i-1", "ec2", state, {"Schedule": "none"})
        assert row(one, at(clock))["reason"] == "left alone, its tag Schedule says none"


def test_is_330_users_are_warned_before_a_stop() -> None:
    one, plans = machine("running", at("09:01")), {"office": schedule()}
    known = rows.Known(rule=_hours_busy.Rule())
    told = {}
    for minutes in range(40, 0, -1):
        now = at("18:00") - minutes * MINUTE
        found = _hours_notices.notices(rows.plan([one], plans, now, known=known), [one], plans, now, known)
        for notice in found:
            told[minutes] = notice["minutes"]
            known = rows.Known(rule=known.rule, sent={("i-1", notice["stop"]): set(told.values())})
    assert told == {30: 30, 10: 10, 2: 2}


def test_c7n_an_hour_that_was_missed_is_not_a_day_that_is_missed() -> None:
    """c7n acts in the exact hour only; here the first run after 09:00 starts, the first after 18:00 stops."""
    assert row(machine("stopped", at("2027-01-14T18:00:30")), at("13:37"))["action"] == "start"
    assert row(machine("running", at("2027-01-14T09:01")), at("2027-01-16T03:00"))["action"] == "stop"


def test_c7n_minutes_count() -> None:
    plan = schedule({"begin": "08:45", "end": "17:15"})
    assert [hours.decide(plan, at(clock), None).desired for clock in ("08:44", "08:45", "17:14", "17:15")] == [
        "stopped", "running", "running", "stopped",
    ]  # fmt: skip


def test_team_279_the_end_of_one_grant_does_not_revoke_another() -> None:
    for first, second in (((18, 20), (19, 22)), ((19, 22), (18, 20)), ((18, 22), (19, 20))):
        asked = [hours.Extension(at(f"{a}:00"), at(f"{b}:00")) for a, b in (first, second)]
        for clock, state in (("18:30", "running"), ("20:00", "running"), ("21:59", "running"), ("22:00", "stopped")):
            assert hours.decide(schedule(), at(clock), at("09:00"), asked).desired == state, (first, second, clock)


def test_team_433_the_cap_binds_a_chain_of_grants_and_what_came_past_the_form() -> None:
    rule = _hours_extensions.Rule(longest_hours=8)
    held: list[hours.Extension] = []
    for n in range(6):
        start = at("18:00") + 3 * n * HOUR
        ask = _hours_extensions.Ask("m", "alice", start + 3 * HOUR, "training", start)
        if answer := _hours_extensions.grant(ask, held, rule, at("18:00")).extension:
            held.append(answer)
    assert hours.merge([(x.start, x.until) for x in held])[0] == (at("18:00"), at("18:00") + 8 * HOUR)
    long = [hours.Extension(at("18:00"), at("18:00") + 100 * HOUR)]
    assert _hours_extensions.effective(long, rule)[0].until == at("18:00") + 8 * HOUR


def test_moj_skip_auto_start_every_direction_of_a_switch_is_obeyed() -> None:
    """Their switch against starts was compared with the one against stops, so it had no effect."""
    off, on = machine("stopped", at("2027-01-14T18:00:30")), machine("running", at("09:01"))
    start, stop = schedule({"begin": "09:00"}), schedule({"end": "18:00"})
    assert (row(off, at("09:05"), start)["action"], row(on, at("18:05"), start)["action"]) == ("start", "none")
    assert (row(off, at("09:05"), stop)["action"], row(on, at("18:05"), stop)["action"]) == ("none", "stop")


def test_is_b8_hours_that_touch_do_not_stop_in_between_and_a_gap_is_pointed_out() -> None:
    touching = schedule({"begin": "04:00", "end": "12:00"}, {"begin": "12:00", "end": "17:00"})
    assert hours.decide(touching, at("12:00"), None).desired == "running"
    gap = schedule({"begin": "04:00", "end": "12:00"}, {"begin": "12:01", "end": "17:00"})
    found = _hours_conflicts.problems({"office": gap}, {}, ["office"], datetime.date(2027, 1, 15))
    assert [one.why for one in found if "starts again 1 minutes later" in one.why]


def test_is_over_midnight_needs_no_two_periods() -> None:
    """There a period must end on its day, at 23:59 at the latest, and a minute is lost each night."""
    night = schedule({"days": ["mon-fri"], "begin": "22:00", "end": "06:00", "overnight": True})
    assert [hours.decide(night, at(f"2027-01-16T{clock}"), None).desired for clock in ("00:00", "05:59", "06:00")] == [
        "running", "running", "stopped",
    ]  # fmt: skip
