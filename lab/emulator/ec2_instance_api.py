"""The EC2 calls that start, stop, change and show instances."""

from __future__ import annotations

from typing import Any

from ministack.core.responses import new_uuid
from ministack.services import ec2

from lab.emulator import ec2_address, ec2_launch, ec2_volume
from lab.emulator._engine import AwsError, Props, ec2_action, ec2_guard, truth


def set_groups(instance: Props, identifiers: list[str]) -> None:
    """Give an instance these security groups."""
    names = {g: ec2._security_groups.get(g, {}).get("GroupName", g) for g in identifiers}
    instance["SecurityGroups"] = [{"GroupId": g, "GroupName": n} for g, n in names.items()]


@ec2_action("RunInstances")
def _run_instances(params: Props) -> str:
    request = ec2._parse_lt_data({f"R.{k}": v for k, v in params.items()}, "R")
    request["SubnetId"] = ec2._p(params, "SubnetId")
    request["PrivateIpAddress"] = ec2._p(params, "PrivateIpAddress")
    reference = {
        k: ec2._p(params, f"LaunchTemplate.{k}") for k in ("LaunchTemplateId", "LaunchTemplateName", "Version")
    }
    if reference["LaunchTemplateId"] or reference["LaunchTemplateName"]:
        request["LaunchTemplate"] = reference
    created = [ec2_launch.launch(request) for _ in range(int(ec2._p(params, "MaxCount") or 1))]
    items = "".join(ec2._instance_xml(i) for i in created)
    reservation = f"r-{new_uuid().replace('-', '')[:17]}"
    return f"<reservationId>{reservation}</reservationId><groupSet/><instancesSet>{items}</instancesSet>"


def _targets(params: Props) -> list[Props]:
    found = (ec2._instances.get(i) for i in ec2._parse_member_list(params, "InstanceId"))
    return [i for i in found if i]


def _refuse_terminated(params: Props) -> None:
    for instance in _targets(params):
        if instance["State"]["Name"] == "terminated":
            raise AwsError(
                "IncorrectInstanceState",
                f"The instance '{instance['InstanceId']}' is not in a state from which it can be started or stopped.",
            )


@ec2_guard("StopInstances")
def _check_stop(params: Props) -> None:
    _refuse_terminated(params)
    for instance in _targets(params):
        if instance["State"]["Name"] == "running":
            instance["StopTime"] = ec2._now_ts()


@ec2_guard("StartInstances")
def _check_start(params: Props) -> None:
    _refuse_terminated(params)
    for instance in _targets(params):
        if instance["State"]["Name"] == "stopped":
            instance["LaunchTime"] = ec2._now_ts()


@ec2_guard("TerminateInstances")
def _check_terminate(params: Props) -> None:
    targets = _targets(params)
    for instance in targets:
        if instance.get("DisableApiTermination"):
            raise AwsError(
                "OperationNotPermitted",
                f"The instance '{instance['InstanceId']}' may not be terminated. Modify its "
                "'disableApiTermination' instance attribute and try again.",
            )
    if len(targets) == len(ec2._parse_member_list(params, "InstanceId")):
        for instance in targets:
            ec2_volume.release(instance["InstanceId"])
            ec2_address.release_instance(instance["InstanceId"])
            instance.update(PrivateIpAddress="", PrivateDnsName="", PublicIpAddress="", PublicDnsName="")


def _describe_attribute(params: Props) -> Any:
    instance = ec2._instances.get(ec2._p(params, "InstanceId"))
    attribute = ec2._p(params, "Attribute")
    values = {
        "userData": lambda i: i.get("UserData", ""),
        "disableApiTermination": lambda i: str(i.get("DisableApiTermination", False)).lower(),
        "instanceInitiatedShutdownBehavior": lambda i: i.get("ShutdownBehavior", "stop"),
        "sourceDestCheck": lambda i: str(i.get("SourceDestCheck", True)).lower(),
    }
    if instance is None or attribute not in values:
        return _original_describe_attribute(params)
    value = values[attribute](instance)
    inner = f"<value>{ec2._esc(value)}</value>" if value else ""
    text = f"<instanceId>{instance['InstanceId']}</instanceId><{attribute}>{inner}</{attribute}>"
    return ec2._xml(200, "DescribeInstanceAttributeResponse", text)


_original_describe_attribute = ec2._ACTION_MAP["DescribeInstanceAttribute"]


