"""What our stacks module leans on: change sets, events, rollback, protection, exports, parameters."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.emulator.conftest import StackError

PARAMETERS = {"Retention": {"Type": "Number", "AllowedValues": [7, 30]}, "Owner": {"Type": "String"}}
RESOURCES: dict[str, Any] = {
    "Group": {
        "Type": "AWS::Logs::LogGroup",
        "Properties": {
            "LogGroupName": "/atelier/test",
            "RetentionInDays": {"Ref": "Retention"},
            "Tags": [{"Key": "Owner", "Value": {"Ref": "Owner"}}],
        },
    }
}
OUTPUTS = {"Group": {"Value": {"Ref": "Group"}, "Export": {"Name": "test-LogGroup"}}}
WHOLE: dict[str, Any] = {"Parameters": PARAMETERS, "Outputs": OUTPUTS}


def options(**values: str | None) -> dict[str, Any]:
    return {**copy.deepcopy(WHOLE), "values": {"Retention": "30", "Owner": "alice", **values}}


@pytest.fixture
def logs(cloud: Any) -> Iterator[str]:
    """The stack ``logs``, which exports its log group."""
    cloud.create("logs", RESOURCES, **options())
    yield "logs"
    cloud.cfn.update_termination_protection(StackName="logs", EnableTerminationProtection=False)
    cloud.delete("logs")


def retention(cloud: Any) -> int:
    return cloud.client("logs").describe_log_groups(logGroupNamePrefix="/atelier/test")["logGroups"][0][
        "retentionInDays"
    ]


def test_nothing_to_change_is_said(cloud: Any, logs: str) -> None:
    with pytest.raises(ClientError, match="No updates are to be performed"):
        cloud.update(logs, RESOURCES, **options())
    cloud.cfn.create_change_set(
        StackName=logs,
        ChangeSetName="empty",
        UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": k, "UsePreviousValue": True} for k in PARAMETERS],
    )
    found = cloud.cfn.describe_change_set(StackName=logs, ChangeSetName="empty")
    assert found["Status"] == "FAILED"
    assert "didn't contain changes" in found["StatusReason"]
    cloud.cfn.delete_change_set(StackName=logs, ChangeSetName="empty")


def test_previous_value_keeps_a_parameter(cloud: Any, logs: str) -> None:
    cloud.update(logs, RESOURCES, **options(Retention="7", Owner=None))
    stack = cloud.cfn.describe_stacks(StackName=logs)["Stacks"][0]
    assert {p["ParameterKey"]: p["ParameterValue"] for p in stack["Parameters"]} == {"Retention": "7", "Owner": "alice"}
    assert retention(cloud) == 7


def test_values_outside_the_allowed_ones_are_refused(cloud: Any, logs: str) -> None:
    with pytest.raises(ClientError, match="Retention"):
        cloud.update(logs, RESOURCES, **options(Retention="8"))


def test_a_change_set_changes_nothing_until_executed(cloud: Any, logs: str) -> None:
    change = cloud.changes(logs, RESOURCES, **options(Retention="7"))["Group"]
    assert (change["Action"], change["Replacement"], change["Scope"]) == ("Modify", "False", ["Properties"])
    assert change["Details"][0]["Target"]["Name"] == "RetentionInDays"
    assert retention(cloud) == 30


def test_a_change_set_for_a_new_stack_lists_additions(cloud: Any) -> None:
    request = {"TemplateBody": json.dumps({"Resources": {"Group": {"Type": "AWS::Logs::LogGroup"}}})}
    cloud.cfn.create_change_set(StackName="planned", ChangeSetName="first", ChangeSetType="CREATE", **request)
    found = cloud.cfn.describe_change_set(StackName="planned", ChangeSetName="first")
    assert [c["ResourceChange"]["Action"] for c in found["Changes"]] == ["Add"]
    assert cloud.cfn.describe_stacks(StackName="planned")["Stacks"][0]["StackStatus"] == "REVIEW_IN_PROGRESS"
    cloud.cfn.delete_stack(StackName="planned")


def test_stack_tags_reach_resources_as_a_change(cloud: Any, logs: str) -> None:
    tags = [{"Key": "Project", "Value": "alpha"}]
    assert cloud.changes(logs, RESOURCES, Tags=tags, **options())["Group"]["Replacement"] == "False"
    cloud.update(logs, RESOURCES, Tags=tags, **options())
    arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/atelier/test"
    found = cloud.client("logs").list_tags_for_resource(resourceArn=arn)["tags"]
    assert (found["Project"], found["Owner"]) == ("alpha", "alice")
    assert cloud.drift(logs) == {"Group": "IN_SYNC"}


def test_a_failed_create_rolls_back_and_says_why(cloud: Any, network: dict[str, str]) -> None:
    resources = {
        "Good": {"Type": "AWS::EC2::EIP"},
        "Bad": {
            "Type": "AWS::EC2::Instance",
            "DependsOn": "Good",
            "Properties": {"ImageId": "ami-0", "SubnetId": network["Subnet"]},
        },
    }
    with pytest.raises(StackError, match=r"Bad: Resource handler .*ami-0.*HandlerErrorCode: NotFound"):
        cloud.create("half", resources)
    assert cloud.ec2.describe_addresses()["Addresses"] == []
    cloud.delete("half")


def test_a_failed_update_goes_back(cloud: Any, logs: str) -> None:
    wanted = {**RESOURCES, "Bad": {"Type": "AWS::EC2::Volume", "Properties": {"SnapshotId": "snap-0"}}}
    with pytest.raises(StackError, match=r"Bad: .*snap-0"):
        cloud.update(logs, wanted, **options(Retention="7"))
    assert cloud.cfn.describe_stacks(StackName=logs)["Stacks"][0]["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert retention(cloud) == 30
    assert list(cloud.ids(logs)) == ["Group"]


def test_termination_protection(cloud: Any, logs: str) -> None:
    cloud.cfn.update_termination_protection(StackName=logs, EnableTerminationProtection=True)
    assert cloud.cfn.describe_stacks(StackName=logs)["Stacks"][0]["EnableTerminationProtection"] is True
    with pytest.raises(ClientError, match="TerminationProtection is enabled"):
        cloud.delete(logs)


def test_an_export_in_use_holds_its_stack(cloud: Any, logs: str) -> None:
    assert {e["Name"]: e["Value"] for e in cloud.cfn.list_exports()["Exports"]} == {"test-LogGroup": "/atelier/test"}
    stream = {
        "Stream": {
            "Type": "AWS::Logs::LogStream",
            "Properties": {"LogGroupName": {"Fn::ImportValue": "test-LogGroup"}, "LogStreamName": "one"},
        }
    }
    cloud.create("importer", stream)
    assert cloud.cfn.list_imports(ExportName="test-LogGroup")["Imports"] == ["importer"]
    with pytest.raises((ClientError, StackError), match=r"importer|no event"):
        cloud.delete(logs)
    assert retention(cloud) == 30
    cloud.delete("importer")


def test_a_missing_import_is_named(cloud: Any) -> None:
    stream = {
        "Stream": {
            "Type": "AWS::Logs::LogStream",
            "Properties": {"LogGroupName": {"Fn::ImportValue": "nobody-exports-this"}},
        }
    }
    with pytest.raises((ClientError, StackError), match="nobody-exports-this"):
        cloud.create("orphan", stream)
    cloud.delete("orphan")


def test_types_nobody_provides_are_refused_not_skipped(cloud: Any) -> None:
    with pytest.raises((ClientError, StackError), match="AWS::EMR::Cluster"):
        cloud.create("unknown", {"Cluster": {"Type": "AWS::EMR::Cluster"}})
    cloud.delete("unknown")
