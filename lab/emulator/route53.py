"""AWS::Route53::HostedZone: MiniStack makes every zone of a stack public and untagged."""

from __future__ import annotations

from typing import Any

from ministack.services import ec2, route53
from ministack.services.cloudformation import provisioners

from lab.emulator._engine import AwsError, Props, Result, changed, register

ZONE = "AWS::Route53::HostedZone"
DEFAULT_RECORDS = ("NS", "SOA")


def _vpcs(props: Props) -> list[dict[str, str]]:
    vpcs = [{"VPCRegion": v["VPCRegion"], "VPCId": v["VPCId"]} for v in props.get("VPCs") or []]
    for vpc in vpcs:
        if vpc["VPCId"] not in ec2._vpcs:
            raise AwsError("InvalidVPCId", f"The VPC ID '{vpc['VPCId']}' is not valid.", "Route53")
    return vpcs


def _tags(zone_id: str, props: Props) -> None:
    route53._tags[("hostedzone", zone_id)] = {
        str(t["Key"]): str(t["Value"])
        for t in props.get("HostedZoneTags") or []
        if not str(t["Key"]).startswith("aws:")
    }


def _attributes(zone_id: str) -> dict[str, Any]:
    servers = [] if route53._zones[zone_id].get("private") else ["ns-1.awsdns-01.org", "ns-2.awsdns-02.co.uk"]
    return {"Id": zone_id, "NameServers": servers}


def _check_conflict(name: str, vpcs: list[dict[str, str]], zone_id: str = "") -> None:
    for vpc in vpcs:
        if route53._same_name_zone_with_vpc(name, vpc, zone_id):
            raise AwsError(
                "ConflictingDomainExists",
                f"A private hosted zone named {name} is already associated with VPC {vpc['VPCId']}",
                "Route53",
            )


def _create(logical_id: str, props: Props, stack: str) -> Result:
    vpcs = _vpcs(props)
    _check_conflict(route53._normalise_name(props["Name"]), vpcs)
    zone_id, _attrs = provisioners._r53_hosted_zone_create(logical_id, props, stack)
    route53._zones[zone_id].update(private=bool(vpcs), vpcs=vpcs)
    _tags(zone_id, props)
    return zone_id, _attributes(zone_id)


def _update(physical_id: str, old: Props, new: Props) -> dict[str, Any] | None:
    zone = route53._zones.get(physical_id)
    if zone is None:
        return None
    vpcs = _vpcs(new)
    if bool(vpcs) != bool(zone.get("private")):
        raise AwsError("InvalidInput", "A zone cannot change between public and private.", "Route53")
    if "VPCs" in changed(old, new):
        _check_conflict(zone["name"], vpcs, physical_id)
    zone.update(vpcs=vpcs, comment=(new.get("HostedZoneConfig") or {}).get("Comment", ""))
    _tags(physical_id, new)
    return _attributes(physical_id)


def _delete(physical_id: str, _props: Props) -> None:
    left = [r for r in route53._records.get(physical_id, []) if r["Type"] not in DEFAULT_RECORDS]
    if left:
        message = "The specified hosted zone contains non-required resource record sets and so cannot be deleted."
        raise AwsError("HostedZoneNotEmpty", message, "Route53")
    provisioners._r53_hosted_zone_delete(physical_id, {})
    route53._tags.pop(("hostedzone", physical_id), None)


def _read(physical_id: str, props: Props) -> Props | None:
    zone = route53._zones.get(physical_id)
    if zone is None:
        return None
    tags = route53._tags.get(("hostedzone", physical_id), {})
    return {
        "Name": zone["name"] if str(props.get("Name", "")).endswith(".") else zone["name"].rstrip("."),
        "VPCs": zone.get("vpcs", []),
        "HostedZoneConfig": {"Comment": zone.get("comment", "")},
        "HostedZoneTags": [{"Key": k, "Value": v} for k, v in tags.items()],
    }


def install() -> None:
    """Take the type over."""
    register(
        ZONE,
        create=_create,
        update=_update,
        delete=_delete,
        read=_read,
        reads=("Name", "VPCs", "HostedZoneConfig", "HostedZoneTags"),
        replaces=("Name", "DelegationSetId"),
        tags=False,
    )
    # Stack tags reach zones, CloudFormation's own aws: tags do not (see _tags).
    provisioners._STACK_TAG_PROPERTY[ZONE] = ("HostedZoneTags", "list")
