"""Machine images: shared by another account (core IT), looked up by criteria, never booted.

RegisterImage cannot date an image, and tags of a shared image belong to whoever reads them,
so the landing zone seeds images through ``put_image`` (see _admin.py).
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import ec2

from lab.emulator._engine import AwsError, Props

DEFAULT_ROOT_DEVICE = "/dev/xvda"


def image_id(owner: str, name: str) -> str:
    """A stable id, so that seeding twice gives one image."""
    return "ami-" + hashlib.sha256(f"{owner}/{name}".encode()).hexdigest()[:17]


def put_image(image: Props, account: str, region: str) -> str:
    """Create or overwrite an image of ``image["owner"]`` shared with ``account``; returns its id.

    Keys: owner, name, and optionally image_id, description, architecture, creation_date
    (ISO 8601), root_device_name, root_gib, tags (a map).
    """
    owner, name = str(image["owner"]), str(image["name"])
    identifier = image.get("image_id") or image_id(owner, name)
    device = image.get("root_device_name", DEFAULT_ROOT_DEVICE)
    record = {
        "ImageId": identifier,
        "Name": name,
        "ImageLocation": "",
        "Description": image.get("description", name),
        "Architecture": image.get("architecture", "x86_64"),
        "RootDeviceType": "ebs",
        "RootDeviceName": device,
        "BlockDeviceMappings": [
            {"DeviceName": device, "Ebs": {"VolumeSize": str(image.get("root_gib", 8)), "VolumeType": "gp3"}}
        ],
        "VirtualizationType": "hvm",
        "CreationDate": image.get("creation_date") or ec2._now_ts(),
        "OwnerId": owner,
        "LaunchPermissions": [{"UserId": account}],
    }
    ec2._images.set_scoped(owner, region, identifier, record)
    tags = [{"Key": str(k), "Value": str(v)} for k, v in (image.get("tags") or {}).items()]
    ec2._tags.set_scoped(account, region, identifier, tags)
    return identifier


def usable_image(identifier: str) -> Props:
    """The image record an instance may start from. Raises AwsError when there is none."""
    record = _find_shared(identifier)
    if record is None:
        raise AwsError("InvalidAMIID.NotFound", f"The image id '[{identifier}]' does not exist")
    return record


def _find_shared(identifier: str) -> Props | None:
    account = get_account_id()
    for (owner, _region, key), record in ec2._images.all_items():
        allowed = owner == account or any(
            p.get("Group") == "all" or p.get("UserId") == account for p in record.get("LaunchPermissions") or []
        )
        if key == identifier and allowed:
            return record
    return None


def _describe_images(params: Props) -> Any:
    for identifier in ec2._parse_member_list(params, "ImageId"):
        if _find_shared(identifier) is None:
            message = f"The image id '[{identifier}]' does not exist"
            return ec2._error("InvalidAMIID.NotFound", message, 400)
    status, headers, body = _original_describe_images(params)
    return status, headers, re.sub(rb"<imageId>([^<]+)</imageId>", _with_creation_date, body)


def _with_creation_date(match: re.Match[bytes]) -> bytes:
    record = _find_shared(match[1].decode()) or {}
    return match[0] + f"<creationDate>{record.get('CreationDate', '')}</creationDate>".encode()


_original_describe_images = ec2._ACTION_MAP["DescribeImages"]


def install() -> None:
    """Replace MiniStack's image answers."""
    ec2._ACTION_MAP["DescribeImages"] = _describe_images
    # MiniStack boots registered images with docker; ours are booted by the host mirror.
    ec2._docker_touched = lambda: False
    # An account sees what is shared with it, not four made-up public images.
    ec2._STUB_AMIS = []
