"""AWS::EC2::Volume and AWS::EC2::VolumeAttachment on the emulator."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

INSTANCE = {"Type": "AWS::EC2::Instance"}


def with_data_volume(cloud: Any, network: dict[str, str]) -> dict[str, Any]:
    """A machine with a data volume that outlives the stack's other parts."""
    return {
        "Machine": {**INSTANCE, "Properties": {"ImageId": cloud.image, "SubnetId": network["Subnet"]}},
        "Data": {
            "Type": "AWS::EC2::Volume",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "AvailabilityZone": "eu-west-1a",
                "Size": 10,
                "VolumeType": "gp3",
                "Encrypted": True,
                "Tags": [{"Key": "Backup", "Value": "daily"}],
            },
        },
        "Attachment": {
            "Type": "AWS::EC2::VolumeAttachment",
            "Properties": {"Device": "/dev/sdf", "InstanceId": {"Ref": "Machine"}, "VolumeId": {"Ref": "Data"}},
        },
    }


def volume(cloud: Any, identifier: str) -> dict[str, Any]:
    return cloud.ec2.describe_volumes(VolumeIds=[identifier])["Volumes"][0]


@pytest.fixture
def data(cloud: Any, network: dict[str, str]) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """The stack ``data``; its retained volumes are removed afterwards."""
    resources = with_data_volume(cloud, network)
    ids = cloud.create("data", resources)
    yield resources, ids
    cloud.delete("data")
    for left in cloud.ec2.describe_volumes()["Volumes"]:
        cloud.ec2.delete_volume(VolumeId=left["VolumeId"])


def test_attachment_shows_on_both_sides(cloud: Any, data: Any) -> None:
    _resources, ids = data
    found = volume(cloud, ids["Data"])
    assert (found["Size"], found["VolumeType"], found["Encrypted"]) == (10, "gp3", True)
    assert {"Key": "Backup", "Value": "daily"} in found["Tags"]
    assert [(a["InstanceId"], a["Device"]) for a in found["Attachments"]] == [(ids["Machine"], "/dev/sdf")]
    instance = cloud.ec2.describe_instances(InstanceIds=[ids["Machine"]])["Reservations"][0]["Instances"][0]
    assert [m["DeviceName"] for m in instance["BlockDeviceMappings"]] == ["/dev/xvda", "/dev/sdf"]
    devices = {m["DeviceName"]: m["Ebs"] for m in instance["BlockDeviceMappings"]}
    assert devices["/dev/sdf"]["VolumeId"] == ids["Data"]
    assert devices["/dev/sdf"]["DeleteOnTermination"] is False


def test_size_and_tags_change_in_place(cloud: Any, data: Any) -> None:
    resources, ids = data
    wanted = copy.deepcopy(resources)
    wanted["Data"]["Properties"]["Size"] = 20
    wanted["Data"]["Properties"]["Tags"][0]["Value"] = "none"
    change = cloud.changes("data", wanted)["Data"]
    assert (change["Action"], change["Replacement"]) == ("Modify", "False")
    assert cloud.update("data", wanted) == ids
    found = volume(cloud, ids["Data"])
    assert found["Size"] == 20
    assert {"Key": "Backup", "Value": "none"} in found["Tags"]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("Size", 5, "smaller"),
        ("AvailabilityZone", "eu-west-1b", "not supported"),
        ("Encrypted", False, "not supported"),
    ],
)
def test_what_would_lose_data_is_refused(cloud: Any, data: Any, name: str, value: Any, reason: str) -> None:
    resources, ids = data
    wanted = copy.deepcopy(resources)
    wanted["Data"]["Properties"][name] = value
    with pytest.raises(AssertionError, match=f"Data: .*{reason}"):
        cloud.update("data", wanted)
    assert cloud.cfn.describe_stacks(StackName="data")["Stacks"][0]["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert cloud.ids("data") == ids
    assert volume(cloud, ids["Data"])["Size"] == 10


def test_removing_it_from_the_template_keeps_it(cloud: Any, data: Any) -> None:
    resources, ids = data
    wanted = {"Machine": resources["Machine"]}
    changes = cloud.changes("data", wanted)
    assert (changes["Data"]["Action"], changes["Data"]["PolicyAction"]) == ("Remove", "Retain")
    assert changes["Attachment"]["Action"] == "Remove"
    cloud.update("data", wanted)
    found = volume(cloud, ids["Data"])
    assert (found["State"], found["Attachments"]) == ("available", [])


def test_another_device_replaces_the_attachment_which_aws_refuses(cloud: Any, data: Any) -> None:
    resources, _ids = data
    wanted = copy.deepcopy(resources)
    wanted["Attachment"]["Properties"]["Device"] = "/dev/sdg"
    assert cloud.changes("data", wanted)["Attachment"]["Replacement"] == "True"
    with pytest.raises(AssertionError, match="already attached to an instance"):
        cloud.update("data", wanted)


def test_drift(cloud: Any, data: Any) -> None:
    _resources, ids = data
    found = cloud.drift("data")
    assert (found["Data"], found["Attachment"]) == ("IN_SYNC", "IN_SYNC")
    cloud.ec2.modify_volume(VolumeId=ids["Data"], Size=50)
    cloud.ec2.detach_volume(VolumeId=ids["Data"])
    found = cloud.drift("data")
    assert (found["Data"], found["Attachment"]) == ("MODIFIED", "DELETED")
    cloud.ec2.delete_volume(VolumeId=ids["Data"])
    assert cloud.drift("data")["Data"] == "DELETED"


def test_an_attached_volume_outlives_its_instance(cloud: Any, data: Any) -> None:
    _resources, ids = data
    cloud.ec2.terminate_instances(InstanceIds=[ids["Machine"]])
    found = volume(cloud, ids["Data"])
    assert (found["State"], found["Attachments"]) == ("available", [])


def test_snapshot_policy_leaves_a_snapshot(cloud: Any) -> None:
    resources = {
        "Data": {
            "Type": "AWS::EC2::Volume",
            "DeletionPolicy": "Snapshot",
            "Properties": {"AvailabilityZone": "eu-west-1a", "Size": 7},
        }
    }
    ids = cloud.create("snapshotted", resources)
    cloud.delete("snapshotted")
    snapshots = cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert [s["VolumeSize"] for s in snapshots if s["VolumeId"] == ids["Data"]] == [7]
    with pytest.raises(ClientError, match="does not exist"):
        volume(cloud, ids["Data"])


def test_attach_checks_zone_device_and_use(cloud: Any, data: Any, network: dict[str, str]) -> None:
    _resources, ids = data
    elsewhere = cloud.ec2.create_volume(AvailabilityZone="eu-west-1b", Size=1)["VolumeId"]
    here = cloud.ec2.create_volume(AvailabilityZone="eu-west-1a", Size=1)["VolumeId"]
    for identifier, device, reason in (
        (elsewhere, "/dev/sdg", "availability zone"),
        (here, "/dev/sdf", "already in use"),
        (ids["Data"], "/dev/sdg", "already attached"),
    ):
        with pytest.raises(ClientError, match=reason):
            cloud.ec2.attach_volume(VolumeId=identifier, InstanceId=ids["Machine"], Device=device)
