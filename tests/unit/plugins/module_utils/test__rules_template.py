"""Every absolute rule on templates: what breaks it is told at its place, what keeps it is let alone."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _rules_template as rules

NOTHING = {"Ref": "AWS::NoValue"}
LAUNCH, INSTANCE, GROUP = "EC2::LaunchTemplate", "EC2::Instance", "EC2::SecurityGroup"


def choice(one: Any, other: Any) -> dict[str, Any]:
    return {"Fn::If": ["Condition", one, other]}


def launch(**data: Any) -> dict[str, Any]:
    return {"LaunchTemplateData": data}


def metadata(value: Any) -> dict[str, Any]:
    return {"MetadataOptions": {"HttpTokens": value}}


def disks(*flags: Any) -> dict[str, Any]:
    return {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": flag}} for flag in flags]}


# rule: (type, properties that break it)
BROKEN: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "open_world": [
        (GROUP, {"SecurityGroupIngress": [{"CidrIp": "10.0.0.0/8"}, {"CidrIp": "0.0.0.0/0"}]}),
        (GROUP, {"SecurityGroupEgress": [{"CidrIpv6": "::/0"}]}),
        (GROUP, {"SecurityGroupEgress": choice([{"CidrIp": "0.0.0.0/0"}], NOTHING)}),
        ("EC2::SecurityGroupIngress", {"CidrIp": "128.0.0.0/1"}),
        ("EC2::SecurityGroupEgress", {"CidrIp": choice("10.0.0.0/8", "0.0.0.0/0")}),
    ],
    "imdsv2": [
        (LAUNCH, launch(**disks())),
        (LAUNCH, launch(**metadata("optional"))),
        (LAUNCH, launch(**metadata(choice("required", "optional")))),
        (LAUNCH, launch(**metadata({"Ref": "Tokens"}))),
        (LAUNCH, launch(MetadataOptions=choice({"HttpTokens": "required"}, NOTHING))),
        (INSTANCE, {"ImageId": "ami-1"}),
    ],
    "encryption": [
        ("EC2::Volume", {"Size": 1}),
        ("EC2::Volume", {"Encrypted": "false"}),
        ("EC2::Volume", {"Encrypted": choice(True, False)}),
        ("RDS::DBInstance", {"StorageEncrypted": False}),
        ("RDS::DBCluster", {}),
        ("EFS::FileSystem", {}),
        (LAUNCH, launch(**disks(True, False))),
        (INSTANCE, disks(None)),
    ],
    "public_address": [
        ("EC2::Subnet", {"MapPublicIpOnLaunch": True}),
        ("EC2::EIP", {"InstanceId": {"Ref": "Machine"}}),
        ("EC2::EIPAssociation", {"AllocationId": {"Ref": "Address"}}),
        ("RDS::DBInstance", {"PubliclyAccessible": True}),
        ("RDS::DBInstance", {}),
        ("ElasticLoadBalancingV2::LoadBalancer", {"Scheme": "internet-facing"}),
        (LAUNCH, launch(NetworkInterfaces=[{"AssociatePublicIpAddress": True}])),
        (INSTANCE, {"NetworkInterfaces": choice([{"AssociatePublicIpAddress": "true"}], NOTHING)}),
    ],
}
KEPT: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "open_world": [
        (
            GROUP,
            {"SecurityGroupIngress": [{"CidrIp": "10.0.0.0/8"}], "SecurityGroupEgress": [{"CidrIp": {"Ref": "Net"}}]},
        ),
        ("EC2::Route", {"DestinationCidrBlock": "0.0.0.0/0"}),
    ],
    "imdsv2": [
        (LAUNCH, launch(**metadata("required"))),
        (LAUNCH, launch(MetadataOptions={"HttpEndpoint": "disabled"})),
        (INSTANCE, {"LaunchTemplate": {"LaunchTemplateId": "lt-1"}}),
    ],
    "encryption": [
        ("EC2::Volume", {"Encrypted": choice(True, "true")}),
        ("RDS::DBInstance", {"DBClusterIdentifier": "one"}),
        (LAUNCH, launch(**disks(True))),
        (LAUNCH, launch(BlockDeviceMappings=[{"DeviceName": "/dev/sdb", "NoDevice": ""}])),
    ],
    "public_address": [
        ("EC2::Subnet", {"MapPublicIpOnLaunch": False}),
        ("EC2::EIP", {"Domain": "vpc"}),
        ("RDS::DBInstance", {"PubliclyAccessible": "false"}),
        ("ElasticLoadBalancingV2::LoadBalancer", {"Scheme": "internal"}),
        (LAUNCH, launch(NetworkInterfaces=[{"AssociatePublicIpAddress": False}])),
    ],
}


def found(rule: str, kind: str, properties: dict[str, Any], file: str = "x.cfn.yml") -> list[rules.Problem]:
    template = {"Resources": {"One": {"Type": f"AWS::{kind}", "Properties": properties}}}
    return list(rules.CHECKS[rule][1](template, file))


def cases(table: dict[str, list[tuple[str, dict[str, Any]]]]) -> list[Any]:
    assert set(table) == set(rules.CHECKS)
    return [
        pytest.param(rule, *one, id=f"{rule}-{n}") for rule, listed in table.items() for n, one in enumerate(listed)
    ]


@pytest.mark.parametrize(("rule", "kind", "properties"), cases(BROKEN))
def test_what_breaks_it_is_told(rule: str, kind: str, properties: dict[str, Any]) -> None:
    problems = found(rule, kind, properties)
    assert [path[:3] for path, _ in problems] == [("Resources", "One", "Properties")]


@pytest.mark.parametrize(("rule", "kind", "properties"), cases(KEPT))
def test_what_keeps_it_is_let_alone(rule: str, kind: str, properties: dict[str, Any]) -> None:
    assert found(rule, kind, properties) == []


def test_only_the_bastions_template_gives_a_public_address() -> None:
    address = ("EC2::EIP", {"InstanceId": "i-1"})
    assert found("public_address", *address, file="roles/bastion/files/bastion.cfn.yml") == []
    assert found("public_address", *address, file="roles/machine/files/machine.cfn.yml") != []
