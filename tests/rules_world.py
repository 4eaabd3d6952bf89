"""A small account in which nothing breaks a rule, for the tests of the rules; each test breaks one thing of it."""

from __future__ import annotations

import copy
import datetime
from typing import Any

NOW = datetime.datetime(2027, 1, 15, 12, tzinfo=datetime.UTC)
TODAY = NOW.date()
MACHINE, BASTION = "prod-alpha-workstation-01", "prod-platform-bastion-01"
RULES = (
    "approved_image", "image_age", "image_marker", "patch_age", "mandatory_tags", "tag_values", "owner_member",
    "naming", "stack_managed", "public_address", "open_world", "flow_expired", "imdsv2", "encryption",
    "certificate_expiry", "backup_present", "schedule_present", "exception_current",
)  # fmt: skip
_LIMITS = {
    "image_age": {"max_days": 90},
    "patch_age": {"max_days": 45},
    "certificate_expiry": {"min_days": 21},
    "exception_current": {"max_days": 90},
    "mandatory_tags": {"also": ["DataClass"]},
    "naming": {"pattern": "prod-(alpha|platform)-.*"},
}


def rules(**severities: str) -> dict[str, Any]:
    """All rules, refusing everywhere but where told otherwise."""
    return {
        name: {"text": f"About {name}.", "source": "Baseline", "severity": severities.get(name, "refuse")}
        | _LIMITS.get(name, {})
        for name in RULES
    }


def _tags(stack: str, **tags: str) -> list[dict[str, str]]:
    own = {
        "Project": "alpha", "Environment": "prod", "Role": "workstation", "Owner": "ada", "CostCenter": "CC-0001",
        "Schedule": "office", "Backup": "daily", "ManagedBy": "atelier.datalab", "DataClass": "internal",
        "aws:cloudformation:stack-name": stack,
    } | tags  # fmt: skip
    return [{"Key": key, "Value": value} for key, value in own.items()]


def _platform(stack: str, name: str, role: str) -> list[dict[str, str]]:
    return _tags(stack, Name=name, Project="platform", Role=role, Schedule="always", Backup="none")


def _instance(number: str, tags: list[dict[str, str]], **more: Any) -> dict[str, Any]:
    return {
        "InstanceId": f"i-0000000{number}",
        "ImageId": "ami-00000001",
        "State": {"Name": "running"},
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeId": f"vol-0000000{number}"}}],
        "SecurityGroups": [{"GroupId": "sg-00000001"}],
        "Tags": tags,
        **more,
    }


