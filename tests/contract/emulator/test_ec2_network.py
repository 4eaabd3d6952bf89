"""Addresses, NAT gateway, flow log and the network types MiniStack brings, on the emulator."""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.emulator.conftest import PUBLIC_NETWORK, REGION

RESOURCES: dict[str, Any] = {
    "Vpc": {
        "Type": "AWS::EC2::VPC",
        "Properties": {"CidrBlock": "10.88.0.0/16", "EnableDnsHostnames": True, "EnableDnsSupport": True},
    },
    "Gateway": {"Type": "AWS::EC2::InternetGateway"},
    "GatewayAttachment": {
        "Type": "AWS::EC2::VPCGatewayAttachment",
        "Properties": {"VpcId": {"Ref": "Vpc"}, "InternetGatewayId": {"Ref": "Gateway"}},
    },
    "Public": {
        "Type": "AWS::EC2::Subnet",
        "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.88.0.0/24", "AvailabilityZone": f"{REGION}a"},
    },
    "Private": {
        "Type": "AWS::EC2::Subnet",
        "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.88.16.0/24", "AvailabilityZone": f"{REGION}a"},
    },
    "PublicTable": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}}},
    "PrivateTable": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}}},
    "PublicRoute": {
        "Type": "AWS::EC2::Route",
        "DependsOn": "GatewayAttachment",
        "Properties": {
            "RouteTableId": {"Ref": "PublicTable"},
            "DestinationCidrBlock": "0.0.0.0/0",
            "GatewayId": {"Ref": "Gateway"},
        },
    },
    "PrivateRoute": {
        "Type": "AWS::EC2::Route",
        "Properties": {
            "RouteTableId": {"Ref": "PrivateTable"},
            "DestinationCidrBlock": "0.0.0.0/0",
            "NatGatewayId": {"Ref": "Nat"},
        },
    },
    "Association": {
        "Type": "AWS::EC2::SubnetRouteTableAssociation",
        "Properties": {"SubnetId": {"Ref": "Private"}, "RouteTableId": {"Ref": "PrivateTable"}},
    },
    "NatAddress": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}},
    "Nat": {
        "Type": "AWS::EC2::NatGateway",
        "Properties": {
            "SubnetId": {"Ref": "Public"},
            "AllocationId": {"Fn::GetAtt": ["NatAddress", "AllocationId"]},
            "Tags": [{"Key": "Name", "Value": "nat"}],
        },
    },
    "Endpoint": {
        "Type": "AWS::EC2::VPCEndpoint",
        "Properties": {
            "VpcId": {"Ref": "Vpc"},
            "ServiceName": f"com.amazonaws.{REGION}.s3",
            "RouteTableIds": [{"Ref": "PrivateTable"}],
        },
    },
    "FlowLogGroup": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 30}},
    "FlowLog": {
        "Type": "AWS::EC2::FlowLog",
        "Properties": {
            "ResourceId": {"Ref": "Vpc"},
            "ResourceType": "VPC",
            "TrafficType": "ALL",
            "LogGroupName": {"Ref": "FlowLogGroup"},
            "DeliverLogsPermissionArn": "arn:aws:iam::123456789012:role/flow-logs",
        },
    },
    "Address": {"Type": "AWS::EC2::EIP", "Properties": {"Tags": [{"Key": "Name", "Value": "bastion"}]}},
    "Bastion": {"Type": "AWS::EC2::Instance", "Properties": {"SubnetId": {"Ref": "Public"}}},
    "AddressAssociation": {
        "Type": "AWS::EC2::EIPAssociation",
        "Properties": {
            "AllocationId": {"Fn::GetAtt": ["Address", "AllocationId"]},
            "InstanceId": {"Ref": "Bastion"},
        },
    },
}


@pytest.fixture
def net(cloud: Any) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """The stack ``net``: everything the network and bastion templates are made of."""
    resources = copy.deepcopy(RESOURCES)
    resources["Bastion"]["Properties"]["ImageId"] = cloud.image
    ids = cloud.create("net", resources)
    yield resources, ids
    cloud.delete("net")
    assert cloud.ec2.describe_addresses()["Addresses"] == [], "every address goes back to the pool"


def instance(cloud: Any, identifier: str) -> dict[str, Any]:
    return cloud.ec2.describe_instances(InstanceIds=[identifier])["Reservations"][0]["Instances"][0]


