"""What AWS says about a resource, cut down to what the audit needs. Pure: one function per kind.

For internal use of this collection. Every record has `kind`, `id`, `name` and `tags`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

Raw = Mapping[str, Any]
Record = dict[str, Any]

STACK_TAG = "aws:cloudformation:stack-name"
# "User initiated (2026-08-01 07:12:44 GMT)": the only place where EC2 says since when an instance is stopped.
_STOPPED = re.compile(r"\((\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}) GMT\)")


def tags_of(raw: Raw, key: str = "Tags") -> dict[str, str]:
    """Tags as a mapping, in the order of their keys."""
    return {tag["Key"]: tag["Value"] for tag in sorted(raw.get(key) or [], key=lambda tag: tag["Key"])}


def moment(value: Any) -> str:
    """A moment of boto3 as text in UTC; empty when there is none."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value or "")


def _base(kind: str, resource_id: str, tags: dict[str, str], name: str = "") -> Record:
    return {"kind": kind, "id": resource_id, "name": name or tags.get("Name", ""), "tags": tags}


def stopped_since(reason: str) -> str:
    """The moment in StateTransitionReason; empty when EC2 gives none."""
    found = _STOPPED.search(reason or "")
    return f"{found[1].replace(' ', 'T')}Z" if found else ""


def instances(page: Raw) -> Iterator[Record]:
    """Instances of a page of DescribeInstances; terminated ones are gone but for their name."""
    for reservation in page.get("Reservations") or []:
        for raw in reservation.get("Instances") or []:
            if raw["State"]["Name"] != "terminated":
                yield _instance(raw)


def _instance(raw: Raw) -> Record:
    options = raw.get("MetadataOptions") or {}
    interfaces = raw.get("NetworkInterfaces") or []
    public = {raw.get("PublicIpAddress")} | {(one.get("Association") or {}).get("PublicIp") for one in interfaces}
    disks = (mapping.get("Ebs") or {} for mapping in raw.get("BlockDeviceMappings") or [])
    state = raw["State"]["Name"]
    return _base("instance", raw["InstanceId"], tags_of(raw)) | {
        "state": state,
        "stopped_since": stopped_since(raw.get("StateTransitionReason", "")) if state == "stopped" else "",
        "type": raw.get("InstanceType", ""),
        "image": raw.get("ImageId", ""),
        "key_name": raw.get("KeyName", ""),
        "vpc": raw.get("VpcId", ""),
        "subnet": raw.get("SubnetId", ""),
        "zone": (raw.get("Placement") or {}).get("AvailabilityZone", ""),
        "groups": sorted((one["GroupId"], one.get("GroupName", "")) for one in raw.get("SecurityGroups") or []),
        "private_ip": raw.get("PrivateIpAddress", ""),
        # Of IPv6 every address looks public; whether it can be reached is a matter of routes, which are not read.
        "public_ips": sorted(public - {None, ""}),
        "launched": moment(raw.get("LaunchTime")),
        # Absent options count as open: the default of an instance made by hand is `optional`.
        "imdsv1": options.get("HttpTokens") != "required" and options.get("HttpEndpoint") != "disabled",
        "profile": ((raw.get("IamInstanceProfile") or {}).get("Arn") or "").rpartition("/")[2],
        "platform": raw.get("PlatformDetails") or raw.get("Platform") or "",
        "spot": raw.get("InstanceLifecycle") == "spot",
        "volumes": sorted(disk["VolumeId"] for disk in disks if disk.get("VolumeId")),
        "ebs_optimized": bool(raw.get("EbsOptimized")),
    }


def volumes(page: Raw) -> Iterator[Record]:
    """Volumes of a page of DescribeVolumes."""
    for raw in page.get("Volumes") or []:
        yield _base("volume", raw["VolumeId"], tags_of(raw)) | {
            "size": raw.get("Size", 0),
            "type": raw.get("VolumeType", ""),
            "iops": raw.get("Iops") or 0,
            "throughput": raw.get("Throughput") or 0,
            "encrypted": bool(raw.get("Encrypted")),
            "key": raw.get("KmsKeyId", ""),
            "state": raw.get("State", ""),
            "zone": raw.get("AvailabilityZone", ""),
            "created": moment(raw.get("CreateTime")),
            "attached_to": sorted(one["InstanceId"] for one in raw.get("Attachments") or [] if one.get("InstanceId")),
        }


