"""AWS::EC2::Instance."""

from __future__ import annotations

from typing import Any

from ministack.services import ec2

from lab.emulator import ec2_instance_api, ec2_launch
from lab.emulator._engine import AwsError, Props, Result, changed, ec2_call, register, set_tags, tags_of

INSTANCE = "AWS::EC2::Instance"
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
    instance = ec2_launch.launch(props)
    for volume in props.get("Volumes") or []:
        ec2_call("AttachVolume", {**volume, "InstanceId": instance["InstanceId"]})
    return instance["InstanceId"], _attributes(instance)


def _update(physical_id: str, old: Props, new: Props) -> dict[str, Any] | None:
    instance, differences = _live(physical_id), changed(old, new)
    if instance is None:
        raise AwsError("InvalidInstanceID.NotFound", f"The instance ID '{physical_id}' does not exist")
    if not differences <= IN_PLACE:
        return None
    template, _tags = ec2_launch.launch_template(new.get("LaunchTemplate"))
    spec = {**template, **new}
    if differences & {"InstanceType", "UserData"}:
        # EC2 stops and starts an EBS-backed instance for these.
        instance["InstanceType"] = spec.get("InstanceType", ec2_launch.DEFAULT_TYPE)
        instance["UserData"] = spec.get("UserData", "")
        instance["LaunchTime"] = ec2._now_ts()
    if "SecurityGroupIds" in differences:
        subnet = ec2._subnets[instance["SubnetId"]]
        ec2_instance_api.set_groups(instance, ec2_launch.checked_groups(spec.get("SecurityGroupIds"), subnet))
    if "IamInstanceProfile" in differences:
        _set_profile(instance, spec.get("IamInstanceProfile"))
    ec2_launch.apply_settings(instance, spec)
    set_tags(physical_id, new, old)
    return _attributes(instance)


def _set_profile(instance: Props, value: Any) -> None:
    profile = ec2_launch.checked_profile(value)
    present = ec2._find_active_iam_instance_profile_association(instance["InstanceId"])
    if present:
        ec2._mark_iam_instance_profile_association_disassociated(present)
    instance["IamInstanceProfile"] = profile
    if profile:
        ec2._upsert_iam_instance_profile_association(instance["InstanceId"], profile)


def _delete(physical_id: str, _props: Props) -> None:
    if _live(physical_id):
        ec2_call("TerminateInstances", {"InstanceId.1": physical_id})


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
    """Register the type."""
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
