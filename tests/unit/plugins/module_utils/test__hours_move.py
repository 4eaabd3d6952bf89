"""Moving over: what Instance Scheduler and Cloud Custodian say means the same here, and differences are told."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _hours as hours
from ansible_collections.atelier.datalab.plugins.module_utils import _hours_c7n as c7n
from ansible_collections.atelier.datalab.plugins.module_utils import _hours_move as move
from ansible_collections.atelier.datalab.plugins.module_utils import _hours_rows, _hours_tags
from ansible_collections.atelier.datalab.plugins.module_utils._model_hours import Schedule
from hypothesis import given
from hypothesis import strategies as st

TODAY = "2027-03-01"
ONE = {"type": "schedule", "name": "s", "periods": ["p"]}
TABLE = [
    {"type": {"S": "period"}, "name": {"S": "office-hours"}, "begintime": {"S": "9:00"}, "endtime": {"S": "17:00"},
     "weekdays": {"SS": ["mon-fri"]}, "description": {"S": "Office hours"}},
    {"type": {"S": "period"}, "name": {"S": "first-monday"}, "weekdays": {"SS": ["Monday#1"]},
     "begintime": {"S": "00:00"}, "endtime": {"S": "23:59"}},
    {"type": {"S": "period"}, "name": {"S": "odd-days"}, "monthdays": {"SS": ["L", "15W", "1/7"]},
     "months": {"SS": ["January", "mar-may", "7/3"]}, "weekdays": {"SS": ["0", "friL", "?"]}},
    {"type": {"S": "schedule"}, "name": {"S": "Paris_Office"}, "timezone": {"S": "Europe/Paris"},
     "description": {"S": "Office"}, "periods": {"SS": ["office-hours@m6i.xlarge", "first-monday"]},
     "enforced": {"BOOL": True}, "hibernate": {"BOOL": True}, "retain_running": {"BOOL": True},
     "stop_new_instances": {"BOOL": False}, "use_maintenance_window": {"BOOL": False},
     "ssm_maintenance_window": {"SS": ["patching"]}, "override_status": {"S": "stopped"}},
    {"type": {"S": "schedule"}, "name": {"S": "odd"}, "periods": {"SS": ["odd-days"]}},
]  # fmt: skip


def test_every_field_of_the_table_has_its_place() -> None:
    paris, odd = move.from_instance_scheduler(TABLE, TODAY, "Europe/London").schedules
    assert paris == {
        "name": "paris-office", "timezone": "Europe/Paris", "description": "Office", "enforced": True,
        "hibernate": True, "retain_running": True, "use_maintenance_windows": False,
        "maintenance_windows": ["patching"],
        "override": {"state": "stopped", "begin": TODAY, "reason": "override_status of Instance Scheduler"},
        "periods": [
            {"name": "first-monday", "days": ["mon#1"], "begin": "00:00", "end": "24:00"},
            {"name": "office-hours", "days": ["mon-fri"], "begin": "09:00", "end": "17:00",
             "instance_type": "m6i.xlarge"},
        ],
    }  # fmt: skip
    # `?` among weekdays is every day; no times are the whole day; stop_new_instances is on where it is left out.
    assert odd == {
        "name": "odd", "timezone": "Europe/London", "stop_new": True,
        "periods": [
            {"name": "odd-days", "month_days": ["1/7", "15W", "L"], "months": ["jul/3", "jan", "mar-may"],
             "begin": "00:00", "end": "24:00"},
        ],
    }  # fmt: skip


def test_differences_are_told() -> None:
    notes = "\n".join(move.from_instance_scheduler(TABLE, TODAY).notes)
    for said in ("Paris_Office is called paris-office here", "23:59", "override has no end"):
        assert said in notes


@pytest.mark.parametrize(
    ("fields", "said"), [({"begintime": "9:00"}, "it only starts"), ({"endtime": "9:00"}, "it only stops")]
)
def test_one_sided_periods_are_told_to_differ_at_midnight(fields: dict[str, str], said: str) -> None:
    data = [{"type": "period", "name": "p"} | fields, {"type": "schedule", "name": "s", "periods": ["p"]}]
    found = move.from_instance_scheduler(data, TODAY)
    assert len(found.schedules[0]["periods"][0]) == 2
    assert said in found.notes[0]


def test_what_is_moved_is_valid_here() -> None:
    for one in move.from_instance_scheduler(TABLE, TODAY).schedules:
        assert Schedule.model_validate(one).name == one["name"]


def test_the_answers_of_its_command_line() -> None:
    answers = {
        "Schedules": [{"Name": "s", "Timezone": "UTC", "Periods": ["p"], "StopNewInstances": True, "Enforced": False}],
        "Periods": [{"Name": "p", "Begintime": "08:00", "Endtime": "18:00", "Weekdays": ["mon-fri"]}],
    }
    (found,) = move.from_instance_scheduler(answers, TODAY).schedules
    assert found["periods"] == [{"name": "p", "days": ["mon-fri"], "begin": "08:00", "end": "18:00"}]
    assert "enforced" not in found


def test_a_template() -> None:
    template = {
        "Resources": {
            "Sample": {
                "Type": "Custom::ServiceInstanceSchedule",
                "Properties": {
                    "Name": "sample", "Timezone": "America/New_York", "Enforced": "True", "RetainRunning": "False",
                    "StopNewInstances": "True", "SsmMaintenanceWindow": "w", "OverrideStatus": "running",
                    "Periods": [
                        {"BeginTime": "9:00", "EndTime": "17:00", "InstanceType": "t3.micro", "MonthDays": "1-3",
                         "Months": "3"},
                        {"BeginTime": "14:00", "EndTime": "17:00", "WeekDays": "Sat-Sun"},
                    ],
                },
            },
            "Other": {"Type": "AWS::S3::Bucket"},
        }
    }  # fmt: skip
    (found,) = move.from_instance_scheduler(template, TODAY).schedules
    assert found["enforced"] is True
    assert "retain_running" not in found
    assert found["maintenance_windows"] == ["w"]
    assert found["periods"] == [
        {"name": "sample-1", "month_days": ["1-3"], "months": ["mar"], "begin": "09:00", "end": "17:00",
         "instance_type": "t3.micro"},
        {"name": "sample-2", "days": ["sat-sun"], "begin": "14:00", "end": "17:00"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "no schedule was found"),
        ({"x": 1}, "no schedule was found"),
        ([ONE | {"periods": ["gone"]}], "period gone is not among"),
        ([ONE, {"type": "period", "name": "p", "weekdays": ["someday"]}], "someday"),
        (
            [{"type": "schedule", "name": "s", "periods": ["p"]}, {"type": "period", "name": "p", "monthdays": ["41"]}],
            "41",
        ),
    ],
)
def test_what_cannot_be_read_says_where(data: Any, said: str) -> None:
    with pytest.raises(move.MoveError, match=said):
        move.from_instance_scheduler(data, TODAY)


# -- Cloud Custodian

WEEK = ["mon", "tue", "wed", "thu", "fri"]


@pytest.mark.parametrize(
    ("value", "zone", "periods"),
    [
        ("off=(M-F,19);on=(M-F,7)", "America/New_York", [{"days": WEEK, "begin": "07:00", "end": "19:00"}]),
        (
            "off=[(M-F,21),(U,18)];on=[(M-F,6),(U,10)];tz=pt", "America/Los_Angeles",
            [{"days": WEEK, "begin": "06:00", "end": "21:00"}, {"days": ["sun"], "begin": "10:00", "end": "18:00"}],
        ),
        ("", "America/New_York", [{"days": WEEK, "begin": "07:00", "end": "19:00"}]),
        ("on", "America/New_York", [{"days": WEEK, "begin": "07:00", "end": "19:00"}]),
        ("tz=europe/paris", "Europe/Paris", [{"days": WEEK, "begin": "07:00", "end": "19:00"}]),
        ("off=(F-M,20);tz=cet;", "Europe/Berlin",
         [{"days": WEEK, "begin": "07:00"}, {"days": ["fri", "sat", "sun", "mon"], "end": "20:00"}]),
        ("on=(M-F,22);off=(M-F,6);tz=utc", "Etc/UTC",
         [{"days": WEEK, "begin": "22:00"}, {"days": WEEK, "end": "06:00"}]),
        ("offu3du28M-Fu2c18u29u3btzu3dAustraliau2fSydney", "Australia/Sydney",
         [{"days": WEEK, "begin": "07:00", "end": "18:00"}]),
        ("offu3du5bu28M-Fu2c18u29u2cu28Su2c13u29u5d", "America/New_York",
         [{"days": WEEK, "begin": "07:00", "end": "18:00"}, {"days": ["sat"], "end": "13:00"}]),
    ],
)  # fmt: skip
def test_tags_of_custodian(value: str, zone: str, periods: list[dict[str, Any]]) -> None:
    found = c7n.from_c7n(value, "x", zones=zoneinfo.available_timezones())
    assert found == {"name": "x", "timezone": zone, "periods": periods}


def test_off_is_left_alone() -> None:
    assert c7n.from_c7n("off", "x") is None
    assert c7n.from_c7n("'OFF'", "x") is None


def test_the_policy_says_what_the_tag_does_not() -> None:
    only = c7n.from_c7n("on", "x", c7n.Policy("cet", 8, 20, weekends_only=True))
    assert (only or {})["periods"] == [{"days": ["mon"], "begin": "08:00"}, {"days": ["fri"], "end": "20:00"}]
    seven = c7n.from_c7n("on", "x", c7n.Policy("cet", 8, 20, weekends=False))
    assert len((seven or {})["periods"][0]["days"]) == 7


@pytest.mark.parametrize(
    "value", ["on=(M-F)", "on=(X,7)", "on=(M-F,24)", "up=(M-F,7)", "on=(M-F,7);nonsense", "office"]
)
def test_tags_that_mean_nothing_are_refused(value: str) -> None:
    with pytest.raises(move.MoveError, match=r"days,hour|none of on"):
        c7n.from_c7n(value, "x")


@given(
    on=st.integers(0, 23), off=st.integers(0, 23), first=st.integers(0, 6), count=st.integers(1, 7),
    hour=st.integers(0, 24 * 21),
)  # fmt: skip
def test_the_state_is_that_of_the_last_hour_in_which_custodian_would_have_acted(
    on: int, off: int, first: int, count: int, hour: int
) -> None:
    """Its own rule, replayed hour by hour: at the hour of `off` on a day it stops, at that of `on` it starts."""
    letters = "MTWHFSU"
    days = f"{letters[first]}-{letters[(first + count - 1) % 7]}" if count > 1 else letters[first]
    data = c7n.from_c7n(f"off=({days},{off});on=({days},{on});tz=utc", "x")
    assert data
    now = datetime.datetime(2027, 3, 1, tzinfo=datetime.UTC) + datetime.timedelta(hours=hour)
    state = None
    for back in range(24 * 9):
        then = now - datetime.timedelta(hours=back)
        if (then.weekday() - first) % 7 < count and then.hour in (on, off):
            state = "running" if then.hour == on else "stopped"
            break
    assert hours.decide(hours.read_schedule(data), now, None).desired == state


def test_tags_are_read_where_there_is_no_tag_schedule() -> None:
    def one(**tags: str) -> _hours_rows.Subject:
        return _hours_rows.Subject("i", "ec2", "running", tags)

    subjects, schedules = _hours_tags.adopted(
        [
            one(maid_offhours="off=(M-F,19);on=(M-F,7);tz=cet"), one(Schedule="off=(M-F,19);on=(M-F,7)"),
            one(maid_offhours="off"), one(maid_offhours="rubbish"), one(Schedule="office", maid_offhours="off"),
        ],
        {},
    )  # fmt: skip
    night = datetime.datetime(2027, 3, 1, 23, tzinfo=datetime.UTC)
    reasons = [row["reason"] for row in _hours_rows.plan(subjects, schedules, night)]
    assert sorted(reasons) == sorted([
        "outside hours maid_offhours: off=(M-F,19);on=(M-F,7);tz=cet",
        "hours maid_offhours: off=(M-F,19);on=(M-F,7) until 19:00",
        "left alone, its tag Schedule says none",
        "left alone, schedule maid_offhours: rubbish is not known",
        "left alone, schedule office is not known",
    ])  # fmt: skip
