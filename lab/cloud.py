"""What the emulator says there is: instances, their volumes, addresses and names. Read-only."""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass
from typing import Any

REGION = "eu-west-1"
CREDENTIALS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": REGION}
GONE = {"terminated", "shutting-down"}


@dataclass(frozen=True)
class Volume:
    """A data volume attached to an instance."""

    id: str
    gib: int


@dataclass(frozen=True)
class Permission:
    """What a rule of a security group opens, to networks and to members of groups."""

    protocol: str  # tcp, udp, icmp, -1 for all, or a number
    first: int | None  # ports, None for all
    last: int | None
    networks: tuple[str, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True)
class SecurityGroup:
    """A security group's rules."""

    ingress: tuple[Permission, ...]
    egress: tuple[Permission, ...]


@dataclass(frozen=True)
class Instance:
    """An instance as its host needs it."""

    id: str
    state: str
    address: str
    subnet: str
    cidr: str
    image: str = ""  # AMI id
    name: str = ""
    role: str = ""
    fqdn: str = ""
    public_address: str = ""
    volumes: tuple[Volume, ...] = ()
    groups: tuple[str, ...] = ()  # ids of its security groups
    zone: str = ""
    type: str = ""
    profile: str = ""  # name of its instance profile


@dataclass(frozen=True)
class Endpoint:
    """One address of an interface endpoint: a service of AWS inside a subnet."""

    id: str  # of its network interface
    address: str
    vpc: str
    names: tuple[str, ...]  # that resolve to it in its VPC
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Snapshot:
    """Everything the mirror looks at, at one moment."""

    instances: dict[str, Instance]
    volumes: frozenset[str]
    records: dict[str, dict[str, str]]  # VPC id -> name -> address
    vpcs: dict[str, str]  # instance id -> VPC id
    groups: dict[str, SecurityGroup]
    endpoints: tuple[Endpoint, ...] = ()


class Cloud:
    """Client of one emulator."""

    def __init__(self, endpoint: str) -> None:
        # Here, not above: half the time of `lab env` would be this import, and boto3's is twice botocore's.
        from botocore.config import Config  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415

        config = Config(connect_timeout=2, read_timeout=20, retries={"max_attempts": 1}, proxies={})
        session = Session()

        def client(service: str) -> Any:
            return session.create_client(service, endpoint_url=endpoint, config=config, **CREDENTIALS)

        self.ec2, self.route53, self.ssm = client("ec2"), client("route53"), client("ssm")
        self.iam, self.sts = client("iam"), client("sts")

    def read(self) -> Snapshot:
        """Return what there is now."""
        subnets = {s["SubnetId"]: s["CidrBlock"] for s in self._all("describe_subnets", "Subnets")}
        raw = [i for r in self._all("describe_instances", "Reservations") for i in r["Instances"]]
        raw = [i for i in raw if i.get("SubnetId") in subnets and i.get("PrivateIpAddress")]
        volumes = self._all("describe_volumes", "Volumes")
        public = {
            a["InstanceId"]: a["PublicIp"] for a in self.ec2.describe_addresses()["Addresses"] if a.get("InstanceId")
        }
        zones, found = self._zones(), self._endpoints()
        records = {vpc: {k: v for names in zone.values() for k, v in names.items()} for vpc, zone in zones.items()}
        for endpoint in found:
            for name in endpoint.names:
                records.setdefault(endpoint.vpc, {}).setdefault(name, endpoint.address)
        instances = {}
        for item in raw:
            domain = next((z for z in zones.get(item.get("VpcId", ""), {})), "")
            instances[item["InstanceId"]] = instance_from(item, subnets[item["SubnetId"]], volumes, public, domain)
        return Snapshot(
            instances,
            frozenset(v["VolumeId"] for v in volumes),
            records,
            {i["InstanceId"]: i.get("VpcId", "") for i in raw},
            {
                g["GroupId"]: SecurityGroup(permissions(g["IpPermissions"]), permissions(g["IpPermissionsEgress"]))
                for g in self._all("describe_security_groups", "SecurityGroups")
            },
            found,
        )

    def images(self) -> dict[str, str]:
        """Return AMI id -> key of the host image behind it."""
        found = self.ec2.describe_images()["Images"]
        return {i["ImageId"]: tags(i)["LabImage"] for i in found if tags(i).get("LabImage")}

    def user_data(self, instance: str) -> bytes:
        """Return the user data an instance was launched with."""
        answer = self.ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")
        return base64.b64decode(answer.get("UserData", {}).get("Value") or "")

    def credentials(self, instance: Instance) -> tuple[str, dict[str, Any]]:
        """Return the name of the role of an instance's profile, and an hour's credentials of it for this instance."""
        profile = self.iam.get_instance_profile(InstanceProfileName=instance.profile)["InstanceProfile"]
        role = profile["Roles"][0]
        answer = self.sts.assume_role(RoleArn=role["Arn"], RoleSessionName=instance.id, DurationSeconds=3600)
        return role["RoleName"], answer["Credentials"]

    def _endpoints(self) -> tuple[Endpoint, ...]:
        """Return the addresses of interface endpoints, each subnet's own, in an order that stays."""
        found = [e for e in self._all("describe_vpc_endpoints", "VpcEndpoints") if e["VpcEndpointType"] == "Interface"]
        if not found:
            return ()
        interfaces = {i["NetworkInterfaceId"]: i for i in self._all("describe_network_interfaces", "NetworkInterfaces")}
        return tuple(
            sorted(
                (
                    endpoint_from(endpoint, interfaces[identifier])
                    for endpoint in found
                    for identifier in endpoint.get("NetworkInterfaceIds", [])
                    if identifier in interfaces
                ),
                key=lambda endpoint: (endpoint.names, endpoint.address),
            )
        )

    def _all(self, operation: str, key: str) -> list[Any]:
        return [item for page in self.ec2.get_paginator(operation).paginate() for item in page[key]]

    def _zones(self) -> dict[str, dict[str, dict[str, str]]]:
        """Return VPC id -> private zone -> name -> address."""
        result: dict[str, dict[str, dict[str, str]]] = {}
        for zone in self.route53.list_hosted_zones()["HostedZones"]:
            if not zone.get("Config", {}).get("PrivateZone"):
                continue
            records = self.route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
            names = {
                r["Name"].rstrip("."): r["ResourceRecords"][0]["Value"]
                for r in records
                if r["Type"] == "A" and r.get("ResourceRecords") and is_address(r["ResourceRecords"][0]["Value"])
            }
            for vpc in self.route53.get_hosted_zone(Id=zone["Id"]).get("VPCs", []):
                result.setdefault(vpc["VPCId"], {})[zone["Name"].rstrip(".")] = names
        return result


