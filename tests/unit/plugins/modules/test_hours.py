"""The module against moto's EC2: acts, says why, does nothing in check mode, touches only what is its own."""

from __future__ import annotations

import datetime
import json
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import boto3
import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.module_utils import _aws, _hours_api
from ansible_collections.atelier.datalab.plugins.modules import hours
from botocore.exceptions import ClientError
from moto import mock_aws

OFFICE = {
    "name": "office",
    "timezone": "Europe/Paris",
    "periods": [{"days": ["mon", "tue", "wed", "thu", "fri"], "begin": "09:00", "end": "18:00"}],
}
NIGHT, DAY = "2037-01-15T23:00:00+01:00", "2037-01-16T10:00:00+01:00"  # later than moto's own clock


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield boto3.client("ec2")


def machine(ec2: Any, name: str, **tags: str) -> str:
    tags = {"Name": name, "Environment": "preprod", "ManagedBy": "atelier.datalab", "Schedule": "office"} | tags
    found = ec2.run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ],
    )
    return found["Instances"][0]["InstanceId"]


def states(ec2: Any) -> dict[str, str]:
    return {
        one["InstanceId"]: one["State"]["Name"]
        for reservation in ec2.describe_instances()["Reservations"]
        for one in reservation["Instances"]
    }


def run(capsys: pytest.CaptureFixture[str], *, check: bool = False, **arguments: Any) -> dict[str, Any]:
    arguments = {"environment": "preprod", "region": "eu-west-1", "schedules": [OFFICE]} | arguments
    with patch_module_args({**arguments, "_ansible_check_mode": check}), pytest.raises(SystemExit):
        hours.main()
    return json.loads(capsys.readouterr().out)


def test_stop_again_start_again_in_and_out_of_check_mode(ec2: Any, capsys: pytest.CaptureFixture[str]) -> None:
    one = machine(ec2, "one")
    assert run(capsys, now=NIGHT, check=True)["changed"]
    assert states(ec2)[one] == "running", "check mode acted"
    stopped = run(capsys, now=NIGHT)
    assert stopped["changed"]
    assert stopped["diff"] == {"before": "one: running\n", "after": "one: stopped\n"}
    assert states(ec2)[one] == "stopped"
    assert not run(capsys, now=NIGHT)["changed"]
    assert run(capsys, now=DAY, check=True)["machines"][0]["action"] == "start"
    assert states(ec2)[one] == "stopped", "check mode acted"
    assert run(capsys, now=DAY)["changed"]
    assert states(ec2)[one] == "running"
    assert not run(capsys, now=DAY)["changed"]


def test_it_touches_only_what_is_its_own(ec2: Any, capsys: pytest.CaptureFixture[str]) -> None:
    kept = [
        machine(ec2, "bastion", Role="bastion"),
        machine(ec2, "elsewhere", Environment="prod"),
        machine(ec2, "foreign", ManagedBy="somebody"),
        machine(ec2, "unknown", Schedule="offfice"),
    ]
    found = run(capsys, now=NIGHT)
    assert not found["changed"]
    assert {states(ec2)[one] for one in kept} == {"running"}
    assert {row["name"]: row["reason"] for row in found["machines"]} == {
        "bastion": "the bastion is never stopped",
        "unknown": "left alone, schedule offfice is not known",
    }


