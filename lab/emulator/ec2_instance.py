"""AWS::EC2::Instance and the EC2 calls that decide what an instance is.

A launch is the same whether it comes from a stack or from RunInstances: launch template
first, the request over it, then image, subnet, address and disks are checked as EC2 does.
"""

from __future__ import annotations

import copy
import ipaddress
import time
from typing import Any

from ministack.core.responses import get_region, new_uuid
from ministack.services import ec2

from lab.emulator import ec2_address, ec2_image, ec2_volume
from lab.emulator._engine import (
    AwsError,
    Props,
    Result,
    changed,
    ec2_action,
    ec2_call,
    ec2_guard,
    register,
    set_tags,
    tags_of,
    truth,
)

INSTANCE = "AWS::EC2::Instance"
RESERVED_ADDRESSES = 4  # network, router, DNS, future use: aws "Subnet sizing"
IN_PLACE = {
    "DisableApiTermination",
    "EbsOptimized",
    "IamInstanceProfile",
    "InstanceInitiatedShutdownBehavior",
    "InstanceType",
    "MetadataOptions",
    "Monitoring",
    "PropagateTagsToVolumeOnCreation",
    "SecurityGroupIds",
    "SourceDestCheck",
    "Tags",
    "UserData",
}
METADATA_DEFAULTS = {
    "State": "applied",
    "HttpTokens": "optional",
    "HttpPutResponseHopLimit": 1,
    "HttpEndpoint": "enabled",
    "HttpProtocolIpv6": "disabled",
    "InstanceMetadataTags": "disabled",
}


# ---- Launch --------------------------------------------------------------------------------


def launch(request: Props) -> Props:
    """Start one instance as RunInstances would; returns its record. Raises AwsError."""
    template, template_tags = _launch_template(request.get("LaunchTemplate"))
    spec = {**template, **{k: v for k, v in request.items() if v not in (None, "", [], {})}}
    nic = (spec.get("NetworkInterfaces") or [{}])[0]
    image = ec2_image.usable_image(spec.get("ImageId", ""))
    subnet = _subnet(spec.get("SubnetId") or nic.get("SubnetId"))
    groups = _groups(spec.get("SecurityGroupIds") or nic.get("GroupSet") or nic.get("Groups"), subnet)
    address = _private_address(spec.get("PrivateIpAddress") or nic.get("PrivateIpAddress"), subnet)
    instance = ec2._launch_instances_internal(
        spec["ImageId"],
        spec.get("InstanceType", "m1.small"),
        subnet["SubnetId"],
        1,
        key_name=spec.get("KeyName", ""),
        user_data=spec.get("UserData", ""),
        sg_ids=groups,
        requested_private_ip=address,
        iam_profile=_profile(spec.get("IamInstanceProfile")),
    )[0]
    public = nic.get("AssociatePublicIpAddress", subnet.get("MapPublicIpOnLaunch"))
    instance.update(
        VpcId=subnet["VpcId"],
        Architecture=image["Architecture"],
        PrivateDnsName=f"ip-{address.replace('.', '-')}.{get_region()}.compute.internal",
        PublicIpAddress=ec2_address.free_public_address() if truth(public) else "",
        PublicDnsName="",
        ClientToken=new_uuid(),
    )
    instance["Placement"]["AvailabilityZone"] = subnet["AvailabilityZone"]
    _settings(instance, spec)
    _disks(instance, spec, image)
    _launch_tags(instance, spec, template_tags)
    return instance


def _launch_template(reference: Props | None) -> tuple[Props, list[dict[str, str]]]:
    if not reference:
        return {}, []
    data, template, error = ec2._resolve_launch_template_data(
        {**reference, "Version": str(reference.get("Version") or "$Default")}
    )
    if error:
        raise AwsError("InvalidLaunchTemplateId.NotFoundException", "The specified launch template does not exist")
    version = _version(template, str(reference.get("Version") or "$Default"))
    system = {"id": template["LaunchTemplateId"], "version": str(version)}
    return copy.deepcopy(data), [{"Key": f"aws:ec2launchtemplate:{k}", "Value": v} for k, v in system.items()]