def snapshots(page: Raw) -> Iterator[Record]:
    """Snapshots of a page of DescribeSnapshots."""
    for raw in page.get("Snapshots") or []:
        yield _base("snapshot", raw["SnapshotId"], tags_of(raw)) | {
            "size": raw.get("VolumeSize", 0),
            "volume": raw.get("VolumeId", ""),
            "encrypted": bool(raw.get("Encrypted")),
            "created": moment(raw.get("StartTime")),
        }


def addresses(page: Raw) -> Iterator[Record]:
    """Elastic addresses of DescribeAddresses."""
    for raw in page.get("Addresses") or []:
        yield _base("address", raw.get("AllocationId") or raw["PublicIp"], tags_of(raw)) | {
            "public_ip": raw["PublicIp"],
            "instance": raw.get("InstanceId", ""),
            "interface": raw.get("NetworkInterfaceId", ""),
            "associated": bool(raw.get("AssociationId") or raw.get("InstanceId") or raw.get("NetworkInterfaceId")),
        }


def nats(page: Raw) -> Iterator[Record]:
    """NAT gateways of a page of DescribeNatGateways that are there."""
    for raw in page.get("NatGateways") or []:
        if raw.get("State") not in ("deleted", "deleting", "failed"):
            held = raw.get("NatGatewayAddresses") or []
            yield _base("nat", raw["NatGatewayId"], tags_of(raw)) | {
                "vpc": raw.get("VpcId", ""),
                "state": raw.get("State", ""),
                "addresses": sorted(one["AllocationId"] for one in held if one.get("AllocationId")),
            }


def interfaces(page: Raw) -> Iterator[Record]:
    """Network interfaces of a page of DescribeNetworkInterfaces."""
    for raw in page.get("NetworkInterfaces") or []:
        association = raw.get("Association") or {}
        yield _base("interface", raw["NetworkInterfaceId"], tags_of(raw, "TagSet")) | {
            "public_ip": association.get("PublicIp", ""),
            "private_ip": raw.get("PrivateIpAddress", ""),
            "instance": (raw.get("Attachment") or {}).get("InstanceId", ""),
            "groups": sorted(one["GroupId"] for one in raw.get("Groups") or []),
            "subnet": raw.get("SubnetId", ""),
            "what": raw.get("Description", ""),
            "service": bool(raw.get("RequesterManaged")),
        }


def _peers(permission: Raw) -> list[str]:
    ranges = [one["CidrIp"] for one in permission.get("IpRanges") or []]
    ranges += [one["CidrIpv6"] for one in permission.get("Ipv6Ranges") or []]
    ranges += [one["PrefixListId"] for one in permission.get("PrefixListIds") or []]
    return sorted(ranges + [one["GroupId"] for one in permission.get("UserIdGroupPairs") or [] if "GroupId" in one])


def _permissions(raw: Raw, key: str) -> list[Record]:
    found = [
        {
            "protocol": "all" if one.get("IpProtocol") == "-1" else one.get("IpProtocol", ""),
            "from": one.get("FromPort", -1),
            "to": one.get("ToPort", -1),
            "peers": _peers(one),
        }
        for one in raw.get(key) or []
    ]
    return sorted(found, key=lambda one: (one["protocol"], one["from"], one["to"], one["peers"]))


def groups(page: Raw) -> Iterator[Record]:
    """Security groups of a page of DescribeSecurityGroups."""
    for raw in page.get("SecurityGroups") or []:
        yield _base("group", raw["GroupId"], tags_of(raw), raw.get("GroupName", "")) | {
            "vpc": raw.get("VpcId", ""),
            "what": raw.get("Description", ""),
            "ingress": _permissions(raw, "IpPermissions"),
            "egress": _permissions(raw, "IpPermissionsEgress"),
        }