@ec2_action("ModifyInstanceAttribute")
def _modify_attribute(params: Props) -> str:
    identifier = ec2._p(params, "InstanceId")
    instance = ec2._instances.get(identifier)
    if instance is None:
        raise AwsError("InvalidInstanceID.NotFound", f"The instance ID '{identifier}' does not exist")
    protection = ec2._p(params, "DisableApiTermination.Value")
    if protection:
        instance["DisableApiTermination"] = truth(protection)
    for name in ("InstanceType", "UserData"):
        value = ec2._p(params, f"{name}.Value")
        if value and instance["State"]["Name"] != "stopped":
            raise AwsError("IncorrectInstanceState", f"The instance '{identifier}' is not in the 'stopped' state.")
        instance[name] = value or instance[name]
    groups = ec2._parse_member_list(params, "GroupId")
    if groups:
        set_groups(instance, groups)
    return "<return>true</return>"


@ec2_action("ModifyInstanceMetadataOptions")
def _modify_metadata(params: Props) -> str:
    identifier = ec2._p(params, "InstanceId")
    instance = ec2._instances.get(identifier)
    if instance is None:
        raise AwsError("InvalidInstanceID.NotFound", f"The instance ID '{identifier}' does not exist")
    instance["MetadataOptions"].update(
        {k: ec2._p(params, k) for k in ec2_launch.METADATA_DEFAULTS if ec2._p(params, k)}
    )
    return f"<instanceId>{identifier}</instanceId>{_metadata_xml(instance)}"


def _metadata_xml(instance: Props) -> str:
    options = instance.get("MetadataOptions") or {}
    items = "".join(f"<{k[0].lower()}{k[1:]}>{v}</{k[0].lower()}{k[1:]}>" for k, v in options.items())
    return f"<instanceMetadataOptions>{items}</instanceMetadataOptions>"


def _instance_xml(instance: Props) -> str:
    text = _original_instance_xml(instance)
    metadata = _metadata_xml(instance).replace("instanceMetadataOptions", "metadataOptions")
    extra = f"<ebsOptimized>{str(instance.get('EbsOptimized', False)).lower()}</ebsOptimized>"
    extra += f"<clientToken>{instance.get('ClientToken', '')}</clientToken>"
    if instance["State"]["Name"] == "stopped" and instance.get("StopTime"):
        since = instance["StopTime"][:19].replace("T", " ")
        extra += f"<reason>User initiated ({since} GMT)</reason>"
    text = text.replace("<hypervisor>", f"{metadata}{extra}<hypervisor>")
    # EC2 leaves out what an instance does not have; an empty address reads as one.
    for name in ("ipAddress", "dnsName", "keyName", "privateIpAddress", "privateDnsName"):
        text = text.replace(f"<{name}></{name}>", "")
    return text


def _mappings_xml(instance: Props) -> str:
    root = instance["RootDeviceName"]
    attachments = sorted(ec2_volume.attachments_of(instance["InstanceId"]), key=lambda a: a["Device"] != root)
    mappings = [
        {
            "DeviceName": a["Device"],
            "Ebs": {
                "VolumeId": a["VolumeId"],
                "Status": a["State"],
                "AttachTime": a["AttachTime"],
                "DeleteOnTermination": a["DeleteOnTermination"],
            },
        }
        for a in attachments
    ]
    return _original_mappings_xml({"BlockDeviceMappings": mappings})


_FILTERS = {
    "availability-zone": lambda i: [i["Placement"]["AvailabilityZone"]],
    "instance-id": lambda i: [i["InstanceId"]],
    "instance.group-id": lambda i: [g["GroupId"] for g in i["SecurityGroups"]],
    "ip-address": lambda i: [i["PublicIpAddress"]],
    "private-ip-address": lambda i: [i["PrivateIpAddress"]],
    "subnet-id": lambda i: [i["SubnetId"]],
    "vpc-id": lambda i: [i["VpcId"]],
}


def _matches_filters(instance: Props, filters: dict[str, list[str]]) -> bool:
    """MiniStack ignores the filters it does not know: everything would match."""
    return _original_matches_filters(instance, filters) and all(
        any(ec2._glob_match(pattern, value) for pattern in patterns for value in _FILTERS[name](instance))
        for name, patterns in filters.items()
        if name in _FILTERS
    )


_original_instance_xml = ec2._instance_xml
_original_mappings_xml = ec2._inst_bdm_xml
_original_matches_filters = ec2._matches_filters


def install() -> None:
    """Put the fuller answers in place (actions and guards are installed by import)."""
    ec2._instance_xml = _instance_xml
    ec2._inst_bdm_xml = _mappings_xml
    ec2._matches_filters = _matches_filters
    ec2._ACTION_MAP["DescribeInstanceAttribute"] = _describe_attribute