def test_addresses_come_from_the_labs_network(cloud: Any, net: Any) -> None:
    _resources, ids = net
    found = {a["PublicIp"]: a for a in cloud.ec2.describe_addresses()["Addresses"]}
    assert set(found) == {ids["NatAddress"], ids["Address"]}
    assert all(ipaddress.ip_address(a) in ipaddress.ip_network(PUBLIC_NETWORK) for a in found)
    bastion = found[ids["Address"]]
    assert bastion["InstanceId"] == ids["Bastion"]
    assert bastion["AssociationId"] == ids["AddressAssociation"]
    assert {"Key": "Name", "Value": "bastion"} in bastion["Tags"]
    assert instance(cloud, ids["Bastion"])["PublicIpAddress"] == ids["Address"]
    by_instance = [{"Name": "instance-id", "Values": [ids["Bastion"]]}]
    assert len(cloud.ec2.describe_addresses(Filters=by_instance)["Addresses"]) == 1


def test_address_in_use_is_not_released(cloud: Any, net: Any) -> None:
    for address in cloud.ec2.describe_addresses()["Addresses"]:
        with pytest.raises(ClientError, match="in use"):
            cloud.ec2.release_address(AllocationId=address["AllocationId"])


def test_address_follows_a_replaced_instance(cloud: Any, net: Any) -> None:
    resources, ids = net
    resources["Bastion"]["Properties"]["PrivateIpAddress"] = "10.88.0.77"
    new = cloud.update("net", resources)
    assert new["Bastion"] != ids["Bastion"]
    assert new["Address"] == ids["Address"]
    assert instance(cloud, new["Bastion"])["PublicIpAddress"] == ids["Address"]
    assert "PublicIpAddress" not in instance(cloud, ids["Bastion"])


def test_an_address_is_tagged_and_let_go_in_place(cloud: Any, net: Any) -> None:
    resources, ids = net
    resources["Address"]["Properties"]["Tags"][0]["Value"] = "renamed"
    del resources["AddressAssociation"]
    new = cloud.update("net", resources)
    assert (new["Address"], new["Bastion"]) == (ids["Address"], ids["Bastion"])
    address = cloud.ec2.describe_addresses(PublicIps=[ids["Address"]])["Addresses"][0]
    assert {"Key": "Name", "Value": "renamed"} in address["Tags"]
    assert "AssociationId" not in address
    assert "PublicIpAddress" not in instance(cloud, ids["Bastion"])


def test_an_address_can_name_its_instance_itself(cloud: Any, net: Any) -> None:
    resources, ids = net
    del resources["AddressAssociation"]
    resources["Address"]["Properties"]["InstanceId"] = {"Ref": "Bastion"}
    assert cloud.changes("net", resources)["Address"]["Replacement"] == "False"
    assert cloud.update("net", resources)["Address"] == ids["Address"]
    assert instance(cloud, ids["Bastion"])["PublicIpAddress"] == ids["Address"]
    assert cloud.drift("net")["Address"] == "IN_SYNC"
    resources["Bastion"]["Properties"]["PrivateIpAddress"] = "10.88.0.78"
    new = cloud.update("net", resources)
    assert instance(cloud, new["Bastion"])["PublicIpAddress"] == ids["Address"]


def test_nat_gateway_has_its_address(cloud: Any, net: Any) -> None:
    resources, ids = net
    gateway = cloud.ec2.describe_nat_gateways(NatGatewayIds=[ids["Nat"]])["NatGateways"][0]
    assert gateway["NatGatewayAddresses"][0]["PublicIp"] == ids["NatAddress"]
    assert gateway["VpcId"] == ids["Vpc"]
    resources["Nat"]["Properties"]["Tags"][0]["Value"] = "renamed"
    assert cloud.changes("net", resources)["Nat"]["Replacement"] == "False"
    assert cloud.update("net", resources)["Nat"] == ids["Nat"]
    gateway = cloud.ec2.describe_nat_gateways(NatGatewayIds=[ids["Nat"]])["NatGateways"][0]
    assert {"Key": "Name", "Value": "renamed"} in gateway["Tags"]
    resources["Nat"]["Properties"]["ConnectivityType"] = "private"
    assert cloud.changes("net", resources)["Nat"]["Replacement"] == "True"


