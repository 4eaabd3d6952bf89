"""Core IT's absolute rules on a CloudFormation template: what no environment may make. Pure.

cfn-lint asks (.config/cfn-lint/core_it.py), with the template as `_stacks_template.parse` gives it. Only what may be
broken nowhere is here: a template does not know in which environment it will be used. AWS's own descriptions of launch
settings have the same keys, so `_rules_running` asks the same questions of what runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._model_offences import Path
from ansible_collections.atelier.datalab.plugins.module_utils._rules import is_world

_BASTION = "bastion.cfn.yml"  # the one template that may give a public address
Problem = tuple[Path, str]


def metadata_problems(launch: Mapping[str, Any]) -> Iterator[str]:
    """Whether metadata is had without a session token."""
    options = launch.get("MetadataOptions") or {}
    if options.get("HttpTokens") != "required" and options.get("HttpEndpoint") != "disabled":
        yield "answers metadata requests without a token (IMDSv1)"


def disk_problems(launch: Mapping[str, Any]) -> Iterator[str]:
    """The disks that would not be encrypted."""
    for one in launch.get("BlockDeviceMappings") or []:
        if "Ebs" in one and str((one["Ebs"] or {}).get("Encrypted")).lower() != "true":
            yield f"makes the disk {one.get('DeviceName', '?')} without encryption"


def _resources(template: Mapping[str, Any], *types: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for name, one in template["Resources"].items():
        if isinstance(one, Mapping) and one.get("Type") in types:
            yield name, one["Type"], one.get("Properties") or {}


def _open_world(template: Mapping[str, Any], _file: str) -> Iterator[Problem]:
    kinds = ("AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress")
    for name, _kind, properties in _resources(template, *kinds):
        listed = [(("Properties",), properties)]
        for side in ("SecurityGroupIngress", "SecurityGroupEgress"):
            rules = properties.get(side)
            listed += [(("Properties", side, n), one) for n, one in enumerate(rules if isinstance(rules, list) else [])]
        for path, rule in listed:
            for key in ("CidrIp", "CidrIpv6"):
                network = rule.get(key) if isinstance(rule, Mapping) else None
                if isinstance(network, str) and is_world(network):
                    yield ("Resources", name, *path, key), f"{network} is the whole Internet or a large part of it"


def _imdsv2(template: Mapping[str, Any], _file: str) -> Iterator[Problem]:
    for name, _kind, properties in _resources(template, "AWS::EC2::LaunchTemplate"):
        for problem in metadata_problems(properties.get("LaunchTemplateData") or {}):
            yield ("Resources", name, "Properties", "LaunchTemplateData"), problem
    for name, _kind, properties in _resources(template, "AWS::EC2::Instance", "AWS::AutoScaling::LaunchConfiguration"):
        # Metadata options of an instance are its launch template's.
        if "LaunchTemplate" not in properties:
            for problem in metadata_problems(properties):
                yield ("Resources", name, "Properties"), problem


def _encryption(template: Mapping[str, Any], _file: str) -> Iterator[Problem]:
    flags = {
        "AWS::EC2::Volume": "Encrypted",
        "AWS::RDS::DBInstance": "StorageEncrypted",
        "AWS::RDS::DBCluster": "StorageEncrypted",
        "AWS::EFS::FileSystem": "Encrypted",
    }
    for name, kind, properties in _resources(template, *flags):
        # A member of a cluster has the cluster's storage.
        if str(properties.get(flags[kind])).lower() != "true" and "DBClusterIdentifier" not in properties:
            yield ("Resources", name, "Properties"), f"{flags[kind]} is not true"
    for name, _kind, properties in _resources(template, "AWS::EC2::LaunchTemplate"):
        for problem in disk_problems(properties.get("LaunchTemplateData") or {}):
            yield ("Resources", name, "Properties", "LaunchTemplateData"), problem
    for name, _kind, properties in _resources(template, "AWS::EC2::Instance"):
        for problem in disk_problems(properties):
            yield ("Resources", name, "Properties"), problem


def _public_address(template: Mapping[str, Any], file: str) -> Iterator[Problem]:
    if PurePath(file).name == _BASTION:
        return
    wrong = {
        "AWS::EC2::Subnet": ("MapPublicIpOnLaunch", lambda value: str(value).lower() == "true"),
        "AWS::EC2::EIP": ("InstanceId", lambda value: value is not None),
        "AWS::EC2::EIPAssociation": ("AllocationId", lambda value: value is not None),
        "AWS::RDS::DBInstance": ("PubliclyAccessible", lambda value: str(value).lower() != "false"),
        "AWS::ElasticLoadBalancingV2::LoadBalancer": ("Scheme", lambda value: value != "internal"),
    }
    for name, kind, properties in _resources(template, *wrong):
        key, is_wrong = wrong[kind]
        if is_wrong(properties.get(key)):
            yield ("Resources", name, "Properties"), f"gives a public address ({key})"
    for name, kind, properties in _resources(template, "AWS::EC2::LaunchTemplate", "AWS::EC2::Instance"):
        data = properties.get("LaunchTemplateData") or {} if kind == "AWS::EC2::LaunchTemplate" else properties
        for one in data.get("NetworkInterfaces") or []:
            if str(one.get("AssociatePublicIpAddress")).lower() == "true":
                yield ("Resources", name, "Properties"), "gives a public address (AssociatePublicIpAddress)"


# rule -> (id in cfn-lint, check, what to do)
CHECKS: dict[str, tuple[str, Callable[[Mapping[str, Any], str], Iterator[Problem]], str]] = {
    "open_world": ("E9001", _open_world, "name the networks that need it, in flows.yml"),
    "imdsv2": ("E9002", _imdsv2, "write MetadataOptions: {HttpTokens: required}"),
    "encryption": ("E9003", _encryption, "ask for encryption, in every environment"),
    "public_address": ("E9004", _public_address, "people and services come through the bastion"),
}
