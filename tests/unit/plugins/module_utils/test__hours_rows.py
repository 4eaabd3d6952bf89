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


def subject(state: str = "running", kind: str = "ec2", sizes: str = "", **tags: str) -> rows.Subject:
    return rows.Subject("x-1", kind, state, tags, sizes=sizes)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        # Each value of a tag that means something has its line here.
        ({"Schedule": "none"}, "left alone, its tag Schedule says none"),
        ({"Schedule": "None"}, "left alone, schedule None is not known"),
        ({"Schedule": "OFFICE"}, "left alone, schedule OFFICE is not known"),
        ({"Schedule": ""}, "left alone, it has no tag Schedule"),
        ({}, "left alone, it has no tag Schedule"),
        ({"Schedule": "office", "aws:autoscaling:groupName": "web"}, "it belongs to the Auto Scaling group web"),
        ({"Schedule": "office", "Role": "bastion"}, "the bastion is never stopped"),
    ],
)
def test_what_is_left_alone_says_why(tags: dict[str, str], said: str) -> None:
    (found,) = rows.plan([subject(**tags)], {"office": OFFICE}, NIGHT)
    assert (found["action"], found["reason"][: len(said)]) == ("none", said)


def test_databases_and_groups_follow_the_same_hours() -> None:
    wanted = [
        rows.of_database({"DBInstanceIdentifier": "db", "DBInstanceStatus": "available", "TagList": tags("office")}),
        rows.of_database({"DBClusterIdentifier": "cl", "Status": "available", "TagList": tags("office")}),
        rows.of_database({"DBInstanceIdentifier": "new", "DBInstanceStatus": "creating", "TagList": tags("office")}),
        rows.of_group(
            {"AutoScalingGroupName": "web", "MinSize": 1, "DesiredCapacity": 2, "MaxSize": 4, "Tags": tags("office")}
        ),
    ]
    found = {row["name"]: row for row in rows.plan(wanted, {"office": OFFICE}, NIGHT)}
    assert {name: (row["kind"], row["action"]) for name, row in found.items()} == {
        "db": ("rds", "stop"), "cl": ("cluster", "stop"), "new": ("rds", "none"), "web": ("asg", "stop"),
    }  # fmt: skip
    assert found["web"]["sizes"] == "1-2-4"
    assert found["new"]["reason"] == "it is creating, the next run decides"


def tags(schedule: str, **more: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in ({"Schedule": schedule} | more).items()]


MORNING = datetime.datetime(2027, 1, 15, 8, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "action"),
    [
        ({"HoursSize": "1-2-4"}, "start"),
        ({"IS-MinDesiredMax": "1-2-4"}, "start"),
        ({"HoursSize": "2-1-4"}, "none"),
        ({"HoursSize": "0-0-0"}, "none"),
        ({"HoursSize": "four"}, "none"),
        ({}, "none"),
    ],
)
def test_a_group_starts_with_the_sizes_in_its_tag_and_never_with_guessed_ones(
    written: dict[str, str], action: str
) -> None:
    group = {"AutoScalingGroupName": "web", "MinSize": 0, "DesiredCapacity": 0, "MaxSize": 0}
    (found,) = rows.plan([rows.of_group(group | {"Tags": tags("office", **written)})], {"office": OFFICE}, MORNING)
    assert found["action"] == action
    if action == "none":
        assert "does not say minimum-desired-maximum" in found["reason"]


def with_switches(**switches: object) -> dict[str, hours.Schedule]:
    data = {
        "name": "office", "timezone": "Europe/Paris",
        "periods": [{"days": ["mon-fri"], "begin": "09:00", "end": "18:00"}],
    }  # fmt: skip
    return {"office": hours.read_schedule(data | switches)}


HAND = "2027-01-14T20:00:00+00:00"  # at 21:00 in Paris, outside hours


@pytest.mark.parametrize(
    ("switches", "state", "now", "action"),
    [
        ({}, "running", NIGHT, "none"),
        ({"enforced": True}, "running", NIGHT, "stop"),
        ({"enforced": "outside"}, "running", NIGHT, "stop"),
        ({}, "stopped", MORNING + datetime.timedelta(hours=2), "none"),
        ({"enforced": True}, "stopped", MORNING + datetime.timedelta(hours=2), "start"),
        ({"enforced": "outside"}, "stopped", MORNING + datetime.timedelta(hours=2), "none"),
    ],
)
def test_what_was_done_by_hand_is_left_or_undone_as_the_schedule_says(
    switches: dict[str, object], state: str, now: datetime.datetime, action: str
) -> None:
    since = HAND if state == "running" else "2027-01-15T09:00:00+00:00"  # stopped at 10:00, within hours
    one = instance(state, since=since, Name="m", Schedule="office")
    assert rows.plan([one], with_switches(**switches), now)[0]["action"] == action