def test_routes_lead_where_they_should(cloud: Any, net: Any) -> None:
    _resources, ids = net
    tables = cloud.ec2.describe_route_tables(RouteTableIds=[ids["PublicTable"], ids["PrivateTable"]])["RouteTables"]
    routes = {t["RouteTableId"]: {r["DestinationCidrBlock"]: r for r in t["Routes"]} for t in tables}
    assert routes[ids["PublicTable"]]["0.0.0.0/0"]["GatewayId"] == ids["Gateway"]
    assert routes[ids["PrivateTable"]]["0.0.0.0/0"]["NatGatewayId"] == ids["Nat"]
    subnets = {a.get("SubnetId") for t in tables for a in t["Associations"] if t["RouteTableId"] == ids["PrivateTable"]}
    assert ids["Private"] in subnets


def test_another_route_table_leaves_no_old_association(cloud: Any, net: Any) -> None:
    resources, ids = net
    resources["Association"]["Properties"]["RouteTableId"] = {"Ref": "PublicTable"}
    assert cloud.changes("net", resources)["Association"]["Replacement"] == "True"
    cloud.update("net", resources)
    tables = cloud.ec2.describe_route_tables(RouteTableIds=[ids["PublicTable"], ids["PrivateTable"]])["RouteTables"]
    holders = [t["RouteTableId"] for t in tables for a in t["Associations"] if a.get("SubnetId") == ids["Private"]]
    assert holders == [ids["PublicTable"]]


def test_flow_log(cloud: Any, net: Any) -> None:
    resources, ids = net
    found = cloud.ec2.describe_flow_logs(FlowLogIds=[ids["FlowLog"]])["FlowLogs"][0]
    assert (found["ResourceId"], found["TrafficType"]) == (ids["Vpc"], "ALL")
    assert (found["LogGroupName"], found["FlowLogStatus"]) == (ids["FlowLogGroup"], "ACTIVE")
    resources["FlowLog"]["Properties"]["TrafficType"] = "REJECT"
    assert cloud.changes("net", resources)["FlowLog"]["Replacement"] == "True"
    new = cloud.update("net", resources)
    assert new["FlowLog"] != ids["FlowLog"]
    assert len(cloud.ec2.describe_flow_logs()["FlowLogs"]) == 1


def test_nothing_here_drifts_until_somebody_interferes(cloud: Any, net: Any) -> None:
    _resources, ids = net
    added = ("NatAddress", "Nat", "FlowLog", "Address", "AddressAssociation", "Association")
    found = cloud.drift("net")
    assert {found[name] for name in added} == {"IN_SYNC"}
    address = cloud.ec2.describe_addresses(PublicIps=[ids["Address"]])["Addresses"][0]
    cloud.ec2.disassociate_address(AssociationId=address["AssociationId"])
    cloud.ec2.create_tags(Resources=[address["AllocationId"]], Tags=[{"Key": "Name", "Value": "mine"}])
    cloud.ec2.delete_flow_logs(FlowLogIds=[ids["FlowLog"]])
    cloud.ec2.create_tags(Resources=[ids["Nat"]], Tags=[{"Key": "Name", "Value": "mine"}])
    association = cloud.ids("net")["Association"]
    cloud.ec2.disassociate_route_table(AssociationId=association)
    found = cloud.drift("net")
    assert {n: found[n] for n in added} == {
        "NatAddress": "IN_SYNC",
        "Nat": "MODIFIED",
        "FlowLog": "DELETED",
        "Address": "MODIFIED",
        "AddressAssociation": "DELETED",
        "Association": "DELETED",
    }
    cloud.ec2.delete_nat_gateway(NatGatewayId=ids["Nat"])
    assert cloud.drift("net")["Nat"] == "DELETED"


@pytest.mark.parametrize(
    ("logical_id", "name", "expected"),
    [
        ("Vpc", {"CidrBlock": "10.89.0.0/16"}, "True"),
        ("Vpc", {"Tags": [{"Key": "a", "Value": "b"}]}, "False"),
        ("Private", {"CidrBlock": "10.88.17.0/24"}, "True"),
        ("Private", {"MapPublicIpOnLaunch": False}, "False"),
        ("PublicRoute", {"DestinationCidrBlock": "10.0.0.0/8"}, "True"),
        ("Endpoint", {"RouteTableIds": [{"Ref": "PublicTable"}]}, "False"),
        ("FlowLogGroup", {"RetentionInDays": 7}, "False"),
        ("Address", {"Tags": []}, "False"),
    ],
)
def test_change_sets_tell_what_replaces(cloud: Any, net: Any, logical_id: str, name: Any, expected: str) -> None:
    resources, _ids = net
    resources[logical_id]["Properties"].update(name)
    assert cloud.changes("net", resources)[logical_id]["Replacement"] == expected
