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
Template = Mapping[str, Any]
Problem = tuple[Path, str]


def _branches(value: Any) -> Iterator[Any]:
    """What a value can come to: each branch of Fn::If, None for AWS::NoValue."""
    if isinstance(value, Mapping) and set(value) == {"Fn::If"}:
        for branch in value["Fn::If"][1:]:
            yield from _branches(branch)
    else:
        yield None if value == {"Ref": "AWS::NoValue"} else value


def _always(value: Any, wanted: str) -> bool:
    """Whether it is this text in every branch; a parameter is not, somebody could set it otherwise."""
    return all(str(branch).lower() == wanted for branch in _branches(value))


def _entries(value: Any) -> Iterator[Mapping[str, Any]]:
    """The mappings of a list, in every branch."""
    for branch in _branches(value):
        for entry in branch if isinstance(branch, list) else [branch]:
            yield from (one for one in _branches(entry) if isinstance(one, Mapping))


def metadata_problems(launch: Mapping[str, Any]) -> Iterator[str]:
    """Whether metadata can be had without a session token."""
    for options in _branches(launch.get("MetadataOptions")):
        told = options or {}
        if not _always(told.get("HttpTokens"), "required") and not _always(told.get("HttpEndpoint"), "disabled"):
            yield "answers metadata requests without a token (IMDSv1)"


def disk_problems(launch: Mapping[str, Any]) -> Iterator[str]:
    """The disks that would not be encrypted."""
    for one in _entries(launch.get("BlockDeviceMappings")):
        for disk in _branches(one.get("Ebs")):
            if disk is not None and not _always(disk.get("Encrypted"), "true"):
                yield f"makes the disk {one.get('DeviceName', '?')} without encryption"


def _resources(template: Template, *types: str) -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
    for name, one in template["Resources"].items():
        if isinstance(one, Mapping) and one.get("Type") in types:
            yield ("Resources", name, "Properties"), one["Type"], one.get("Properties") or {}


def _launches(template: Template) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Launch settings, wherever they are written."""
    for path, _kind, properties in _resources(template, "AWS::EC2::LaunchTemplate"):
        yield (*path, "LaunchTemplateData"), properties.get("LaunchTemplateData") or {}
    for path, _kind, properties in _resources(template, "AWS::EC2::Instance", "AWS::AutoScaling::LaunchConfiguration"):
        yield path, properties


def _open_world(template: Template, _file: str) -> Iterator[Problem]:
    kinds = ("AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress")
    for path, _kind, properties in _resources(template, *kinds):
        listed = [(path, properties)]
        for side in ("SecurityGroupIngress", "SecurityGroupEgress"):
            listed += [((*path, side), rule) for rule in _entries(properties.get(side))]
        for where, rule in listed:
            for network in (one for key in ("CidrIp", "CidrIpv6") for one in _branches(rule.get(key))):
                if isinstance(network, str) and is_world(network):
                    yield where, f"{network} is the whole Internet or a large part of it"


def _imdsv2(template: Template, _file: str) -> Iterator[Problem]:
    for path, launch in _launches(template):
        # An instance with a launch template has that one's metadata options.
        if "LaunchTemplate" not in launch:
            yield from ((path, problem) for problem in metadata_problems(launch))


def _encryption(template: Template, _file: str) -> Iterator[Problem]:
    flags = {
        "AWS::EC2::Volume": "Encrypted",
        "AWS::RDS::DBInstance": "StorageEncrypted",
        "AWS::RDS::DBCluster": "StorageEncrypted",
        "AWS::EFS::FileSystem": "Encrypted",
    }
    for path, kind, properties in _resources(template, *flags):
        # A member of a cluster has the cluster's storage.
        if not _always(properties.get(flags[kind]), "true") and "DBClusterIdentifier" not in properties:
            yield path, f"{flags[kind]} is not true"
    for path, launch in _launches(template):
        yield from ((path, problem) for problem in disk_problems(launch))


# type -> (property, the one text that gives no public address); "none" is the property left out.
_PUBLIC = {
    "AWS::EC2::Subnet": ("MapPublicIpOnLaunch", ("false", "none")),
    "AWS::EC2::EIP": ("InstanceId", ("none",)),
    "AWS::EC2::EIPAssociation": ("AllocationId", ("none",)),
    "AWS::RDS::DBInstance": ("PubliclyAccessible", ("false",)),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ("Scheme", ("internal",)),
}


def _public_address(template: Template, file: str) -> Iterator[Problem]:
    if PurePath(file).name == _BASTION:
        return
    for path, kind, properties in _resources(template, *_PUBLIC):
        key, good = _PUBLIC[kind]
        if not all(str(one).lower() in good for one in _branches(properties.get(key))):
            yield path, f"gives a public address ({key})"
    for path, launch in _launches(template):
        for one in _entries(launch.get("NetworkInterfaces")):
            if not all(
                str(flag).lower() in ("false", "none") for flag in _branches(one.get("AssociatePublicIpAddress"))
            ):
                yield path, "gives a public address (AssociatePublicIpAddress)"


# rule -> (id in cfn-lint, check, what to do)
CHECKS: dict[str, tuple[str, Callable[[Template, str], Iterator[Problem]], str]] = {
    "open_world": ("E9001", _open_world, "name the networks that need it, in flows.yml"),
    "imdsv2": ("E9002", _imdsv2, "write MetadataOptions: {HttpTokens: required}"),
    "encryption": ("E9003", _encryption, "ask for encryption, in every environment"),
    "public_address": ("E9004", _public_address, "people and services come through the bastion"),
}
