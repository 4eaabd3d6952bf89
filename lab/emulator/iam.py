"""AWS::IAM::InstanceProfile: on AWS its Ref is the name, MiniStack returns the ARN."""

from __future__ import annotations

from typing import Any

from ministack.services import iam
from ministack.services.cloudformation import provisioners

from lab.emulator._engine import AwsError, Props, Result, register

PROFILE = "AWS::IAM::InstanceProfile"


def _check_roles(props: Props) -> None:
    for role in props.get("Roles") or []:
        if role not in iam._roles:
            raise AwsError("NoSuchEntity", f"The role with name {role} cannot be found.", "Iam", 404)


def _create(logical_id: str, props: Props, stack: str) -> Result:
    _check_roles(props)
    arn, attributes = provisioners._iam_ip_create(logical_id, props, stack)
    return arn.rpartition("/")[2], attributes


def _update(physical_id: str, _old: Props, new: Props) -> dict[str, Any] | None:
    profile = iam._instance_profiles.get(physical_id)
    if profile is None:
        return None
    _check_roles(new)
    profile["Roles"] = provisioners._iam_ip_roles(new)
    return {"Arn": profile["Arn"]}


def _delete(physical_id: str, _props: Props) -> None:
    iam._instance_profiles.pop(physical_id, None)


def _read(physical_id: str, _props: Props) -> Props | None:
    profile = iam._instance_profiles.get(physical_id)
    if profile is None:
        return None
    roles = [r if isinstance(r, str) else r.get("RoleName") for r in profile["Roles"]]
    return {"InstanceProfileName": physical_id, "Path": profile.get("Path", "/"), "Roles": roles}


def install() -> None:
    """Take the type over."""
    register(
        PROFILE,
        create=_create,
        update=_update,
        delete=_delete,
        read=_read,
        reads=("InstanceProfileName", "Path", "Roles"),
        replaces=("InstanceProfileName", "Path"),
        tags=False,
    )