def _version(template: Props, wanted: str) -> int:
    special = {"$Latest": "LatestVersionNumber", "$Default": "DefaultVersionNumber"}
    number = int(template[special[wanted]]) if wanted in special else int(wanted)
    # MiniStack falls back to the first version where EC2 refuses.
    if number not in [v["VersionNumber"] for v in template["Versions"]]:
        raise AwsError(
            "InvalidLaunchTemplateId.VersionNotFound",
            f"Could not find launch template version {wanted} for {template['LaunchTemplateId']}",
        )
    return number


def _subnet(identifier: str | None) -> Props:
    identifier = identifier or ec2._DEFAULT_SUBNET_ID
    if identifier not in ec2._subnets:
        raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{identifier}' does not exist")
    return ec2._subnets[identifier]


def _groups(identifiers: list[str] | None, subnet: Props) -> list[str]:
    if not identifiers:
        return [
            g["GroupId"]
            for g in ec2._security_groups.values()
            if g["VpcId"] == subnet["VpcId"] and g["GroupName"] == "default"
        ]
    for identifier in identifiers:
        group = ec2._security_groups.get(identifier)
        if group is None:
            raise AwsError("InvalidGroup.NotFound", f"The security group '{identifier}' does not exist")
        if group["VpcId"] != subnet["VpcId"]:
            raise AwsError(
                "InvalidParameter",
                f"Security group {identifier} and subnet {subnet['SubnetId']} belong to different networks.",
            )
    return identifiers


def _private_address(wanted: str | None, subnet: Props) -> str:
    network = ipaddress.ip_network(subnet["CidrBlock"])
    live = [i for i in ec2._instances.values() if i["State"]["Name"] != "terminated"]
    taken = {i["PrivateIpAddress"] for i in live if i["SubnetId"] == subnet["SubnetId"]}
    usable = list(network)[RESERVED_ADDRESSES:-1]
    if not wanted:
        free = next((str(a) for a in usable if str(a) not in taken), None)
        if free is None:
            message = f"Not enough free addresses in subnet '{subnet['SubnetId']}'"
            raise AwsError("InsufficientFreeAddressesInSubnet", message)
        return free
    if ipaddress.ip_address(wanted) not in usable:
        message = "Address does not fall within the subnet's address range"
        raise AwsError("InvalidParameterValue", f"{message}: {wanted}")
    if wanted in taken:
        raise AwsError("InvalidIPAddress.InUse", f"Address {wanted} is in use.")
    return wanted


def _profile(value: Any) -> Props | None:
    reference = value if isinstance(value, dict) else {"Name": value}
    name, profile_arn = reference.get("Name") or "", reference.get("Arn") or ""
    profile, error = ec2._resolve_iam_instance_profile(iam_arn=profile_arn, iam_name=name)
    if error:
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({name or profile_arn}) for parameter iamInstanceProfile.name is invalid. "
            "Invalid IAM Instance Profile name",
        )
    return profile


def _settings(instance: Props, spec: Props) -> None:
    monitoring = spec.get("Monitoring")
    enabled = monitoring.get("Enabled") if isinstance(monitoring, dict) else monitoring
    instance["Monitoring"] = {"State": "enabled" if truth(enabled) else "disabled"}
    instance["DisableApiTermination"] = truth(spec.get("DisableApiTermination"))
    instance["EbsOptimized"] = truth(spec.get("EbsOptimized"))
    instance["SourceDestCheck"] = truth(spec.get("SourceDestCheck", True))
    instance["ShutdownBehavior"] = spec.get("InstanceInitiatedShutdownBehavior", "stop")
    instance["MetadataOptions"] = {**METADATA_DEFAULTS, **(spec.get("MetadataOptions") or {})}


