"""Flows to the CloudFormation template of stack `<environment>-flows`. Pure.

The security groups of bastion, projects and endpoints are made closed in both directions by their own stacks and
exported; this template alone opens them. A flow opens the egress of its source and the ingress of its destination,
where that end is ours.
"""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import re
from collections.abc import Iterable
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _names

TEMPLATE_BYTES = 51_200  # of a TemplateBody; AWS's limit
_DESCRIPTION_MAX = 255
_DESCRIBED = re.compile(
    r"(?P<ticket>[^:]+): (?P<name>\S+), owner (?P<owner>[^,]+)(?:, until (?P<expires>\d{4}-\d\d-\d\d))?"
)
_DESCRIPTION_TEXT = re.compile(r"[^A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]")  # AWS's list, turned round


@dataclasses.dataclass(frozen=True)
class Opening:
    """One permitted connection."""

    name: str
    source: str
    destination: str
    protocol: str
    port: int
    owner: str
    ticket: str
    expires: datetime.date | None = None
    reason: str = ""


def kind(end: str) -> str | None:
    """What an end of a flow is: bastion, corporate, endpoints, project or network; None when it is nothing known."""
    if end in ("bastion", "corporate", "endpoints"):
        return end
    if re.fullmatch(r"project:.+", end):
        return "project"
    return "network" if re.fullmatch(r"[0-9.]+(/\d+)?", end) else None


def structural(projects: Iterable[str], owner: str, *, ports: Iterable[int] = ()) -> list[Opening]:
    """What the platform itself needs: ssh to the bastion, from it to the machines, and AWS's endpoints.

    ports: what members may reach on their machines through the bastion, besides ssh.
    """

    def one(name: str, source: str, destination: str, port: int, reason: str) -> Opening:
        return Opening(name, source, destination, "tcp", port, owner, "platform", reason=reason)

    projects = list(projects)
    found = [one("ssh-bastion", "corporate", "bastion", 22, "Members and ops come in through the bastion")]
    hop = "From the bastion on to the project's machines"
    found += [one(f"ssh-{name}", "bastion", f"project:{name}", 22, hop) for name in projects]
    further = "Members reach their machines through the bastion"
    found += [
        one(f"bastion-{port}-{name}", "bastion", f"project:{name}", port, further)
        for name in projects
        for port in sorted(set(ports) - {22})
    ]
    why = "AWS's services (logs, metrics) without a way to the Internet"
    found.append(one("endpoints-bastion", "bastion", "endpoints", 443, why))
    found += [one(f"endpoints-{name}", f"project:{name}", "endpoints", 443, why) for name in projects]
    return found


def render(
    environment: str, openings: Iterable[Opening], corporate: Iterable[str], today: datetime.date
) -> tuple[dict[str, Any], list[str]]:
    """The template, and the names of the flows left out because they have expired.

    Logical ids depend on name, direction and network only, so adding, removing or extending a flow touches no other.
    """
    networks = [str(ipaddress.IPv4Network(network)) for network in corporate]
    resources: dict[str, Any] = {}
    expired = []
    for one in openings:
        if one.expires is not None and one.expires < today:
            expired.append(one.name)
            continue
        resources |= _rules(environment, one, networks)
    if not resources:  # CloudFormation refuses a template without resources; this one costs and does nothing
        resources["Nothing"] = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Flows of {environment}, written from flows.yml",
        "Resources": dict(sorted(resources.items())),
    }
    return template, expired


def _rules(environment: str, one: Opening, corporate: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    sides = (("Egress", one.source, one.destination), ("Ingress", one.destination, one.source))
    for direction, ours, theirs in sides:
        group = _group(environment, ours)
        if group is None:
            continue
        for peer_name, peer in _peers(environment, direction, theirs, corporate):
            found[_names.logical_id(one.name, direction, peer_name)] = {
                "Type": f"AWS::EC2::SecurityGroup{direction}",
                "Properties": {
                    "GroupId": group,
                    "IpProtocol": one.protocol,
                    "FromPort": one.port,
                    "ToPort": one.port,
                    "Description": _describe(one),
                    **peer,
                },
            }
    return found


def _group(environment: str, end: str) -> dict[str, str] | None:
    """The security group of an end that is ours."""
    stack = {
        "bastion": _names.stack_name(environment, "bastion", "SecurityGroupId"),
        "endpoints": _names.stack_name(environment, "network", "EndpointSecurityGroupId"),
        "project": _names.stack_name(environment, "project", end.partition(":")[2], "SecurityGroupId"),
    }.get(kind(end) or "")
    return {"Fn::ImportValue": stack} if stack else None


def _peers(environment: str, direction: str, end: str, corporate: list[str]) -> list[tuple[str, dict[str, Any]]]:
    group = _group(environment, end)
    if group is not None:
        key = "DestinationSecurityGroupId" if direction == "Egress" else "SourceSecurityGroupId"
        return [(end, {key: group})]
    networks = corporate if kind(end) == "corporate" else [str(ipaddress.IPv4Network(end))]
    return [(network, {"CidrIp": network}) for network in networks]


def _describe(one: Opening) -> str:
    """Ticket and owner, so that somebody in the Console knows whom to ask."""
    until = f", until {one.expires.isoformat()}" if one.expires else ""
    return _DESCRIPTION_TEXT.sub("-", f"{one.ticket}: {one.name}, owner {one.owner}{until}")[:_DESCRIPTION_MAX]


def described(description: str) -> dict[str, str]:
    """What `_describe` wrote, back again; empty where it is not its writing."""
    found = _DESCRIBED.fullmatch(description)
    return {key: value or "" for key, value in found.groupdict().items()} if found else {}
