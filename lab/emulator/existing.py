"""Types MiniStack has: what replaces them, and one association that could not be updated.

Without these tables a change set calls every change of these types "Conditional". They are
the createOnly and conditionalCreateOnly properties of CloudFormation's resource schemas.
"""

from __future__ import annotations

from typing import Any

from ministack.services import ec2
from ministack.services.cloudformation import provisioners

from lab.emulator._engine import Props, register, replacement

REPLACES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "AWS::Backup::BackupPlan": ((), ()),
    "AWS::CloudWatch::Alarm": (("AlarmName",), ()),
    "AWS::EC2::InternetGateway": ((), ()),
    "AWS::EC2::LaunchTemplate": (("LaunchTemplateName",), ()),
    "AWS::EC2::Route": (
        ("RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId"),
        (),
    ),
    "AWS::EC2::RouteTable": (("VpcId",), ()),
    "AWS::EC2::SecurityGroup": (("GroupDescription", "GroupName", "VpcId"), ()),
    "AWS::EC2::Subnet": (
        (
            "VpcId",
            "AvailabilityZone",
            "AvailabilityZoneId",
            "CidrBlock",
            "OutpostArn",
            "Ipv6Native",
            "Ipv4IpamPoolId",
            "Ipv4NetmaskLength",
            "Ipv6IpamPoolId",
            "Ipv6NetmaskLength",
        ),
        ("Ipv6CidrBlock",),
    ),
    "AWS::EC2::VPC": (("CidrBlock", "Ipv4IpamPoolId", "Ipv4NetmaskLength"), ("InstanceTenancy",)),
    "AWS::EC2::VPCGatewayAttachment": (("VpcId",), ()),
    "AWS::KMS::Alias": (("AliasName",), ()),
    "AWS::KMS::Key": ((), ()),
    "AWS::Logs::LogGroup": (("LogGroupName",), ()),
    "AWS::Route53::RecordSet": (("HostedZoneName", "HostedZoneId"), ()),
}
SUBNET_ROUTE_TABLE = "AWS::EC2::SubnetRouteTableAssociation"


def _association_read(physical_id: str, _props: Props) -> dict[str, Any] | None:
    for table in ec2._route_tables.values():
        for association in table["Associations"]:
            if association["RouteTableAssociationId"] == physical_id:
                return {"RouteTableId": table["RouteTableId"], "SubnetId": association["SubnetId"]}
    return None


def install() -> None:
    """Write the tables; take over the association, whose change left the old one behind."""
    for rtype, (always, conditional) in REPLACES.items():
        replacement(rtype, always, conditional)
    register(
        SUBNET_ROUTE_TABLE,
        create=provisioners._ec2_subnet_rtb_assoc_create,
        delete=provisioners._ec2_subnet_rtb_assoc_delete,
        read=_association_read,
        reads=("RouteTableId", "SubnetId"),
        replaces=("SubnetId", "RouteTableId"),
        tags=False,
    )
