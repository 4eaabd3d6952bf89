"""AWS::EC2::Volume, AWS::EC2::VolumeAttachment and the EBS calls around them."""

from __future__ import annotations

from typing import Any

from ministack.services import ec2

from lab.emulator._engine import (
    AwsError,
    Props,
    Result,
    arn,
    changed,
    ec2_call,
    ec2_guard,
    register,
    set_tags,
    tags_of,
    truth,
    xml_value,
)

VOLUME = "AWS::EC2::Volume"
ATTACHMENT = "AWS::EC2::VolumeAttachment"
# The schema marks none of these createOnly: CloudFormation refuses the update instead of
# replacing the volume (aws-resource-ec2-volume, "Updates are not supported").
FIXED = {"AvailabilityZone", "Encrypted", "KmsKeyId", "OutpostArn", "SnapshotId", "SourceVolumeId"}


def new_volume(zone: str, spec: Props) -> Props:
    """Store a new available volume described like a template's Ebs or Volume properties."""
    kind = spec.get("VolumeType") or "gp2"
    text = ec2_call(
        "CreateVolume",
        {
            "AvailabilityZone": zone,
            "Size": spec.get("VolumeSize") or spec.get("Size") or _snapshot_size(spec),
            "VolumeType": kind,
            "SnapshotId": spec.get("SnapshotId") or "",
            "Iops": spec.get("Iops") or "",
            "Encrypted": str(truth(spec.get("Encrypted"))).lower(),
        },
    )
    volume = ec2._volumes[xml_value(text, "volumeId")]
    if spec.get("Throughput"):
        volume["Throughput"] = int(spec["Throughput"])
    if volume["Encrypted"]:
        volume["KmsKeyId"] = spec.get("KmsKeyId") or arn("kms", "alias/aws/ebs")
    return volume


def _snapshot_size(spec: Props) -> int:
    snapshot = ec2._snapshots.get(spec.get("SnapshotId") or "")
    if spec.get("SnapshotId") and snapshot is None:
        raise AwsError("InvalidSnapshot.NotFound", f"The snapshot '{spec['SnapshotId']}' does not exist.")
    return int(snapshot["VolumeSize"]) if snapshot else 8


def attachments_of(instance_id: str) -> list[Props]:
    """The attachments of an instance: the volumes are the one place that knows."""
    return [a for v in ec2._volumes.values() for a in v["Attachments"] if a["InstanceId"] == instance_id]


def attach(volume: Props, instance_id: str, device: str, *, delete_on_termination: bool) -> None:
    """Attach without the checks of the API (a launch made the volume for this instance)."""
    volume["State"] = "in-use"
    volume["Attachments"] = [
        {
            "VolumeId": volume["VolumeId"],
            "InstanceId": instance_id,
            "Device": device,
            "State": "attached",
            "AttachTime": ec2._now_ts(),
            "DeleteOnTermination": delete_on_termination,
        }
    ]


def release(instance_id: str) -> None:
    """What termination does to volumes: delete or detach, as each attachment says."""
    for attachment in attachments_of(instance_id):
        volume = ec2._volumes[attachment["VolumeId"]]
        if attachment["DeleteOnTermination"]:
            del ec2._volumes[attachment["VolumeId"]]
            ec2._tags.pop(attachment["VolumeId"], None)
        else:
            volume["State"], volume["Attachments"] = "available", []


@ec2_guard("AttachVolume")
def _check_attach(params: Props) -> None:
    volume = ec2._volumes.get(ec2._p(params, "VolumeId"))
    instance = ec2._instances.get(ec2._p(params, "InstanceId"))
    if volume is None or instance is None:
        return  # MiniStack answers NotFound itself
    identifier, device = volume["VolumeId"], ec2._p(params, "Device")
    if volume["Attachments"]:
        raise AwsError("VolumeInUse", f"{identifier} is already attached to an instance")
    if volume["AvailabilityZone"] != instance["Placement"]["AvailabilityZone"]:
        raise AwsError(
            "InvalidVolume.ZoneMismatch",
            f"The volume '{identifier}' is not in the same availability zone as instance '{instance['InstanceId']}'",
        )
    if instance["State"]["Name"] not in ("running", "stopped"):
        raise AwsError("IncorrectState", f"Instance '{instance['InstanceId']}' is not 'running'.")
    if any(a["Device"] == device for a in attachments_of(instance["InstanceId"])):
        raise AwsError(
            "InvalidParameterValue",
            f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use",
        )


