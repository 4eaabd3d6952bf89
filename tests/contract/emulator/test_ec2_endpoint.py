"""Interface endpoints on the emulator: an address in each subnet, the groups, the names."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.contract.emulator.conftest import REGION, Cloud, StackError

ENDPOINT = {
    "Type": "AWS::EC2::VPCEndpoint",
    "Properties": {
        "VpcId": {"Ref": "Vpc"},
        "VpcEndpointType": "Interface",
        "ServiceName": f"com.amazonaws.{REGION}.logs",
        "PrivateDnsEnabled": True,
        "SubnetIds": [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}],
        "SecurityGroupIds": [{"Fn::GetAtt": ["Group", "GroupId"]}],
    },
}


def subnet(number: int, zone: str) -> dict[str, Any]:
    own = {"VpcId": {"Ref": "Vpc"}, "CidrBlock": f"10.66.{number}.0/28", "AvailabilityZone": f"{REGION}{zone}"}
    return {"Type": "AWS::EC2::Subnet", "Properties": own}


def group(title: str) -> dict[str, Any]:
    return {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": title, "VpcId": {"Ref": "Vpc"}}}


RESOURCES: dict[str, Any] = {
    "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.66.0.0/16"}},
    "SubnetA": subnet(0, "a"),
    "SubnetB": subnet(1, "b"),
    "Group": group("endpoints"),
    "Other": group("other"),
    "Endpoint": ENDPOINT,
}


def described(cloud: Cloud, identifier: str) -> dict[str, Any]:
    return cloud.ec2.describe_vpc_endpoints(VpcEndpointIds=[identifier])["VpcEndpoints"][0]


def interfaces(cloud: Cloud, endpoint: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By subnet."""
    found = cloud.ec2.describe_network_interfaces(NetworkInterfaceIds=endpoint["NetworkInterfaceIds"])
    return {one["SubnetId"]: one for one in found["NetworkInterfaces"]}


def test_an_interface_endpoint_has_addresses_groups_and_names(cloud: Cloud) -> None:
    made = cloud.create("endpoint", RESOURCES)
    endpoint = described(cloud, made["Endpoint"])
    assert [one["GroupId"] for one in endpoint["Groups"]] == [made["Group"]]
    assert endpoint["PrivateDnsEnabled"] is True
    assert f"logs.{REGION}.amazonaws.com" in [one["DnsName"] for one in endpoint["DnsEntries"]]
    plugged = interfaces(cloud, endpoint)
    assert {key: one["PrivateIpAddress"] for key, one in plugged.items()} == {
        made["SubnetA"]: "10.66.0.14",
        made["SubnetB"]: "10.66.1.14",
    }
    assert {one["InterfaceType"] for one in plugged.values()} == {"vpc_endpoint"}

    changed = copy.deepcopy(RESOURCES)
    changed["Endpoint"]["Properties"] |= {
        "SubnetIds": [{"Ref": "SubnetB"}],
        "SecurityGroupIds": [{"Fn::GetAtt": ["Other", "GroupId"]}],
        "PrivateDnsEnabled": False,
    }
    assert cloud.changes("endpoint", changed)["Endpoint"]["Replacement"] == "False"
    assert cloud.update("endpoint", changed)["Endpoint"] == made["Endpoint"]
    endpoint = described(cloud, made["Endpoint"])
    after = interfaces(cloud, endpoint)
    assert list(after) == [made["SubnetB"]]
    kept = after[made["SubnetB"]]
    assert kept["NetworkInterfaceId"] == plugged[made["SubnetB"]]["NetworkInterfaceId"], "its address stays"
    assert [one["GroupId"] for one in kept["Groups"]] == [made["Other"]]
    assert f"logs.{REGION}.amazonaws.com" not in [one["DnsName"] for one in endpoint["DnsEntries"]]
    assert cloud.drift("endpoint")["Endpoint"] == "IN_SYNC"

    cloud.delete("endpoint")
    assert kept["NetworkInterfaceId"] not in [
        one["NetworkInterfaceId"] for one in cloud.ec2.describe_network_interfaces()["NetworkInterfaces"]
    ]


def test_an_address_of_an_endpoint_is_not_given_to_an_instance(cloud: Cloud) -> None:
    taken = copy.deepcopy(RESOURCES)
    taken["Instance"] = {
        "Type": "AWS::EC2::Instance",
        "DependsOn": "Endpoint",
        "Properties": {"ImageId": cloud.image, "SubnetId": {"Ref": "SubnetA"}, "PrivateIpAddress": "10.66.0.14"},
    }
    with pytest.raises(StackError, match=r"10\.66\.0\.14 is in use"):
        cloud.create("endpoint-taken", taken)


def test_two_subnets_of_a_zone_are_refused(cloud: Cloud) -> None:
    same = copy.deepcopy(RESOURCES)
    same["SubnetB"]["Properties"]["AvailabilityZone"] = f"{REGION}a"
    with pytest.raises(StackError, match="availability zone"):
        cloud.create("endpoint-zone", same)


def test_one_made_by_the_api_is_plugged_in_too(cloud: Cloud, network: dict[str, str]) -> None:
    asked = {
        "VpcId": network["Vpc"], "VpcEndpointType": "Interface", "ServiceName": f"com.amazonaws.{REGION}.monitoring",
        "SubnetIds": [network["Subnet"]], "SecurityGroupIds": [network["Group"]], "PrivateDnsEnabled": True,
    }  # fmt: skip
    made = cloud.ec2.create_vpc_endpoint(**asked)["VpcEndpoint"]
    (plugged,) = interfaces(cloud, made).values()
    assert plugged["SubnetId"] == network["Subnet"]
    assert [one["GroupId"] for one in plugged["Groups"]] == [network["Group"]]
    assert f"monitoring.{REGION}.amazonaws.com" in [one["DnsName"] for one in made["DnsEntries"]]
    cloud.ec2.delete_vpc_endpoints(VpcEndpointIds=[made["VpcEndpointId"]])
    left = cloud.ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert plugged["NetworkInterfaceId"] not in [one["NetworkInterfaceId"] for one in left]
