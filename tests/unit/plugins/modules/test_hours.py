"""The module against moto's EC2: acts, says why, does nothing in check mode, touches only what is its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.modules import hours
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