def databases(page: Raw) -> Iterator[Record]:
    """Databases of a page of DescribeDBInstances."""
    for raw in page.get("DBInstances") or []:
        endpoint = raw.get("Endpoint") or {}
        yield _base("database", raw["DBInstanceIdentifier"], tags_of(raw, "TagList"), raw["DBInstanceIdentifier"]) | {
            "arn": raw.get("DBInstanceArn", ""),
            "type": raw.get("DBInstanceClass", ""),
            "engine": raw.get("Engine", ""),
            "state": raw.get("DBInstanceStatus", ""),
            "size": raw.get("AllocatedStorage", 0),
            "storage": raw.get("StorageType", ""),
            "encrypted": bool(raw.get("StorageEncrypted")),
            "public": bool(raw.get("PubliclyAccessible")),
            "multi_az": bool(raw.get("MultiAZ")),
            "retention": raw.get("BackupRetentionPeriod", 0),
            "endpoint": endpoint.get("Address", ""),
            "port": endpoint.get("Port", 0),
            "created": moment(raw.get("InstanceCreateTime")),
            "groups": sorted(one["VpcSecurityGroupId"] for one in raw.get("VpcSecurityGroups") or []),
        }


def images(page: Raw) -> Iterator[Record]:
    """Images of a page of DescribeImages; kept as AWS words them where `_images.objections` reads them."""
    kept = ("ImageId", "OwnerId", "Architecture", "State", "CreationDate", "DeprecationTime", "Name")
    for raw in page.get("Images") or []:
        yield _base("image", raw["ImageId"], tags_of(raw), raw.get("Name", "")) | {
            "raw": {key: raw[key] for key in kept if key in raw} | {"Tags": raw.get("Tags") or []},
        }


def subnets(page: Raw) -> Iterator[Record]:
    """Subnets of a page of DescribeSubnets."""
    for raw in page.get("Subnets") or []:
        yield _base("subnet", raw["SubnetId"], tags_of(raw)) | {
            "vpc": raw.get("VpcId", ""),
            "cidr": raw.get("CidrBlock", ""),
        }


def stacks(page: Raw) -> Iterator[Record]:
    """Stacks of a page of DescribeStacks that are still there."""
    for raw in page.get("Stacks") or []:
        if raw["StackStatus"] not in ("DELETE_COMPLETE", "REVIEW_IN_PROGRESS"):
            yield _base("stack", raw["StackId"], tags_of(raw), raw["StackName"]) | {"status": raw["StackStatus"]}


def members(page: Raw) -> Iterator[Record]:
    """What stacks hold, of a page of ListStackResources."""
    for raw in page.get("StackResourceSummaries") or []:
        if raw.get("PhysicalResourceId") and raw.get("ResourceStatus") != "DELETE_COMPLETE":
            yield {
                "kind": "member",
                "id": raw["PhysicalResourceId"],
                "type": raw.get("ResourceType", ""),
                "logical": raw.get("LogicalResourceId", ""),
            }


def buckets(page: Raw) -> Iterator[Record]:
    """Buckets of a page of ListBuckets."""
    for raw in page.get("Buckets") or []:
        yield _base("bucket", raw["Name"], {}, raw["Name"]) | {"created": moment(raw.get("CreationDate"))}


def names(page: Raw) -> Iterator[Record]:
    """Addresses and aliases of a page of ListResourceRecordSets."""
    for raw in page.get("ResourceRecordSets") or []:
        if raw.get("Type") in ("A", "AAAA", "CNAME"):
            targets = [one["Value"] for one in raw.get("ResourceRecords") or []]
            targets += [raw["AliasTarget"]["DNSName"]] if raw.get("AliasTarget") else []
            yield {
                "kind": "record",
                "id": f"{raw['Name']} {raw['Type']}",
                "name": raw["Name"].rstrip(".").replace("\\052", "*"),
                "tags": {},
                "targets": sorted(target.rstrip(".") for target in targets),
            }