_LAUNCH = {
    "MetadataOptions": {"HttpTokens": "required"},
    "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True}}],
}
FOUND: dict[str, Any] = {
    "instances": [
        _instance("1", _tags("prod-machine-alpha", Name=MACHINE)),
        _instance("2", _platform("prod-bastion", BASTION, "bastion"), PublicIpAddress="203.0.113.1"),
        _instance("3", [], State={"Name": "terminated"}),
    ],
    "volumes": [
        # CloudFormation puts no tag of its own on a root disk.
        {
            "VolumeId": "vol-00000001",
            "Encrypted": True,
            "Attachments": [{"InstanceId": "i-00000001"}],
            "Tags": _tags("", Name=MACHINE),
        },
        {"VolumeId": "vol-00000009", "Encrypted": True, "Tags": _tags("prod-machine-alpha", Name=f"{MACHINE}-data")},
    ],
    "groups": [
        {
            "GroupId": "sg-00000001",
            "GroupName": "alpha",
            "IpPermissions": [
                {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
            ],
            "IpPermissionsEgress": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "127.0.0.1/32"}]}],
            "Tags": _tags("prod-project-alpha", Name="prod-alpha", Role="project"),
        },
        # Every VPC has one that cannot be removed; nothing uses it.
        {
            "GroupId": "sg-00000002",
            "GroupName": "default",
            "IpPermissionsEgress": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
        },
    ],
    "interfaces": [
        {
            "NetworkInterfaceId": "eni-00000001",
            "Attachment": {"InstanceId": "i-00000002"},
            "Association": {"PublicIp": "203.0.113.1"},
        },
        {
            "NetworkInterfaceId": "eni-00000002",
            "InterfaceType": "nat_gateway",
            "Association": {"PublicIp": "203.0.113.2"},
        },
        {"NetworkInterfaceId": "eni-00000003", "Description": "ELB app/x", "Groups": [{"GroupId": "sg-00000001"}]},
    ],
    "addresses": [{"AllocationId": "eipalloc-00000001", "Tags": _platform("prod-bastion", BASTION, "bastion")}],
    "images": {
        "ami-00000001": {
            "ImageId": "ami-00000001",
            "Name": "core-it-12",
            "OwnerId": "210987654321",
            "Architecture": "x86_64",
            "CreationDate": "2026-12-01T00:00:00Z",
            "Tags": [{"Key": "CoreIT", "Value": "approved"}],
        }
    },
    "launch_templates": [
        {"LaunchTemplateId": "lt-00000001", "LaunchTemplateName": "machine", "LaunchTemplateData": _LAUNCH}
    ],
    "databases": [
        {
            "DBInstanceArn": "arn:aws:rds:eu-west-1:1:db:hub",
            "DBInstanceIdentifier": "hub",
            "StorageEncrypted": True,
            "PubliclyAccessible": False,
            "BackupRetentionPeriod": 7,
            "CertificateDetails": {"ValidTill": datetime.datetime(2029, 1, 1, tzinfo=datetime.UTC)},
            "TagList": _tags("prod-project-alpha", Name="hub", Role="project"),
        }
    ],
    "certificates": [
        {
            "CertificateArn": "arn:aws:acm:eu-west-1:1:certificate/1",
            "DomainName": "x.example.com",
            "NotAfter": "2027-12-01",
        }
    ],
}
HOSTS: dict[str, Any] = {
    MACHINE: {
        "marker": {"approved": True, "image_id": "ami-00000001", "name": "core-it-12"},
        "patched": {"when": "2027-01-10T06:00:00+01:00", "source": "dpkg.log"},
        "certificates": [{"path": "/etc/x.pem", "ends": "2027-06-01T00:00:00+00:00"}],
    },
    BASTION: {"marker": {"approved": True, "name": "core-it-12"}, "patched": None, "certificates": []},
}
EXPECTED: dict[str, Any] = {
    "rules": rules(),
    "exceptions": [],
    "checked": {name: ["running"] for name in RULES},
    "subjects": [MACHINE, BASTION, "alpha", "web"],
    "stacks": ["prod-machine-alpha", "prod-bastion", "prod-project-alpha"],
    "bastion": BASTION,
    "images": {"debian-12": {"owner": "210987654321", "tags": {"CoreIT": "approved"}, "architecture": "x86_64"}},
    "owners": {"platform": ["ada", "bob"], "alpha": ["ada"]},
    "members": ["ada", "bob"],
    "tags": {
        "Project": ["alpha", "platform"], "Environment": ["prod"], "Role": ["bastion", "project", "workstation"],
        "CostCenter": ["CC-0001"], "Schedule": ["always", "none", "office"], "Backup": ["daily", "none"],
        "ManagedBy": ["atelier.datalab"],
    },
    "findings": [],
}  # fmt: skip


def changed(data: Any, *changes: tuple[str, Any]) -> Any:
    """A copy in which the value at a path is another; None takes it away. `Tags/Owner` reaches into AWS's lists."""
    data = copy.deepcopy(data)
    for path, value in changes:
        *parents, last = path.split("/")
        here = data
        for step in parents:
            here = here[int(step)] if isinstance(here, list) else here[step]
        if isinstance(here, list):
            here[:] = [tag for tag in here if tag["Key"] != last]
            here += [{"Key": last, "Value": value}] if value is not None else []
        elif value is None:
            del here[last]
        else:
            here[last] = value
    return data