def _disks(instance: Props, spec: Props, image: Props) -> None:
    """Put the requested disks in place of the root volume MiniStack makes up."""
    for attachment in ec2_volume.attachments_of(instance["InstanceId"]):
        del ec2._volumes[attachment["VolumeId"]]
    root = image["RootDeviceName"]
    mappings = {m["DeviceName"]: m.get("Ebs") or {} for m in image["BlockDeviceMappings"]}
    for mapping in spec.get("BlockDeviceMappings") or []:
        device = mapping["DeviceName"]
        mappings[device] = {**mappings.get(device, {}), **(mapping.get("Ebs") or {})}
    for device, ebs in mappings.items():
        volume = ec2_volume.new_volume(instance["Placement"]["AvailabilityZone"], ebs)
        keep = not truth(ebs.get("DeleteOnTermination", True))
        ec2_volume.attach(volume, instance["InstanceId"], device, delete_on_termination=not keep)
    instance["RootDeviceName"] = root
    # _instance_xml reads the attachments of the volumes instead.
    instance["BlockDeviceMappings"] = []


def _launch_tags(instance: Props, spec: Props, template_tags: list[dict[str, str]]) -> None:
    by_type: dict[str, dict[str, str]] = {"instance": {t["Key"]: t["Value"] for t in template_tags}, "volume": {}}
    for specification in spec.get("TagSpecifications") or []:
        by_type.setdefault(specification["ResourceType"], {}).update(
            {str(t["Key"]): str(t["Value"]) for t in specification.get("Tags") or []}
        )
    own = {str(t["Key"]): str(t["Value"]) for t in spec.get("Tags") or []}
    by_type["instance"].update(own)
    if truth(spec.get("PropagateTagsToVolumeOnCreation")):
        by_type["volume"].update({k: v for k, v in own.items() if not k.startswith("aws:")})
    _store_tags(instance["InstanceId"], by_type["instance"])
    for attachment in ec2_volume.attachments_of(instance["InstanceId"]):
        _store_tags(attachment["VolumeId"], by_type["volume"])


def _store_tags(identifier: str, tags: dict[str, str]) -> None:
    if tags:
        ec2._tags[identifier] = [{"Key": k, "Value": v} for k, v in tags.items()]


# ---- EC2 API -------------------------------------------------------------------------------


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
    created = [launch(request) for _ in range(int(ec2._p(params, "MaxCount") or 1))]
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
        _set_groups(instance, groups)
    return "<return>true</return>"


@ec2_action("ModifyInstanceMetadataOptions")
def _modify_metadata(params: Props) -> str:
    identifier = ec2._p(params, "InstanceId")
    instance = ec2._instances.get(identifier)
    if instance is None:
        raise AwsError("InvalidInstanceID.NotFound", f"The instance ID '{identifier}' does not exist")
    instance["MetadataOptions"].update({k: ec2._p(params, k) for k in METADATA_DEFAULTS if ec2._p(params, k)})
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
    attachments = sorted(ec2_volume.attachments_of(instance["InstanceId"]), key=lambda a: a["AttachTime"])
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


# ---- CloudFormation ------------------------------------------------------------------------


def _attributes(instance: Props) -> dict[str, Any]:
    return {
        "InstanceId": instance["InstanceId"],
        "AvailabilityZone": instance["Placement"]["AvailabilityZone"],
        "PrivateDnsName": instance["PrivateDnsName"],
        "PrivateIp": instance["PrivateIpAddress"],
        "PublicDnsName": instance["PublicDnsName"],
        "PublicIp": instance["PublicIpAddress"],
        "VpcId": instance["VpcId"],
    }


def _live(physical_id: str) -> Props | None:
    instance = ec2._instances.get(physical_id)
    return instance if instance and instance["State"]["Name"] != "terminated" else None


def _create(_logical_id: str, props: Props, _stack: str) -> Result:
    instance = launch(props)
    for volume in props.get("Volumes") or []:
        ec2_call("AttachVolume", {**volume, "InstanceId": instance["InstanceId"]})
    return instance["InstanceId"], _attributes(instance)


