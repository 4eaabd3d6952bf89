"""An account with 60 machines made by hand and 40 of stacks, in an emulator, with faults that are known by heart.

What each group of machines breaks is written here by hand, so that tests compare the audit with it and not with itself.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).resolve().parents[2]
REGION = "eu-west-1"
ACCOUNT = "123456789012"
ENVIRONMENT = "prod"
CORE_IT, STRANGER = "210987654321", "333333333333"
IMAGES = [
    {"owner": CORE_IT, "name": "debian-12-approved", "tags": {"CoreIT": "approved", "Os": "debian-12"}},
    {"owner": STRANGER, "name": "somebodys-ubuntu", "tags": {}},
]
# A machine with no tag but perhaps a name breaks all of these.
BARE = {"mandatory_tags", "backup_present", "schedule_present", "naming", "stack_managed", "owner_known"}


@dataclass(frozen=True)
class Group:
    """Machines that are made alike and break the same rules. `disk` is what their root volume breaks."""

    name: str
    count: int
    breaks: set[str]
    tags: dict[str, str | None] = field(default_factory=dict)
    bare: bool = False
    approved: bool = True
    imds: bool = True
    encrypted: bool = True
    address: bool = False
    stopped: bool = False
    disk: set[str] = field(default_factory=set)


GROUPS = (
    Group("forgotten", 12, BARE, {"Name": "old-{n}"}, bare=True, disk={"mandatory_tags"}),
    Group("nameless", 6, BARE, bare=True, disk={"mandatory_tags"}),
    Group("only by hand", 10, {"stack_managed"}),
    Group("public", 4, {"stack_managed", "public_address"}, address=True),
    Group("imdsv1", 5, {"stack_managed", "imdsv2"}, imds=False),
    Group("image", 4, {"stack_managed", "approved_image"}, approved=False),
    Group("plain disk", 5, {"stack_managed"}, encrypted=False, disk={"encryption"}),
    Group("stopped", 4, {"stack_managed", "stopped_long"}, stopped=True),
    Group("odd name", 4, {"stack_managed", "naming"}, {"Name": "My Server {n}"}),
    Group("owner left", 3, {"stack_managed", "owner_known"}, {"Owner": "zoe"}),
    Group("says it is a bastion", 1, {"stack_managed", "public_address"}, {"Role": "bastion"}, address=True),
    Group("no backup", 1, {"stack_managed", "mandatory_tags", "backup_present"}, {"Backup": None}),
    Group("no hours", 1, {"stack_managed", "mandatory_tags", "schedule_present"}, {"Schedule": None}),
)
MANAGED = 40

TAGS = {
    "Project": "alpha", "Environment": ENVIRONMENT, "Role": "workstation", "Owner": "alice", "CostCenter": "CC-1042",
    "Schedule": "office", "Backup": "daily", "ManagedBy": "by hand",
}  # fmt: skip


class Account:
    """Makes the account; `expected` holds (id, rule) of every fault that was planted."""

    def __init__(self, endpoint: str) -> None:
        self.session = boto3.Session("testing", "testing", region_name=REGION)
        self.endpoint = endpoint
        self.expected: set[tuple[str, str]] = set()
        self.machines: dict[str, list[str]] = {}
        self.names = (f"{ENVIRONMENT}-alpha-workstation-{number:02d}" for number in itertools.count(50))

    def client(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self.endpoint)

    def build(self, groups: tuple[Group, ...] = GROUPS, managed: int = MANAGED) -> Account:
        """Everything."""
        self.ec2 = self.client("ec2")
        found = self.ec2.describe_images(Owners=[CORE_IT, STRANGER])["Images"]
        self.images = {one["OwnerId"]: one["ImageId"] for one in found}
        self._stacks(managed)
        self.subnet = self._export(f"{ENVIRONMENT}-network-PrivateSubnetA")
        self.vpc = self._export(f"{ENVIRONMENT}-network-VpcId")
        self.group = self._group("by-hand-machines", [("tcp", 22, "10.0.0.0/8")], set())
        for group in groups:
            self.machines[group.name] = [self._machine(group, number) for number in range(group.count)]
        self._loose()
        return self

    def _plant(self, resource: str, rules: set[str]) -> None:
        self.expected |= {(resource, rule) for rule in rules}

    # -- by stacks

    def _stacks(self, count: int) -> None:
        for name, kind, tags, parameters in stacks(count, self.images[CORE_IT]):
            body = (ROOT / f"roles/{kind}/files/{kind}.cfn.yml").read_text(encoding="utf-8")
            self.client("cloudformation").create_stack(
                StackName=name,
                TemplateBody=body,
                Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
                Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
                Capabilities=["CAPABILITY_NAMED_IAM"],
            )
            self._wait(name)

    def _wait(self, name: str) -> None:
        for _ in range(600):
            status = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
            if status == "CREATE_COMPLETE":
                return
            assert status == "CREATE_IN_PROGRESS", (name, status)
            time.sleep(0.02)
        raise AssertionError(f"{name} was not made in time")

    def _export(self, name: str) -> str:
        exports = self.client("cloudformation").list_exports()["Exports"]
        return next(one["Value"] for one in exports if one["Name"] == name)

    # -- by hand

    def _machine(self, group: Group, number: int) -> str:
        tags = {} if group.bare else {**TAGS, "Name": next(self.names)}
        tags |= {key: value.format(n=number) if value else None for key, value in group.tags.items()}
        written = [{"Key": key, "Value": value} for key, value in tags.items() if value]
        specifications = [{"ResourceType": "instance", "Tags": written}] if written else []
        disk = {"VolumeSize": 20, "VolumeType": "gp3", "Encrypted": group.encrypted}
        if not group.bare:
            root = [{"Key": key, "Value": value} for key, value in {**TAGS, "Name": "root"}.items()]
            specifications.append({"ResourceType": "volume", "Tags": root})
        made = self.ec2.run_instances(
            ImageId=self.images[CORE_IT if group.approved else STRANGER],
            InstanceType="m5.large",
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnet,
            SecurityGroupIds=[self.group],
            MetadataOptions={"HttpTokens": "required" if group.imds else "optional"},
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": disk}],
            TagSpecifications=specifications,
        )["Instances"][0]
        instance = made["InstanceId"]
        self._plant(instance, group.breaks)
        filters = [{"Name": "attachment.instance-id", "Values": [instance]}]
        volume = self.ec2.describe_volumes(Filters=filters)["Volumes"][0]["VolumeId"]
        self._plant(volume, group.disk)
        if group.address:
            allocation = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
            self.ec2.associate_address(AllocationId=allocation, InstanceId=instance)
            self._plant(allocation, {"stack_managed"})
        if group.stopped:
            self.ec2.stop_instances(InstanceIds=[instance])
        return instance

    def _group(self, name: str, ingress: list[tuple[str, int, str]], breaks: set[str]) -> str:
        made = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"]
        for protocol, port, peer in ingress:
            key, field_ = ("Ipv6Ranges", "CidrIpv6") if ":" in peer else ("IpRanges", "CidrIp")
            rule = {"IpProtocol": protocol, "FromPort": port, "ToPort": port, key: [{field_: peer}]}
            self.ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=[rule])
        self._plant(made, breaks | {"stack_managed"})
        return made

    def _loose(self) -> None:
        """What belongs to no machine."""
        for encrypted, breaks in ((True, {"volume_unattached"}), (False, {"volume_unattached", "encryption"})):
            volume = self.ec2.create_volume(
                AvailabilityZone=f"{REGION}a", Size=100, VolumeType="gp3", Encrypted=encrypted
            )
            self._plant(volume["VolumeId"], breaks | {"stack_managed", "mandatory_tags"})
            self.ec2.create_snapshot(VolumeId=volume["VolumeId"])
        for _ in range(2):
            allocation = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
            self._plant(allocation, {"address_unassociated", "stack_managed"})
        for name, peer in (("open-four", "0.0.0.0/0"), ("open-six", "::/0"), ("open-half", "128.0.0.0/1")):
            self._group(name, [("tcp", 8888, peer)], {"open_world", "group_unused"})
        self._group("left-over", [("tcp", 22, "10.1.0.0/16")], {"group_unused"})
        self._databases()
        self._buckets()

    def _databases(self) -> None:
        rds = self.client("rds")
        common = {"DBInstanceClass": "db.t3.micro", "Engine": "postgres", "AllocatedStorage": 20}
        common |= {"MasterUsername": "root_", "MasterUserPassword": "not-a-secret-1", "StorageType": "gp3"}  # type: ignore[dict-item]
        tags = [{"Key": key, "Value": value} for key, value in {**TAGS, "Name": "good"}.items()]
        rds.create_db_instance(
            DBInstanceIdentifier="good", StorageEncrypted=True, BackupRetentionPeriod=7, PubliclyAccessible=False,
            Tags=tags, **common,
        )  # fmt: skip
        rds.create_db_instance(
            DBInstanceIdentifier="bad",
            StorageEncrypted=False,
            BackupRetentionPeriod=0,
            PubliclyAccessible=True,
            **common,
        )
        self._plant("good", {"stack_managed"})
        bad = {"stack_managed", "mandatory_tags", "public_address", "encryption", "backup_present", "owner_known"}
        self._plant("bad", bad)

    def _buckets(self) -> None:
        s3 = self.client("s3")
        for name, tags, breaks in (
            ("datalab-good", {**TAGS, "Name": "datalab-good"}, {"stack_managed"}),
            ("datalab-bad", {}, {"stack_managed", "mandatory_tags", "owner_known"}),
        ):
            s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
            if tags:
                pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
                s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": pairs})
            self._plant(name, breaks)


def stacks(count: int, image: str) -> Iterator[tuple[str, str, dict[str, str], dict[str, str]]]:
    """The platform's own stacks: network, bastion, two projects and machines, from the templates it ships."""
    own = {"Environment": ENVIRONMENT}
    key = {"ImageId": image, "AdminPublicKey": "ssh-ed25519 AAAA test"}

    def tags(name: str, project: str, role: str, owner: str) -> dict[str, str]:
        return {**TAGS, "Name": name, "Project": project, "Role": role, "Owner": owner, "ManagedBy": "atelier.datalab"}

    yield f"{ENVIRONMENT}-network", "network", tags("network", "platform", "network", "dave"), own | {
        "VpcCidr": "10.30.0.0/16", "ZoneA": "a", "ZoneB": "b", "PublicCidrA": "10.30.0.0/24",
        "PublicCidrB": "10.30.1.0/24", "PrivateCidrA": "10.30.16.0/24", "PrivateCidrB": "10.30.17.0/24",
        "DomainName": "datalab.example.com", "Egress": "nat",
    }  # fmt: skip
    bastion = f"{ENVIRONMENT}-platform-bastion-01"
    yield f"{ENVIRONMENT}-bastion", "bastion", tags(bastion, "platform", "bastion", "dave"), own | key | {
        "Name": bastion, "DomainName": "datalab.example.com", "Zone": "A", "InstanceType": "t3.micro",
        "PrivateIpAddress": "10.30.0.10", "DisableApiTermination": "false",
    }  # fmt: skip
    for project, owner in (("alpha", "alice"), ("beta", "carol")):
        name = f"{ENVIRONMENT}-project-{project}"
        yield name, "project", tags(name, project, "project", owner), own | {"Project": project}
    for number in range(1, count):
        project, owner = ("alpha", "alice") if number % 2 else ("beta", "carol")
        name = f"{ENVIRONMENT}-{project}-workstation-{number:02d}"
        yield f"{ENVIRONMENT}-machine-{number:02d}", "machine", tags(name, project, "workstation", owner), own | key | {
            "Project": project, "Role": "workstation", "Name": name, "DomainName": "datalab.example.com", "Zone": "A",
            "InstanceType": "m6i.large", "RootGib": "30", "DataGib": "10", "DisableApiTermination": "false",
        }  # fmt: skip


def shown(value: Any) -> str:
    """For a message of a test."""
    return json.dumps(value, indent=1, sort_keys=True, default=str)
