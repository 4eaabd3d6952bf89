"""AWS::EC2::Instance on the emulator."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
from botocore.exceptions import ClientError

USER_DATA = base64.b64encode(b"#cloud-config\nhostname: one\n").decode()


def machine(cloud: Any, network: dict[str, str], name: str, **instance: Any) -> dict[str, Any]:
    """Resources of one machine: launch template and instance."""
    return {
        "Template": {
            "Type": "AWS::EC2::LaunchTemplate",
            "Properties": {
                "LaunchTemplateData": {
                    "ImageId": cloud.image,
                    "InstanceType": "t3.micro",
                    "UserData": USER_DATA,
                    "IamInstanceProfile": {"Name": network["Profile"]},
                    "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
                    "BlockDeviceMappings": [
                        {
                            "DeviceName": "/dev/xvda",
                            "Ebs": {"VolumeSize": 30, "VolumeType": "gp3", "Encrypted": True},
                        }
                    ],
                    "TagSpecifications": [
                        {"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": f"{name}-root"}]}
                    ],
                }
            },
        },
        "Machine": {
            "Type": "AWS::EC2::Instance",
            "Properties": {
                "LaunchTemplate": {
                    "LaunchTemplateId": {"Ref": "Template"},
                    "Version": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]},
                },
                "InstanceType": "m6i.large",
                "SubnetId": network["Subnet"],
                "SecurityGroupIds": [network["Group"]],
                "Tags": [{"Key": "Name", "Value": name}],
                **instance,
            },
        },
    }


def described(cloud: Any, instance_id: str) -> dict[str, Any]:
    answer = cloud.ec2.describe_instances(InstanceIds=[instance_id])
    return answer["Reservations"][0]["Instances"][0]


@pytest.fixture
def one(cloud: Any, network: dict[str, str], request: pytest.FixtureRequest) -> Any:
    """A stack with one machine, named after the test; deleted afterwards."""
    name = request.node.name.replace("_", "-")
    resources = machine(cloud, network, name)
    ids = cloud.create(name, resources)
    yield name, resources, ids
    cloud.delete(name)


def test_launch_template_and_properties_make_the_instance(cloud: Any, network: Any, one: Any) -> None:
    name, _resources, ids = one
    instance = described(cloud, ids["Machine"])
    assert instance["ImageId"] == cloud.image
    assert instance["InstanceType"] == "m6i.large", "the instance's own property wins over the template"
    assert instance["SubnetId"] == network["Subnet"]
    assert instance["VpcId"] == network["Vpc"]
    assert instance["Placement"]["AvailabilityZone"] == "eu-west-1a"
    assert instance["PrivateIpAddress"].startswith("10.77.1.")
    assert instance.get("PublicIpAddress") is None
    assert [g["GroupId"] for g in instance["SecurityGroups"]] == [network["Group"]]
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["IamInstanceProfile"]["Arn"].endswith(network["Profile"])
    tags = {t["Key"]: t["Value"] for t in instance["Tags"]}
    assert (tags["Name"], tags["aws:cloudformation:stack-name"]) == (name, name)
    assert tags["aws:ec2launchtemplate:version"] == "1"


def test_disks_are_those_of_the_launch_template(cloud: Any, one: Any) -> None:
    name, _resources, ids = one
    mapping = described(cloud, ids["Machine"])["BlockDeviceMappings"]
    assert [m["DeviceName"] for m in mapping] == ["/dev/xvda"]
    volume = cloud.ec2.describe_volumes(VolumeIds=[mapping[0]["Ebs"]["VolumeId"]])["Volumes"][0]
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (30, "gp3", True)
    assert volume["Attachments"][0]["InstanceId"] == ids["Machine"]
    assert volume["Attachments"][0]["DeleteOnTermination"] is True
    assert volume["Tags"] == [{"Key": "Name", "Value": f"{name}-root"}]


def test_user_data_is_readable(cloud: Any, one: Any) -> None:
    _name, _resources, ids = one
    answer = cloud.ec2.describe_instance_attribute(InstanceId=ids["Machine"], Attribute="userData")
    assert answer["UserData"]["Value"] == USER_DATA


def test_update_in_place_keeps_the_instance(cloud: Any, network: Any, one: Any) -> None:
    name, resources, ids = one
    wanted = copy.deepcopy(resources)
    wanted["Machine"]["Properties"].update(
        InstanceType="m6i.xlarge",
        SecurityGroupIds=[network["Group"], network["OtherGroup"]],
        DisableApiTermination=True,
        Tags=[{"Key": "Name", "Value": name}, {"Key": "Schedule", "Value": "office"}],
    )
    change = cloud.changes(name, wanted)["Machine"]
    assert (change["Action"], change["Replacement"]) == ("Modify", "Conditional")
    assert cloud.update(name, wanted) == ids
    instance = described(cloud, ids["Machine"])
    assert instance["InstanceType"] == "m6i.xlarge"
    assert len(instance["SecurityGroups"]) == 2
    assert {"Key": "Schedule", "Value": "office"} in instance["Tags"]
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    answer = cloud.ec2.describe_instance_attribute(InstanceId=ids["Machine"], Attribute="userData")
    assert answer["UserData"]["Value"] == USER_DATA, "what came from the template stays"
    with pytest.raises(ClientError, match="disableApiTermination"):
        cloud.ec2.terminate_instances(InstanceIds=[ids["Machine"]])
    assert cloud.update(name, resources) == ids


def test_a_tag_alone_is_no_replacement(cloud: Any, one: Any) -> None:
    name, resources, _ids = one
    wanted = copy.deepcopy(resources)
    wanted["Machine"]["Properties"]["Tags"][0]["Value"] = "renamed"
    assert cloud.changes(name, wanted)["Machine"]["Replacement"] == "False"


def test_another_image_replaces_the_instance(cloud: Any, network: Any, one: Any) -> None:
    name, resources, ids = one
    wanted = copy.deepcopy(resources)
    wanted["Machine"]["Properties"]["PrivateIpAddress"] = "10.77.1.200"
    change = cloud.changes(name, wanted)["Machine"]
    assert (change["Replacement"], change["PolicyAction"]) == ("True", "ReplaceAndDelete")
    new = cloud.update(name, wanted)["Machine"]
    assert new != ids["Machine"]
    assert described(cloud, new)["PrivateIpAddress"] == "10.77.1.200"
    assert described(cloud, ids["Machine"])["State"]["Name"] == "terminated"


def test_a_new_launch_template_version_replaces_the_instance(cloud: Any, one: Any) -> None:
    name, resources, ids = one
    wanted = copy.deepcopy(resources)
    data = wanted["Template"]["Properties"]["LaunchTemplateData"]
    data["UserData"] = base64.b64encode(b"#cloud-config\nhostname: two\n").decode()
    change = cloud.changes(name, wanted)["Machine"]
    assert change["Replacement"] == "Conditional", "known only when the template has its new version"
    new = cloud.update(name, wanted)["Machine"]
    assert new != ids["Machine"]
    answer = cloud.ec2.describe_instance_attribute(InstanceId=new, Attribute="userData")
    assert answer["UserData"]["Value"] == data["UserData"]


def test_stop_and_start_keep_everything(cloud: Any, one: Any) -> None:
    _name, _resources, ids = one
    before = described(cloud, ids["Machine"])
    cloud.ec2.stop_instances(InstanceIds=[ids["Machine"]])
    stopped = described(cloud, ids["Machine"])
    assert stopped["State"]["Name"] == "stopped"
    assert stopped["StateTransitionReason"].startswith("User initiated (")
    cloud.ec2.start_instances(InstanceIds=[ids["Machine"]])
    after = described(cloud, ids["Machine"])
    for key in ("State", "PrivateIpAddress", "BlockDeviceMappings", "Tags", "MetadataOptions"):
        assert after[key] == before[key]


def test_drift_shows_hand_made_changes_and_loss(cloud: Any, network: Any, one: Any) -> None:
    name, _resources, ids = one
    assert cloud.drift(name)["Machine"] == "IN_SYNC"
    cloud.ec2.modify_instance_attribute(InstanceId=ids["Machine"], Groups=[network["OtherGroup"]])
    assert cloud.drift(name)["Machine"] == "MODIFIED"
    cloud.ec2.terminate_instances(InstanceIds=[ids["Machine"]])
    assert cloud.drift(name)["Machine"] == "DELETED"


def test_an_instance_ended_by_hand_is_not_replaced_silently(cloud: Any, one: Any) -> None:
    name, resources, ids = one
    cloud.ec2.terminate_instances(InstanceIds=[ids["Machine"]])
    wanted = copy.deepcopy(resources)
    wanted["Machine"]["Properties"]["Tags"][0]["Value"] = "renamed"
    with pytest.raises(AssertionError, match=f"Machine: .*'{ids['Machine']}' does not exist"):
        cloud.update(name, wanted)


def test_delete_terminates_and_removes_the_root_disk(cloud: Any, network: Any) -> None:
    ids = cloud.create("short-lived", machine(cloud, network, "short-lived"))
    volume = described(cloud, ids["Machine"])["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    cloud.delete("short-lived")
    assert described(cloud, ids["Machine"])["State"]["Name"] == "terminated"
    with pytest.raises(ClientError, match="does not exist"):
        cloud.ec2.describe_volumes(VolumeIds=[volume])
    with pytest.raises(ClientError, match="started or stopped"):
        cloud.ec2.start_instances(InstanceIds=[ids["Machine"]])


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"ImageId": "ami-0000000000000000f"}, "image id '.ami-0000000000000000f.' does not exist"),
        ({"SubnetId": "subnet-0"}, "subnet ID 'subnet-0' does not exist"),
        ({"PrivateIpAddress": "10.77.9.9"}, "subnet's address range"),
        ({"PrivateIpAddress": "10.77.1.3"}, "subnet's address range"),
        ({"SecurityGroupIds": ["sg-0"]}, "security group 'sg-0' does not exist"),
        ({"IamInstanceProfile": "nobody"}, "Invalid IAM Instance Profile name"),
        ({"LaunchTemplate": {"LaunchTemplateId": {"Ref": "Template"}, "Version": "7"}}, "template version 7"),
    ],
)
def test_a_bad_launch_rolls_back_with_its_reason(cloud: Any, network: Any, properties: Any, reason: str) -> None:
    resources = machine(cloud, network, "bad", **properties)
    with pytest.raises(AssertionError, match=f"Machine: .*{reason}"):
        cloud.create("bad", resources)
    assert cloud.cfn.describe_stacks(StackName="bad")["Stacks"][0]["StackStatus"] == "ROLLBACK_COMPLETE"
    assert cloud.ids("bad") == {}
    cloud.delete("bad")


def test_two_instances_cannot_have_one_address(cloud: Any, network: Any) -> None:
    first = machine(cloud, network, "first", PrivateIpAddress="10.77.1.99")
    cloud.create("address-1", first)
    with pytest.raises(AssertionError, match=r"10\.77\.1\.99 is in use"):
        cloud.create("address-2", first)
    for name in ("address-1", "address-2"):
        cloud.delete(name)
    cloud.create("address-3", first)
    cloud.delete("address-3")


def test_run_instances_does_the_same(cloud: Any, network: Any, one: Any) -> None:
    _name, _resources, ids = one
    launched = cloud.ec2.run_instances(
        MinCount=1,
        MaxCount=1,
        LaunchTemplate={"LaunchTemplateId": ids["Template"], "Version": "$Latest"},
        SubnetId=network["Subnet"],
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "by-hand"}]}],
    )["Instances"][0]
    assert launched["InstanceType"] == "t3.micro"
    assert launched["MetadataOptions"]["HttpTokens"] == "required"
    found = cloud.ec2.describe_instances(
        Filters=[{"Name": "private-ip-address", "Values": [launched["PrivateIpAddress"]]}]
    )["Reservations"]
    assert [r["Instances"][0]["InstanceId"] for r in found] == [launched["InstanceId"]]
    cloud.ec2.terminate_instances(InstanceIds=[launched["InstanceId"]])


def test_the_latest_version_of_every_launch_template_in_one_call(cloud: Any) -> None:
    """Without id and name EC2 lists all templates, for $Latest and $Default."""
    made = {}
    for name in ("listed-one", "listed-two"):
        made[name] = cloud.ec2.create_launch_template(
            LaunchTemplateName=name, LaunchTemplateData={"InstanceType": "t3.micro"}
        )["LaunchTemplate"]["LaunchTemplateId"]
    cloud.ec2.create_launch_template_version(
        LaunchTemplateId=made["listed-two"], LaunchTemplateData={"InstanceType": "t3.large"}
    )
    found = {
        version: {
            one["LaunchTemplateName"]: one["LaunchTemplateData"]["InstanceType"]
            for one in cloud.ec2.describe_launch_template_versions(Versions=[version])["LaunchTemplateVersions"]
            if one["LaunchTemplateName"] in made
        }
        for version in ("$Latest", "$Default")
    }
    assert found["$Latest"] == {"listed-one": "t3.micro", "listed-two": "t3.large"}
    assert found["$Default"] == {"listed-one": "t3.micro", "listed-two": "t3.micro"}
