"""AWS::EC2::SecurityGroupIngress and AWS::EC2::SecurityGroupEgress: one rule each."""

from __future__ import annotations

import json
from typing import Any

from ministack.services import ec2
from ministack.services.cloudformation import provisioners

from lab.emulator._engine import AwsError, Props, Result, register

# direction -> (key of the group's rules, properties that make a different rule)
_DIRECTIONS = {
    "Ingress": (
        "IpPermissions",
        ("SourceSecurityGroupId", "SourceSecurityGroupName", "SourceSecurityGroupOwnerId", "SourcePrefixListId"),
    ),
    "Egress": ("IpPermissionsEgress", ("DestinationSecurityGroupId", "DestinationPrefixListId")),
}
_COMMON = ("GroupId", "IpProtocol", "FromPort", "ToPort", "CidrIp", "CidrIpv6")


def _group(identifier: str) -> Props:
    group = ec2._security_groups.get(identifier)
    if group is None:
        raise AwsError("InvalidGroup.NotFound", f"The security group '{identifier}' does not exist")
    return group


def _rule(props: Props, peers: tuple[str, ...]) -> Props:
    if not any(props.get(name) for name in (*peers, "CidrIp", "CidrIpv6")):
        raise AwsError("MissingParameter", "The request must contain exactly one of: CidrIp, CidrIpv6, a peer group")
    for name in peers:
        if name.endswith("SecurityGroupId") and props.get(name):
            _group(props[name])
    return provisioners._ec2_sg_permissions([{**props, "IpProtocol": str(props["IpProtocol"])}])[0]


def _shape(rule: Props) -> str:
    bare = {k: v for k, v in ec2._strip_descriptions(rule).items() if v and k != "SecurityGroupRuleId"}
    return json.dumps(bare, sort_keys=True)


def _duplicate(props: Props, peers: tuple[str, ...]) -> AwsError:
    peer = next(str(props[n]) for n in ("CidrIp", "CidrIpv6", *peers) if props.get(n))
    ports = f"from port: {props.get('FromPort')}, to port: {props.get('ToPort')}"
    return AwsError(
        "InvalidPermission.Duplicate",
        f'the specified rule "peer: {peer}, {props["IpProtocol"]}, {ports}, ALLOW" already exists',
    )


class _Rule:
    """The handlers of one direction."""

    def __init__(self, direction: str) -> None:
        self.egress = direction == "Egress"
        self.key, self.peers = _DIRECTIONS[direction]

    def _find(self, physical_id: str) -> tuple[list[Props], Props] | None:
        for group in ec2._security_groups.values():
            for rule in group.get(self.key, []):
                if rule.get("SecurityGroupRuleId") == physical_id:
                    return group[self.key], rule
        return None

    def create(self, _logical_id: str, props: Props, _stack: str) -> Result:
        group, rule = _group(props["GroupId"]), _rule(props, self.peers)
        if any(_shape(rule) == _shape(present) for present in group.setdefault(self.key, [])):
            raise _duplicate(props, self.peers)
        identifier = ec2._sg_rule_id(group["GroupId"], self.egress, rule)
        rule["SecurityGroupRuleId"] = identifier
        group[self.key].append(rule)
        return identifier, {"Id": identifier}

    def update(self, physical_id: str, _old: Props, new: Props) -> dict[str, Any] | None:
        found = self._find(physical_id)
        if found is None:
            return None
        # Only the description can have changed: everything else is create-only.
        found[1].update(_rule(new, self.peers))
        return {"Id": physical_id}

    def delete(self, physical_id: str, _props: Props) -> None:
        found = self._find(physical_id)
        if found:
            found[0].remove(found[1])

    def read(self, physical_id: str, props: Props) -> Props | None:
        found = self._find(physical_id)
        if found is None:
            return None
        live = {k: found[1][k] for k in ("IpProtocol", "FromPort", "ToPort") if k in found[1]}
        return {"GroupId": props.get("GroupId"), **live, "Description": ec2._sg_rule_description(found[1]) or ""}


def install() -> None:
    """Register both directions."""
    for direction, (_key, peers) in _DIRECTIONS.items():
        rule = _Rule(direction)
        register(
            f"AWS::EC2::SecurityGroup{direction}",
            create=rule.create,
            update=rule.update,
            delete=rule.delete,
            read=rule.read,
            reads=("GroupId", "IpProtocol", "FromPort", "ToPort", "Description"),
            replaces=(*_COMMON, *peers, *(["GroupName"] if direction == "Ingress" else [])),
            tags=False,
        )