def is_address(text: str) -> bool:
    """Say whether this is an IPv4 address."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def tags(item: dict[str, Any]) -> dict[str, str]:
    """Return an EC2 answer's tags as a map."""
    return {t["Key"]: t["Value"] for t in item.get("Tags", [])}


def permissions(items: list[dict[str, Any]]) -> tuple[Permission, ...]:
    """Make Permissions of what DescribeSecurityGroups answers."""
    return tuple(
        Permission(
            str(item["IpProtocol"]), item.get("FromPort"), item.get("ToPort"),
            tuple(network["CidrIp"] for network in item.get("IpRanges", [])),
            tuple(pair["GroupId"] for pair in item.get("UserIdGroupPairs", [])),
        )
        for item in items
    )  # fmt: skip


def endpoint_from(endpoint: dict[str, Any], interface: dict[str, Any]) -> Endpoint:
    """Make an Endpoint of what DescribeVpcEndpoints and DescribeNetworkInterfaces answer."""
    return Endpoint(
        interface["NetworkInterfaceId"], interface["PrivateIpAddress"], endpoint["VpcId"],
        tuple(entry["DnsName"] for entry in endpoint.get("DnsEntries", [])),
        tuple(group["GroupId"] for group in interface.get("Groups", [])),
    )  # fmt: skip


def instance_from(
    item: dict[str, Any], cidr: str, volumes: list[dict[str, Any]], public: dict[str, str], domain: str
) -> Instance:
    """Make an Instance of what DescribeInstances and the others answer. The root disk is the host's own."""
    labels, identifier = tags(item), item["InstanceId"]
    root = item.get("RootDeviceName", "/dev/xvda")
    attached = [
        Volume(volume["VolumeId"], int(volume["Size"]))
        for volume in volumes
        for attachment in volume.get("Attachments", [])
        if attachment["InstanceId"] == identifier
        and attachment.get("State", "attached") in {"attaching", "attached"}
        and attachment.get("Device") not in {root, "/dev/xvda", "/dev/sda1"}
    ]
    name = labels.get("Name", "")
    return Instance(
        id=identifier, state=item["State"]["Name"], address=item["PrivateIpAddress"], subnet=item["SubnetId"],
        cidr=cidr, image=item.get("ImageId", ""), name=name, role=labels.get("Role", ""),
        fqdn=f"{name}.{domain}" if name and domain else "",
        public_address=public.get(identifier, ""), volumes=tuple(sorted(attached, key=lambda v: v.id)),
        groups=tuple(group["GroupId"] for group in item.get("SecurityGroups", [])),
        zone=item.get("Placement", {}).get("AvailabilityZone", ""), type=item.get("InstanceType", ""),
        profile=item.get("IamInstanceProfile", {}).get("Arn", "").rpartition("/")[2],
    )  # fmt: skip
