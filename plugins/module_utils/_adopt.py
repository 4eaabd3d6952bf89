"""Templates with which CloudFormation takes over what exists, as it is. Pure: nothing here talks to AWS.

For internal use of this collection. An import changes nothing, so the template says what is there; what it leaves out
stays as it is. Identifiers are those of the resources' schemas (primaryIdentifier).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _names

Raw = Mapping[str, Any]


class AdoptError(Exception):
    """Something the reader of the message can act on."""


def stack_name(environment: str, instance: str) -> str:
    """Name of the stack that takes over a machine: of its id, which never changes."""
    return _names.stack_name(environment, "adopted", instance)


def template(instance: Raw, volumes: Sequence[Raw], addresses: Sequence[Raw]) -> dict[str, Any]:
    """The template. volumes, addresses: those of the machine that outlive it."""
    resources = {"Machine": _resource("AWS::EC2::Instance", _instance(instance))}
    for number, volume in enumerate(volumes, start=1):
        # The zone is where the volume is; it cannot be looked up.
        resources[f"Volume{number}"] = _resource("AWS::EC2::Volume", _volume(volume)) | {
            "Metadata": {"cfn-lint": {"config": {"ignore_checks": ["W3010"]}}}
        }
    for number, address in enumerate(addresses, start=1):
        held = {"Domain": "vpc", "InstanceId": {"Ref": "Machine"}, "Tags": tags(address)}
        resources[f"Address{number}"] = _resource("AWS::EC2::EIP", held)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"{instance['InstanceId']}, made by hand and adopted as it was",
        "Resources": resources,
    }


def identifiers(instance: Raw, volumes: Sequence[Raw], addresses: Sequence[Raw]) -> list[dict[str, Any]]:
    """ResourcesToImport: which of the template's resources is which that exists."""
    found = [_identifier("AWS::EC2::Instance", "Machine", {"InstanceId": instance["InstanceId"]})]
    found += [
        _identifier("AWS::EC2::Volume", f"Volume{number}", {"VolumeId": volume["VolumeId"]})
        for number, volume in enumerate(volumes, start=1)
    ]
    return found + [
        _identifier(
            "AWS::EC2::EIP",
            f"Address{number}",
            {"PublicIp": address["PublicIp"], "AllocationId": address["AllocationId"]},
        )
        for number, address in enumerate(addresses, start=1)
    ]


def kept_volumes(instance: Raw, volumes: Sequence[Raw]) -> list[Raw]:
    """Volumes that outlive the machine; those that end with it belong to it."""
    mappings = [mapping.get("Ebs") or {} for mapping in instance.get("BlockDeviceMappings") or []]
    kept = {disk["VolumeId"] for disk in mappings if disk.get("VolumeId") and not disk.get("DeleteOnTermination")}
    return sorted((volume for volume in volumes if volume["VolumeId"] in kept), key=lambda one: one["VolumeId"])


def text(data: Any) -> str:
    """As it is written to a file, and sent."""
    return json.dumps(data, indent=2, sort_keys=True) + "\n"


def objections(changes: Sequence[Raw]) -> list[str]:
    """Changes of a change set that are no import: with one of them nothing may be executed."""
    found = [entry.get("ResourceChange") or {} for entry in changes]
    return [
        f"{one.get('Action')} {one.get('ResourceType')} {one.get('LogicalResourceId')}"
        for one in found
        if one.get("Action") != "Import"
    ]


def tags(raw: Raw) -> list[dict[str, str]]:
    """Tags without those that AWS writes."""
    found = sorted((tag["Key"], tag["Value"]) for tag in raw.get("Tags") or [])
    return [{"Key": key, "Value": value} for key, value in found if not key.startswith("aws:")]


def _identifier(kind: str, logical: str, identifier: dict[str, str]) -> dict[str, Any]:
    return {"ResourceType": kind, "LogicalResourceId": logical, "ResourceIdentifier": identifier}


def _resource(kind: str, properties: dict[str, Any]) -> dict[str, Any]:
    said = {key: value for key, value in properties.items() if value not in (None, "", [])}
    return {"Type": kind, "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": said}


def _instance(raw: Raw) -> dict[str, Any]:
    return {
        "ImageId": raw["ImageId"],
        "InstanceType": raw["InstanceType"],
        "SubnetId": raw.get("SubnetId"),
        "PrivateIpAddress": raw.get("PrivateIpAddress"),
        "SecurityGroupIds": sorted(group["GroupId"] for group in raw.get("SecurityGroups") or []),
        "KeyName": raw.get("KeyName"),
        "IamInstanceProfile": ((raw.get("IamInstanceProfile") or {}).get("Arn") or "").rpartition("/")[2],
        "Tags": tags(raw),
    }


def _volume(raw: Raw) -> dict[str, Any]:
    return {
        "AvailabilityZone": raw["AvailabilityZone"],
        "Size": raw["Size"],
        "VolumeType": raw["VolumeType"],
        "Encrypted": bool(raw.get("Encrypted")),
        "KmsKeyId": raw.get("KmsKeyId"),
        # gp2 and magnetic volumes have figures that nobody may set.
        "Iops": raw.get("Iops") if raw["VolumeType"] in ("gp3", "io1", "io2") else None,
        "Throughput": raw.get("Throughput") if raw["VolumeType"] == "gp3" else None,
        "Tags": tags(raw),
    }
