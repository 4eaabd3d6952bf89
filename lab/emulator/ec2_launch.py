"""What happens when an instance is launched, from a stack or by RunInstances.

Launch template first, the request over it; then image, subnet, address, profile and disks are
checked as EC2 checks them.
"""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Iterable
from typing import Any

from ministack.core.responses import get_region, new_uuid
from ministack.services import ec2

from lab.emulator import ec2_address, ec2_image, ec2_volume
from lab.emulator._engine import AwsError, Props, Response, truth

DEFAULT_TYPE = "m1.small"
RESERVED_ADDRESSES = 4  # network, router, DNS, future use: aws "Subnet sizing"
METADATA_DEFAULTS = {
    "State": "applied",
    "HttpTokens": "optional",
    "HttpPutResponseHopLimit": 1,
    "HttpEndpoint": "enabled",
    "HttpProtocolIpv6": "disabled",
    "InstanceMetadataTags": "disabled",
}


def launch(request: Props) -> Props:
    """Start one instance as RunInstances would; returns its record. Raises AwsError."""
    template, template_tags = launch_template(request.get("LaunchTemplate"))
    spec = {**template, **{k: v for k, v in request.items() if v not in (None, "", [], {})}}
    nic = (spec.get("NetworkInterfaces") or [{}])[0]
    image = ec2_image.usable_image(spec.get("ImageId", ""))
    subnet = _subnet(spec.get("SubnetId") or nic.get("SubnetId"))
    groups = checked_groups(spec.get("SecurityGroupIds") or nic.get("GroupSet") or nic.get("Groups"), subnet)
    address = _private_address(spec.get("PrivateIpAddress") or nic.get("PrivateIpAddress"), subnet)
    instance = ec2._launch_instances_internal(
        spec["ImageId"],
        spec.get("InstanceType", DEFAULT_TYPE),
        subnet["SubnetId"],
        1,
        key_name=spec.get("KeyName", ""),
        user_data=spec.get("UserData", ""),
        sg_ids=groups,
        requested_private_ip=address,
        iam_profile=checked_profile(spec.get("IamInstanceProfile")),
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
    apply_settings(instance, spec)
    _disks(instance, spec, image)
    _launch_tags(instance, spec, template_tags)
    return instance


def launch_template(reference: Props | None) -> tuple[Props, list[dict[str, str]]]:
    """The data of a launch template version, and the tags EC2 adds for it. Raises AwsError."""
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


def checked_groups(identifiers: list[str] | None, subnet: Props) -> list[str]:
    """The groups, or the network's default one. Raises AwsError when one is of another network."""
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
    usable, taken = _addresses(subnet)
    if not wanted:
        return _first_free(usable, taken, subnet)
    if ipaddress.ip_address(wanted) not in usable:
        message = "Address does not fall within the subnet's address range"
        raise AwsError("InvalidParameterValue", f"{message}: {wanted}")
    if wanted in taken:
        raise AwsError("InvalidIPAddress.InUse", f"Address {wanted} is in use.")
    return wanted


def last_free_address(subnet: Props) -> str:
    """An address for what AWS itself puts into a subnet: from the far end, where nobody plans a machine."""
    usable, taken = _addresses(subnet)
    return _first_free(reversed(usable), taken, subnet)


def _addresses(subnet: Props) -> tuple[list[ipaddress.IPv4Address], set[str]]:
    """What a subnet can give out, and what is in use."""
    live = [i for i in ec2._instances.values() if i["State"]["Name"] != "terminated"]
    users = [u for u in (*live, *ec2._network_interfaces.values()) if u["SubnetId"] == subnet["SubnetId"]]
    usable = list(ipaddress.IPv4Network(subnet["CidrBlock"]))[RESERVED_ADDRESSES:-1]
    return usable, {user["PrivateIpAddress"] for user in users}


def _first_free(usable: Iterable[ipaddress.IPv4Address], taken: set[str], subnet: Props) -> str:
    free = next((str(address) for address in usable if str(address) not in taken), None)
    if free is None:
        message = f"Not enough free addresses in subnet '{subnet['SubnetId']}'"
        raise AwsError("InsufficientFreeAddressesInSubnet", message)
    return free


def checked_profile(value: Any) -> Props | None:
    """The instance profile of a name or a {Name, Arn} reference. Raises AwsError when there is none."""
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


def apply_settings(instance: Props, spec: Props) -> None:
    """Write what may also change later without a new instance."""
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


_original_describe_versions = ec2._ACTION_MAP["DescribeLaunchTemplateVersions"]


def _describe_versions(params: Props) -> Response:
    """Of one template as MiniStack does; without id and name, the latest or default version of every template."""
    if ec2._p(params, "LaunchTemplateId") or ec2._p(params, "LaunchTemplateName"):
        return _original_describe_versions(params)
    numbers = {"$Latest": "LatestVersionNumber", "$Default": "DefaultVersionNumber"}
    wanted = [numbers[word] for word in ec2._parse_member_list(params, "LaunchTemplateVersion") if word in numbers]
    found = [
        version
        for template in ec2._launch_templates.values()
        for number in wanted
        for version in template["Versions"]
        if version["VersionNumber"] == template[number]
    ]
    items = "".join(map(ec2._lt_version_xml, found))
    name = "DescribeLaunchTemplateVersionsResponse"
    return ec2._xml(200, name, f"<launchTemplateVersionSet>{items}</launchTemplateVersionSet>")


ec2._ACTION_MAP["DescribeLaunchTemplateVersions"] = _describe_versions