@ec2_guard("ModifyVolume")
def _check_modify(params: Props) -> None:
    volume = ec2._volumes.get(ec2._p(params, "VolumeId"))
    size = int(ec2._p(params, "Size") or 0)
    if volume and 0 < size < volume["Size"]:
        raise AwsError("InvalidParameterValue", "New size cannot be smaller than existing size")


def _create(_logical_id: str, props: Props, _stack: str) -> Result:
    volume = new_volume(props.get("AvailabilityZone", ""), props)
    set_tags(volume["VolumeId"], props)
    return volume["VolumeId"], {"VolumeId": volume["VolumeId"]}


def _update(physical_id: str, old: Props, new: Props) -> dict[str, Any]:
    fixed = sorted(changed(old, new) & FIXED)
    if fixed:
        raise AwsError(
            "NotUpdatable", f"Update to resource type {VOLUME} is not supported: {', '.join(fixed)}", status=400
        )
    volume = ec2._volumes.get(physical_id)
    if volume is None:
        raise AwsError("InvalidVolume.NotFound", f"The volume '{physical_id}' does not exist.")
    params = {k: new[k] for k in ("Size", "VolumeType", "Iops") if new.get(k)}
    ec2_call("ModifyVolume", {"VolumeId": physical_id, **params})
    if new.get("Throughput"):
        volume["Throughput"] = int(new["Throughput"])
    set_tags(physical_id, new, old)
    return {"VolumeId": physical_id}


def _delete(physical_id: str, _props: Props) -> None:
    if physical_id in ec2._volumes:
        ec2_call("DeleteVolume", {"VolumeId": physical_id})
        ec2._tags.pop(physical_id, None)


def _snapshot(physical_id: str, _props: Props) -> None:
    if physical_id in ec2._volumes:
        ec2_call("CreateSnapshot", {"VolumeId": physical_id, "Description": "Created by CloudFormation"})


def _read(physical_id: str, _props: Props) -> Props | None:
    volume = ec2._volumes.get(physical_id)
    if volume is None:
        return None
    names = ("Size", "VolumeType", "AvailabilityZone", "Encrypted", "SnapshotId", "Iops", "Throughput", "KmsKeyId")
    return {**{k: volume[k] for k in names if k in volume}, "Tags": tags_of(physical_id)}


def _attachment_create(_logical_id: str, props: Props, _stack: str) -> Result:
    volume, instance = props["VolumeId"], props["InstanceId"]
    params = {"VolumeId": volume, "InstanceId": instance, "Device": props.get("Device", "")}
    ec2_call("AttachVolume", params)
    return f"{volume}|{instance}", {}


def _attachment_delete(physical_id: str, _props: Props) -> None:
    volume, _, instance = physical_id.partition("|")
    # After a replacement the volume may already belong to another instance.
    if any(a["VolumeId"] == volume for a in attachments_of(instance)):
        ec2_call("DetachVolume", {"VolumeId": volume})


def _attachment_read(physical_id: str, _props: Props) -> Props | None:
    volume, _, instance = physical_id.partition("|")
    for attachment in attachments_of(instance):
        if attachment["VolumeId"] == volume:
            return {"VolumeId": volume, "InstanceId": instance, "Device": attachment["Device"]}
    return None


def _volume_xml(volume: Props) -> str:
    extra = f"<throughput>{volume['Throughput']}</throughput>" if volume.get("Throughput") else ""
    if volume.get("KmsKeyId"):
        extra += f"<kmsKeyId>{ec2._esc(volume['KmsKeyId'])}</kmsKeyId>"
    return _original_volume_xml(volume) + extra


_original_volume_xml = ec2._volume_inner_xml


def install() -> None:
    """Register the types and the fuller DescribeVolumes answer."""
    ec2._volume_inner_xml = _volume_xml
    register(
        VOLUME,
        create=_create,
        update=_update,
        delete=_delete,
        snapshot=_snapshot,
        read=_read,
        reads=("Size", "VolumeType", "AvailabilityZone", "Encrypted", "Iops", "Throughput", "Tags"),
    )
    register(
        ATTACHMENT,
        create=_attachment_create,
        delete=_attachment_delete,
        read=_attachment_read,
        reads=("VolumeId", "InstanceId", "Device"),
        replaces=("Device", "InstanceId", "VolumeId", "EbsCardIndex"),
        tags=False,
    )
