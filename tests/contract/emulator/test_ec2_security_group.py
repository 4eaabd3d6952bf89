"""AWS::EC2::SecurityGroupIngress and Egress on the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

KEYS = {"Ingress": "IpPermissions", "Egress": "IpPermissionsEgress"}


def rule(direction: str, network: dict[str, str], **changed: Any) -> dict[str, Any]:
    """One rule from or to the other group."""
    peer = "SourceSecurityGroupId" if direction == "Ingress" else "DestinationSecurityGroupId"
    properties = {
        "GroupId": network["Group"],
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        peer: network["OtherGroup"],
        "Description": "ssh from the bastion",
    }
    return {"Rule": {"Type": f"AWS::EC2::SecurityGroup{direction}", "Properties": {**properties, **changed}}}


def live(cloud: Any, network: dict[str, str], direction: str) -> list[dict[str, Any]]:
    group = cloud.ec2.describe_security_groups(GroupIds=[network["Group"]])["SecurityGroups"][0]
    return [p for p in group[KEYS[direction]] if p["IpProtocol"] != "-1"]


@pytest.fixture(params=["Ingress", "Egress"])
def stack(request: pytest.FixtureRequest, cloud: Any, network: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The stack ``rule``; yields the direction and the rule's id."""
    ids = cloud.create("rule", rule(request.param, network))
    yield request.param, ids["Rule"]
    cloud.delete("rule")
    assert live(cloud, network, request.param) == []


def test_rule_is_on_the_group(cloud: Any, network: dict[str, str], stack: Any) -> None:
    direction, identifier = stack
    found = live(cloud, network, direction)[0]
    assert (found["IpProtocol"], found["FromPort"], found["ToPort"]) == ("tcp", 22, 22)
    assert found["UserIdGroupPairs"][0]["GroupId"] == network["OtherGroup"]
    assert found["UserIdGroupPairs"][0]["Description"] == "ssh from the bastion"
    rules = cloud.ec2.describe_security_group_rules(SecurityGroupRuleIds=[identifier])["SecurityGroupRules"]
    assert [r["GroupId"] for r in rules] == [network["Group"]]


def test_description_changes_in_place_port_replaces(cloud: Any, network: dict[str, str], stack: Any) -> None:
    direction, identifier = stack
    renamed = rule(direction, network, Description="renamed")
    assert cloud.changes("rule", renamed)["Rule"]["Replacement"] == "False"
    assert cloud.update("rule", renamed)["Rule"] == identifier
    assert live(cloud, network, direction)[0]["UserIdGroupPairs"][0]["Description"] == "renamed"
    moved = rule(direction, network, FromPort=443, ToPort=443)
    assert cloud.changes("rule", moved)["Rule"]["Replacement"] == "True"
    assert cloud.update("rule", moved)["Rule"] != identifier
    assert [p["FromPort"] for p in live(cloud, network, direction)] == [443]


def test_drift(cloud: Any, network: dict[str, str], stack: Any) -> None:
    direction, identifier = stack
    assert cloud.drift("rule") == {"Rule": "IN_SYNC"}
    revoke = f"revoke_security_group_{direction.lower()}"
    getattr(cloud.ec2, revoke)(GroupId=network["Group"], SecurityGroupRuleIds=[identifier])
    assert cloud.drift("rule") == {"Rule": "DELETED"}


def test_the_same_rule_twice_is_refused(cloud: Any, network: dict[str, str], stack: Any) -> None:
    direction, _identifier = stack
    with pytest.raises(AssertionError, match="already exists"):
        cloud.create("again", rule(direction, network))
    cloud.delete("again")
    assert len(live(cloud, network, direction)) == 1, "the refused twin took nothing with it"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"GroupId": "sg-0"}, "security group 'sg-0' does not exist"),
        ({"SourceSecurityGroupId": "sg-1"}, "security group 'sg-1' does not exist"),
        ({"SourceSecurityGroupId": ""}, "must contain exactly one of"),
    ],
)
def test_a_rule_without_its_groups_is_refused(cloud: Any, network: dict[str, str], changed: Any, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        cloud.create("bad-rule", rule("Ingress", network, **changed))
    cloud.delete("bad-rule")