@pytest.mark.parametrize(
    ("stop_new", "age_minutes", "action"), [(True, 1, "stop"), (False, 1, "none"), (True, 600, "none")]
)
def test_a_machine_made_outside_hours_is_stopped_where_the_schedule_says_so(
    stop_new: bool, age_minutes: int, action: str
) -> None:
    one = instance("running", since=HAND, Name="m", Schedule="office")
    made = datetime.datetime.fromisoformat(HAND) - datetime.timedelta(minutes=age_minutes)
    one["NetworkInterfaces"] = [{"Attachment": {"AttachTime": made}}]
    assert rows.plan([one], with_switches(stop_new=stop_new), NIGHT)[0]["action"] == action


@pytest.mark.parametrize(
    ("since", "orders", "action"),
    [
        ("2027-01-14T06:00:00+00:00", [], "none"),  # by hand, two hours before the hours: retained
        ("2027-01-14T08:01:00+00:00", [], "stop"),  # started by the hours
        (
            "2027-01-14T06:00:00+00:00",
            [hours.Order(datetime.datetime(2027, 1, 14, 5, 59, tzinfo=UTC), "start")],
            "stop",
        ),
    ],
)
def test_what_ran_before_the_hours_is_retained_where_the_schedule_says_so(
    since: str, orders: list[hours.Order], action: str
) -> None:
    one = instance("running", since=since, Name="m", Schedule="office")
    known = rows.Known(orders={"i-1": orders})
    (found,) = rows.plan([one], with_switches(retain_running=True), NIGHT, known=known)
    assert found["action"] == action
    assert rows.plan([one], with_switches(), NIGHT, known=known)[0]["action"] == "stop"


def test_our_own_start_is_no_hand() -> None:
    """Started for an extension that was taken back: without its order it would look started by hand."""
    one = instance("running", since="2027-01-14T20:01:00+00:00", Name="m", Schedule="office")
    ours = rows.Known(orders={"i-1": [hours.Order(datetime.datetime(2027, 1, 14, 20, tzinfo=UTC), "start")]})
    assert rows.plan([one], with_switches(), NIGHT)[0]["action"] == "none"
    assert rows.plan([one], with_switches(), NIGHT, known=ours)[0]["action"] == "stop"


def test_maintenance_windows_keep_machines_up_where_the_schedule_names_them() -> None:
    window = hours.Extension(
        NIGHT - datetime.timedelta(hours=1), NIGHT + datetime.timedelta(hours=2), window="patching"
    )
    known = rows.Known(windows={"patching": [window]})
    one = instance("stopped", since="2027-01-14T17:05:00+00:00", Name="m", Schedule="office")
    (found,) = rows.plan([one], with_switches(maintenance_windows=["patching"]), NIGHT, known=known)
    assert (found["action"], found["reason"]) == ("start", "maintenance window patching until Fri 01:00")
    for switches in ({}, {"maintenance_windows": ["patching"], "use_maintenance_windows": False}):
        assert rows.plan([one], with_switches(**switches), NIGHT, known=known)[0]["action"] == "none"


def test_type_and_hibernation_go_with_the_order() -> None:
    typed = {"office": hours.read_schedule({
        "name": "office", "timezone": "Europe/Paris", "hibernate": True,
        "periods": [{"days": ["mon-fri"], "begin": "09:00", "end": "18:00", "instance_type": "m6i.4xlarge"}],
    })}  # fmt: skip
    off = instance("stopped", since="2027-01-14T17:05:00+00:00", Name="m", Schedule="office") | {
        "InstanceType": "m6i.large"
    }
    assert rows.plan([off], typed, MORNING)[0]["instance_type"] == "m6i.4xlarge"
    on = instance("running", since="2027-01-15T08:01:00+00:00", Name="m", Schedule="office") | {
        "InstanceType": "m6i.large"
    }
    (found,) = rows.plan([on], typed, MORNING)
    assert (found["action"], "instance_type" in found) == ("none", False)
    assert "as m6i.4xlarge from its next start on" in found["reason"]
    assert rows.plan([on], typed, NIGHT + datetime.timedelta(days=1))[0]["hibernate"] is True


def test_a_hundred_thousand_machines_cost_one_look_at_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    real = rows.standing
    monkeypatch.setattr(rows, "standing", lambda *a: looked.append(a) or real(*a))
    many = [subject(Name=f"m{n}", Schedule="office") for n in range(1000)]
    assert len(rows.plan(many, {"office": OFFICE}, NIGHT)) == 1000
    assert len(looked) == 1
