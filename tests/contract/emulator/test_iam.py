"""AWS::IAM::InstanceProfile on the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def profile(role: str = "First", **properties: Any) -> dict[str, Any]:
    """Two roles and a profile that carries one of them."""
    one_role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}}
    carrier = {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": role}], **properties}}
    return {"First": one_role, "Other": one_role, "Profile": carrier}


@pytest.fixture
def stack(cloud: Any) -> Iterator[dict[str, str]]:
    """The stack ``profile``; yields its ids."""
    outputs = {"Arn": {"Value": {"Fn::GetAtt": ["Profile", "Arn"]}}}
    ids = cloud.create("profile", profile(), Outputs=outputs)
    yield ids
    cloud.delete("profile")
    left = [p["InstanceProfileName"] for p in cloud.client("iam").list_instance_profiles()["InstanceProfiles"]]
    assert ids["Profile"] not in left


def roles(cloud: Any, name: str) -> list[str]:
    found = cloud.client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    return [r["RoleName"] for r in found["Roles"]]


def test_ref_is_the_name(cloud: Any, stack: dict[str, str]) -> None:
    assert roles(cloud, stack["Profile"]) == [stack["First"]]
    assert cloud.outputs("profile")["Arn"].endswith(f":instance-profile/{stack['Profile']}")


def test_role_changes_in_place_path_replaces(cloud: Any, stack: dict[str, str]) -> None:
    assert cloud.changes("profile", profile("Other"))["Profile"]["Replacement"] == "False"
    assert cloud.update("profile", profile("Other")) == stack
    assert roles(cloud, stack["Profile"]) == [stack["Other"]]
    assert cloud.changes("profile", profile("Other", Path="/atelier/"))["Profile"]["Replacement"] == "True"


def test_drift(cloud: Any, stack: dict[str, str]) -> None:
    assert cloud.drift("profile")["Profile"] == "IN_SYNC"
    iam, names = cloud.client("iam"), {"InstanceProfileName": stack["Profile"], "RoleName": stack["First"]}
    iam.remove_role_from_instance_profile(**names)
    assert cloud.drift("profile")["Profile"] == "MODIFIED"
    iam.add_role_to_instance_profile(**names)


def test_unknown_role_is_refused(cloud: Any) -> None:
    with pytest.raises(AssertionError, match="role with name nobody cannot be found"):
        cloud.create("no-role", profile(Roles=["nobody"]))
    cloud.delete("no-role")