def test_an_extension_keeps_its_machine_only(ec2: Any, capsys: pytest.CaptureFixture[str]) -> None:
    kept, other = machine(ec2, "kept"), machine(ec2, "other")
    asked = {"machine": "kept", "start": "2037-01-15T17:00:00+01:00", "until": "2037-01-16T01:00:00+01:00", "by": "bob"}
    found = run(capsys, now=NIGHT, extensions=[asked])
    assert (states(ec2)[kept], states(ec2)[other]) == ("running", "stopped")
    assert found["machines"][0]["reason"] == "extension until Fri 01:00 by bob"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"now": "2037-01-15T23:00:00"}, "has no zone"),
        ({"now": "tomorrow"}, "tomorrow"),
        ({"schedules": [OFFICE | {"timezone": "Paris"}]}, "Paris"),
        (
            {
                "extensions": [
                    {"machine": "m", "start": "2037-01-15T23:00:00+01:00", "until": "2037-01-15T22:00:00+01:00"}
                ]
            },
            "extension of m does not end after it starts",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(
    ec2: Any, capsys: pytest.CaptureFixture[str], arguments: dict[str, Any], said: str
) -> None:
    one = machine(ec2, "one")
    found = run(capsys, **({"now": NIGHT} | arguments))
    assert found["failed"]
    assert said in found["msg"]
    assert states(ec2)[one] == "running"


def test_one_that_cannot_start_keeps_no_other_from_starting(
    ec2: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = machine(ec2, "a-gone"), machine(ec2, "b-there")
    plan = hours._hours_rows.plan

    def terminate_in_between(*arguments: Any, **more: Any) -> list[dict[str, str]]:
        rows = plan(*arguments, **more)
        ec2.terminate_instances(InstanceIds=[first])
        rows[0]["id"] = "i-00000000000000000"
        return rows

    monkeypatch.setattr(hours._hours_rows, "plan", terminate_in_between)
    found = run(capsys, now=NIGHT)
    assert found["failed"]
    assert found["msg"].startswith("a-gone (i-00000000000000000): could not stop: StopInstances: InvalidInstanceID")
    assert states(ec2)[second] == "stopped"


def many(ec2: Any, count: int, prefix: str = "m") -> list[str]:
    """Running machines with the schedule office, made in one call."""
    tags = {"Environment": "preprod", "ManagedBy": "atelier.datalab", "Schedule": "office", "Name": prefix}
    made = ec2.run_instances(
        ImageId="ami-12c6146b",
        MinCount=count,
        MaxCount=count,
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ],
    )
    return [one["InstanceId"] for one in made["Instances"]]


def refusing(monkeypatch: pytest.MonkeyPatch, operation: str, code: str, bad: set[str] | None = None) -> list[int]:
    """Make an operation of EC2 fail, always or where a bad id is among its own; returns the sizes of its calls."""
    sizes: list[int] = []
    made = _aws.client

    def client(module: Any, service: str, **where: Any) -> Any:
        found = made(module, service, **where)

        def refuse(params: dict[str, Any], **_: Any) -> None:
            ids = params["InstanceIds"]
            sizes.append(len(ids))
            if bad is None or bad & set(ids):
                raise ClientError({"Error": {"Code": code, "Message": "no"}}, operation)

        if service == "ec2":
            found.meta.events.register(f"provide-client-params.ec2.{operation}", refuse)
        return found

    monkeypatch.setattr(_aws, "client", client)
    return sizes


def test_orders_go_in_batches_not_one_call_per_machine(
    ec2: Any, capsys: pytest.CaptureFixture[str], calls: Counter[str]
) -> None:
    many(ec2, 120)
    found = run(capsys, now=NIGHT)
    assert len(found["machines"]) == 120
    assert set(states(ec2).values()) == {"stopped"}
    assert calls == {"DescribeInstances": 1, "StopInstances": 3}
    calls.clear()
    assert not run(capsys, now=NIGHT)["changed"]
    assert calls == {"DescribeInstances": 1}


def test_is_3_0_0_more_machines_than_a_page_holds_are_all_seen(
    ec2: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instance Scheduler hung with more than 50 databases and crashed with more than 100, which is a page."""
    rds = boto3.client("rds")
    for n in range(105):
        database(rds, f"db{n:03d}")
    found = run(capsys, now=NIGHT, kinds=["ec2", "rds"])
    assert len(found["machines"]) == 105
    pages = rds.get_paginator("describe_db_instances").paginate()
    assert {one["DBInstanceStatus"] for page in pages for one in page["DBInstances"]} == {"stopped"}


@pytest.mark.parametrize("code", ["IncorrectInstanceState", "InsufficientInstanceCapacity", "InvalidInstanceID"])
def test_one_bad_machine_blocks_none_of_its_batch(
    ec2: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    ids = many(ec2, 40)
    sizes = refusing(monkeypatch, "StopInstances", code, {ids[17]})
    found = run(capsys, now=NIGHT)
    assert found["failed"]
    assert found["msg"] == f"m ({ids[17]}): could not stop: StopInstances: {code}: no"
    assert {one: state for one, state in states(ec2).items() if state != "stopped"} == {ids[17]: "running"}
    assert len(sizes) <= 2 * 6 + 1, "halves, not one by one"


def test_throttling_asks_for_less_not_for_more_and_the_next_run_catches_up(
    ec2: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    many(ec2, 60)
    with monkeypatch.context() as inner:
        sizes = refusing(inner, "StopInstances", "RequestLimitExceeded")
        found = run(capsys, now=NIGHT)
    assert sizes == [50, 10]
    assert found["failed"]
    assert len(found["msg"].splitlines()) == 60
    assert set(states(ec2).values()) == {"running"}
    assert run(capsys, now=NIGHT)["changed"]
    assert set(states(ec2).values()) == {"stopped"}


def test_what_cannot_hibernate_is_stopped_and_says_so(
    ec2: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = many(ec2, 1)
    asked: list[Any] = []
    made = _aws.client

    def client(module: Any, service: str, **where: Any) -> Any:
        found = made(module, service, **where)

        def refuse(params: dict[str, Any], **_: Any) -> None:
            asked.append(params.get("Hibernate"))
            if params.get("Hibernate"):
                raise ClientError({"Error": {"Code": "UnsupportedHibernationConfiguration"}}, "StopInstances")

        found.meta.events.register("provide-client-params.ec2.StopInstances", refuse)
        return found

    monkeypatch.setattr(_aws, "client", client)
    found = run(capsys, now=NIGHT, schedules=[OFFICE | {"hibernate": True}])
    assert asked == [True, None]
    assert states(ec2)[one] == "stopped"
    assert found["machines"][0]["reason"].endswith("it cannot hibernate, so it is stopped")


def test_a_machine_starts_as_the_type_of_its_hours(ec2: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = many(ec2, 1)
    run(capsys, now=NIGHT)
    typed = OFFICE | {"periods": [OFFICE["periods"][0] | {"instance_type": "m6i.4xlarge"}]}
    assert run(capsys, now=DAY, schedules=[typed], check=True)["machines"][0]["instance_type"] == "m6i.4xlarge"
    run(capsys, now=DAY, schedules=[typed])
    (found,) = ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"]
    assert (found["InstanceType"], found["State"]["Name"]) == ("m6i.4xlarge", "running")


OURS = {"Environment": "preprod", "ManagedBy": "atelier.datalab", "Schedule": "office"}


def database(rds: Any, name: str, **tags: str) -> None:
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        Tags=[{"Key": key, "Value": value} for key, value in (OURS | tags).items()],
    )


def test_databases_and_clusters_stop_and_start(ec2: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rds = boto3.client("rds")
    database(rds, "ours")
    database(rds, "theirs", Environment="prod")
    rds.create_db_cluster(
        DBClusterIdentifier="cluster", Engine="aurora-postgresql", MasterUsername="ada", MasterUserPassword="x" * 12,
        Tags=[{"Key": key, "Value": value} for key, value in OURS.items()],
    )  # fmt: skip

    def found() -> dict[str, str]:
        singles, clusters = rds.describe_db_instances()["DBInstances"], rds.describe_db_clusters()["DBClusters"]
        states = {one["DBInstanceIdentifier"]: one["DBInstanceStatus"] for one in singles}
        return states | {one["DBClusterIdentifier"]: one["Status"] for one in clusters}

    assert run(capsys, now=NIGHT, kinds=["ec2", "rds"], check=True)["changed"]
    assert found() == {"ours": "available", "theirs": "available", "cluster": "available"}
    assert run(capsys, now=NIGHT, kinds=["ec2", "rds"])["changed"]
    assert found() == {"ours": "stopped", "theirs": "available", "cluster": "stopped"}
    assert not run(capsys, now=NIGHT, kinds=["ec2", "rds"])["changed"]
    assert run(capsys, now=DAY, kinds=["ec2", "rds"])["changed"]
    assert found() == {"ours": "available", "theirs": "available", "cluster": "available"}


def test_a_group_gives_up_its_sizes_and_gets_them_back(ec2: Any, capsys: pytest.CaptureFixture[str]) -> None:
    autoscaling = boto3.client("autoscaling")
    autoscaling.create_launch_configuration(
        LaunchConfigurationName="l", ImageId="ami-12c6146b", InstanceType="t3.micro"
    )
    of_it = {"ResourceId": "web", "ResourceType": "auto-scaling-group", "PropagateAtLaunch": True}
    tags = [of_it | {"Key": key, "Value": value} for key, value in OURS.items()]
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="web", LaunchConfigurationName="l", MinSize=1, DesiredCapacity=2, MaxSize=4,
        AvailabilityZones=["eu-west-1a"], Tags=tags,
    )  # fmt: skip

    def sizes() -> tuple[int, int, int]:
        (one,) = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
        return one["MinSize"], one["DesiredCapacity"], one["MaxSize"]

    stopped = run(capsys, now=NIGHT, kinds=["ec2", "asg"])
    assert sizes() == (0, 0, 0)
    inside = [row for row in stopped["machines"] if row["kind"] == "ec2"]
    assert len(inside) == 2, "instances of a group are not stopped one by one"
    assert {row["reason"] for row in inside} == {"it belongs to the Auto Scaling group web, which has the hours"}
    assert not run(capsys, now=NIGHT, kinds=["ec2", "asg"])["changed"]
    assert run(capsys, now=DAY, kinds=["ec2", "asg"])["changed"]
    assert sizes() == (1, 2, 4)


def test_what_cannot_be_listed_beside_instances_is_a_warning(
    ec2: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = machine(ec2, "one")

    def refused(*_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not yours"}}, "DescribeDBInstances")

    monkeypatch.setitem(_hours_api._LISTS, "rds", refused)
    found = run(capsys, now=NIGHT, kinds=["ec2", "rds"])
    assert states(ec2)[one] == "stopped"
    assert "AccessDenied" in str(found["warnings"])


def test_a_history_is_kept_and_read_again(ec2: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (one,) = many(ec2, 1)
    file = tmp_path / "new/history.jsonl"
    rules = {"busy": {"step_minutes": 30, "cap_minutes": 120}}
    busy = {"machine": "m", "busy": True, "signs": ["kernel of alice"]}

    def at(clock: str, **more: Any) -> dict[str, Any]:
        now = f"2037-01-15T{clock}:00+01:00"
        found = run(capsys, now=now, history=str(file), rules=rules, **({"reports": [busy | {"at": now}]} | more))
        return found | {"row": found["machines"][0]}

    # moto says the machine started just now, which is long before the closing time of 2037.
    assert [notice["minutes"] for notice in at("17:30")["notices"]] == [30]
    assert at("17:35")["notices"] == [], "it was sent"
    assert at("18:00", check=True)["row"]["deferred_until"].startswith("2037-01-15T17:30")
    assert "defer" not in file.read_text(), "check mode wrote"
    assert at("18:00")["row"]["deferred_until"].startswith("2037-01-15T17:30")
    idle = [busy | {"busy": False, "signs": [], "at": "2037-01-15T18:10:00+01:00"}]
    assert at("18:10", reports=idle)["row"]["reason"].endswith("deferred, as its users were told")
    assert at("20:00")["row"]["action"] == "stop"
    assert states(ec2)[one] == "stopped"
    kinds = [json.loads(line)["action"] for line in file.read_text().splitlines()]
    assert kinds == ["warn", "defer", "warn", "stop"]
    file.write_text(file.read_text() + '{"at": "2037-')  # a run that was killed half-way
    assert not at("20:05")["changed"]


def test_a_history_that_cannot_be_kept_ends_the_run_before_any_order(
    ec2: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one = machine(ec2, "one")
    found = run(capsys, now=NIGHT, history=str(tmp_path))  # a folder
    assert found["failed"]
    assert "nothing was ordered" in found["msg"]
    assert states(ec2)[one] == "running"


def test_hours_of_custodian_are_read_from_its_tag(ec2: Any, capsys: pytest.CaptureFixture[str]) -> None:
    one = machine(ec2, "one", Schedule="", maid_offhours="off=(M-F,19);on=(M-F,7);tz=cet")
    assert run(capsys, now=NIGHT)["changed"]
    assert states(ec2)[one] == "stopped"


def test_holidays_and_the_calendar_reach_the_decision(ec2: Any, capsys: pytest.CaptureFixture[str]) -> None:
    machine(ec2, "one")
    closed = OFFICE | {"holidays": ["france"]}
    calendar = {"holidays": {"france": {"country": "FR"}}}
    found = run(capsys, now="2037-07-14T10:00:00+02:00", schedules=[closed], calendar=calendar, check=True)
    assert found["machines"][0]["reason"] == "outside hours office, a closed day: Fête nationale"
    failed = run(capsys, now=DAY, schedules=[closed], calendar={"holidays": {"france": {"country": "XX"}}})
    assert failed["failed"]
    assert "no country" in failed["msg"]


def test_extensions_beyond_the_rule_are_cut(ec2: Any, capsys: pytest.CaptureFixture[str]) -> None:
    machine(ec2, "one")
    asked = {"machine": "one", "start": "2037-01-15T17:00:00+01:00", "until": "2037-01-25T01:00:00+01:00", "by": "bob"}
    rules = {"extensions": {"longest_hours": 8}}
    found = run(capsys, now=NIGHT, extensions=[asked], rules=rules, check=True)
    assert found["machines"][0]["reason"] == "extension until Fri 01:00 by bob (capped at 8 hours without a gap)"
    later = run(capsys, now="2037-01-16T01:00:00+01:00", extensions=[asked], rules=rules, check=True)
    assert later["machines"][0]["action"] == "stop"


class Windows:
    """Systems Manager as far as it is asked: moto has no executions of windows."""

    pages: ClassVar[dict[str, Any]] = {
        "describe_maintenance_windows": {"WindowIdentities": [
            {"WindowId": "mw-1", "Name": "patching", "Enabled": True, "Duration": 3,
             "NextExecutionTime": "2037-01-22T22:30Z"},
            {"WindowId": "mw-2", "Name": "patching", "Enabled": False, "Duration": 99},
            {"WindowId": "mw-3", "Name": "others", "Enabled": True, "Duration": 99},
        ]},
        "describe_maintenance_window_executions": {"WindowExecutions": [
            {"StartTime": datetime.datetime(2037, 1, 15, 21, 30, tzinfo=datetime.UTC)},
        ]},
    }  # fmt: skip

    def get_paginator(self, operation: str) -> Any:
        return types.SimpleNamespace(paginate=lambda **_: [self.pages[operation]])


@pytest.mark.parametrize(
    ("now", "action"),
    [
        ("2037-01-15T22:00:00+01:00", "stop"),
        ("2037-01-15T22:20:00+01:00", "none"),  # ten minutes before the run that has begun, from its execution
        ("2037-01-16T01:00:00+01:00", "none"),
        ("2037-01-16T01:30:00+01:00", "stop"),
        ("2037-01-22T23:20:00+01:00", "none"),  # ten minutes before the next
    ],
)
def test_maintenance_windows_keep_machines_up(
    ec2: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, now: str, action: str
) -> None:
    machine(ec2, "one")
    made = _aws.client
    monkeypatch.setattr(_aws, "client", lambda m, service: Windows() if service == "ssm" else made(m, service))
    found = run(capsys, now=now, schedules=[OFFICE | {"maintenance_windows": ["patching"]}], check=True)
    assert found["machines"][0]["action"] == action