def _update(physical_id: str, old: Props, new: Props) -> dict[str, Any] | None:
    instance, differences = _live(physical_id), changed(old, new)
    if instance is None or not differences <= IN_PLACE:
        return None
    if differences & {"InstanceType", "UserData"}:
        # EC2 stops and starts an EBS-backed instance for these.
        instance["InstanceType"] = new.get("InstanceType", instance["InstanceType"])
        instance["UserData"] = new.get("UserData", "")
        instance["LaunchTime"] = ec2._now_ts()
    if "SecurityGroupIds" in differences:
        subnet = ec2._subnets[instance["SubnetId"]]
        _set_groups(instance, _groups(new.get("SecurityGroupIds"), subnet))
    if "IamInstanceProfile" in differences:
        _set_profile(instance, new.get("IamInstanceProfile"))
    template, _tags = _launch_template(new.get("LaunchTemplate"))
    _settings(instance, {**template, **new})
    set_tags(physical_id, new, old)
    return _attributes(instance)


def _set_groups(instance: Props, identifiers: list[str]) -> None:
    names = {g: ec2._security_groups.get(g, {}).get("GroupName", g) for g in identifiers}
    instance["SecurityGroups"] = [{"GroupId": g, "GroupName": n} for g, n in names.items()]


def _set_profile(instance: Props, value: Any) -> None:
    profile = _profile(value)
    present = ec2._find_active_iam_instance_profile_association(instance["InstanceId"])
    if present:
        ec2._mark_iam_instance_profile_association_disassociated(present)
    instance["IamInstanceProfile"] = profile
    if profile:
        ec2._upsert_iam_instance_profile_association(instance["InstanceId"], profile)


def _delete(physical_id: str, _props: Props) -> None:
    if _live(physical_id):
        ec2_call("TerminateInstances", {"InstanceId.1": physical_id})
        ec2._instances[physical_id]["_terminated_at"] = time.time()


def _read(physical_id: str, props: Props) -> Props | None:
    instance = _live(physical_id)
    if instance is None:
        return None
    options = {k: instance["MetadataOptions"].get(k) for k in props.get("MetadataOptions") or {}}
    return {
        "ImageId": instance["ImageId"],
        "InstanceType": instance["InstanceType"],
        "SubnetId": instance["SubnetId"],
        "PrivateIpAddress": instance["PrivateIpAddress"],
        "SecurityGroupIds": [g["GroupId"] for g in instance["SecurityGroups"]],
        "DisableApiTermination": instance["DisableApiTermination"],
        "MetadataOptions": options,
        "UserData": instance["UserData"],
        "Tags": [t for t in tags_of(physical_id) if not t["Key"].startswith("aws:")],
    }


def install() -> None:
    """Register the type and the fuller answers."""
    ec2._instance_xml = _instance_xml
    ec2._inst_bdm_xml = _mappings_xml
    ec2._matches_filters = _matches_filters
    ec2._ACTION_MAP["DescribeInstanceAttribute"] = _describe_attribute
    register(
        INSTANCE,
        create=_create,
        update=_update,
        delete=_delete,
        read=_read,
        reads=(
            "ImageId",
            "InstanceType",
            "SubnetId",
            "PrivateIpAddress",
            "SecurityGroupIds",
            "DisableApiTermination",
            "MetadataOptions",
            "UserData",
            "Tags",
        ),
        replaces=(
            "AvailabilityZone",
            "CpuOptions",
            "EnclaveOptions",
            "HibernationOptions",
            "HostResourceGroupArn",
            "ImageId",
            "Ipv6AddressCount",
            "Ipv6Addresses",
            "KeyName",
            "LaunchTemplate",
            "LicenseSpecifications",
            "NetworkInterfaces",
            "PlacementGroupName",
            "PrivateIpAddress",
            "SecurityGroups",
            "SubnetId",
        ),
        may_replace=(
            "AdditionalInfo",
            "Affinity",
            "BlockDeviceMappings",
            "EbsOptimized",
            "HostId",
            "InstanceType",
            "PrivateDnsNameOptions",
            "SecurityGroupIds",
            "Tenancy",
            "UserData",
        ),
    )
