"""Elastic addresses: AWS::EC2::EIP, AWS::EC2::EIPAssociation and the API behind them.

Public addresses come from LAB_PUBLIC_NETWORK, a /24 of the loopback range, so that what a
client reads as the bastion's public address can really be listened on in this lab only.
"""

from __future__ import annotations

import ipaddress
import os
from typing import Any

from ministack.core.responses import new_uuid
from ministack.services import ec2

from lab.emulator._engine import (
    AwsError,
    Props,
    Result,
    ec2_action,
    ec2_call,
    register,
    set_tags,
    tags_of,
    xml_value,
)

EIP = "AWS::EC2::EIP"
ASSOCIATION = "AWS::EC2::EIPAssociation"
# The first ones stay free for the lab's own listeners.
RESERVED_HOSTS = 9


def public_network() -> ipaddress.IPv4Network:
    """The network public addresses are drawn from."""
    return ipaddress.IPv4Network(os.environ.get("LAB_PUBLIC_NETWORK", "127.255.0.0/24"))


def free_public_address() -> str:
    """The lowest address nobody holds. Raises AwsError when none is left."""
    taken = {a["PublicIp"] for a in ec2._addresses.all_values()}
    taken |= {i["PublicIpAddress"] for i in ec2._instances.all_values()}
    for address in list(public_network().hosts())[RESERVED_HOSTS:]:
        if str(address) not in taken:
            return str(address)
    raise AwsError("AddressLimitExceeded", "The maximum number of addresses has been reached.")


def release_instance(instance_id: str) -> None:
    """Take every address away from an instance that ends."""
    for address in ec2._addresses.values():
        if address.get("InstanceId") == instance_id:
            _disassociate(address)


def _disassociate(address: Props) -> None:
    instance = ec2._instances.get(address.get("InstanceId") or "")
    if instance and instance["PublicIpAddress"] == address["PublicIp"]:
        instance["PublicIpAddress"] = instance["PublicDnsName"] = ""
    address.update(AssociationId=None, InstanceId=None, PrivateIpAddress=None)


def _find(params: Props) -> Props:
    allocation, public = ec2._p(params, "AllocationId"), ec2._p(params, "PublicIp")
    for address in ec2._addresses.values():
        if allocation == address["AllocationId"] or (public and public == address["PublicIp"]):
            return address
    if allocation:
        raise AwsError("InvalidAllocationID.NotFound", f"The allocation ID '{allocation}' does not exist")
    raise AwsError("InvalidAddress.NotFound", f"Address '{public}' not found.")


@ec2_action("AllocateAddress")
def _allocate(params: Props) -> str:
    allocation, public = f"eipalloc-{new_uuid().replace('-', '')[:17]}", free_public_address()
    ec2._addresses[allocation] = {
        "AllocationId": allocation,
        "PublicIp": public,
        "Domain": "vpc",
        "AssociationId": None,
        "InstanceId": None,
        "NetworkInterfaceId": None,
        "PrivateIpAddress": None,
    }
    ec2._parse_tag_specs(params, "elastic-ip", allocation)
    return f"<publicIp>{public}</publicIp><domain>vpc</domain><allocationId>{allocation}</allocationId>"


@ec2_action("AssociateAddress")
def _associate(params: Props) -> str:
    address, instance_id = _find(params), ec2._p(params, "InstanceId")
    instance = ec2._instances.get(instance_id)
    if instance is None:
        raise AwsError("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
    if instance["State"]["Name"] not in ("running", "stopped"):
        raise AwsError("IncorrectInstanceState", f"The instance '{instance_id}' is not in a valid state.")
    allowed = ec2._p(params, "AllowReassociation") == "true"
    if address["InstanceId"] not in (None, instance_id) and not allowed:
        raise AwsError(
            "Resource.AlreadyAssociated",
            f"resource {address['AllocationId']} is already associated with associate-id {address['AssociationId']}",
        )
    _disassociate(address)
    release_instance(instance_id)
    address.update(
        AssociationId=f"eipassoc-{new_uuid().replace('-', '')[:17]}",
        InstanceId=instance_id,
        PrivateIpAddress=instance["PrivateIpAddress"],
    )
    instance["PublicIpAddress"] = address["PublicIp"]
    return f"<return>true</return><associationId>{address['AssociationId']}</associationId>"


@ec2_action("DisassociateAddress")
def _disassociate_address(params: Props) -> str:
    association, public = ec2._p(params, "AssociationId"), ec2._p(params, "PublicIp")
    for address in ec2._addresses.values():
        if (association and association == address["AssociationId"]) or (public and public == address["PublicIp"]):
            _disassociate(address)
            return "<return>true</return>"
    raise AwsError("InvalidAssociationID.NotFound", f"The association ID '{association}' does not exist")


@ec2_action("ReleaseAddress")
def _release(params: Props) -> str:
    address = _find(params)
    if address["AssociationId"] or _nat_gateway_of(address):
        raise AwsError("InvalidIPAddress.InUse", f"Address {address['PublicIp']} is in use.")
    del ec2._addresses[address["AllocationId"]]
    ec2._tags.pop(address["AllocationId"], None)
    return "<return>true</return>"


def _nat_gateway_of(address: Props) -> bool:
    gateways = ec2._nat_gateways.values()
    return any(g["AllocationId"] == address["AllocationId"] and g["State"] == "available" for g in gateways)


@ec2_action("DescribeAddresses")
def _describe(params: Props) -> str:
    allocations = ec2._parse_member_list(params, "AllocationId")
    publics = ec2._parse_member_list(params, "PublicIp")
    known = list(ec2._addresses.values())
    for identifier in set(allocations) - {a["AllocationId"] for a in known}:
        raise AwsError("InvalidAllocationID.NotFound", f"The allocation ID '{identifier}' does not exist")
    filters = ec2._parse_filters(params)
    return "<addressesSet>{}</addressesSet>".format(
        "".join(
            _address_xml(a)
            for a in known
            if (not allocations or a["AllocationId"] in allocations)
            and (not publics or a["PublicIp"] in publics)
            and _matches(a, filters)
        )
    )


_FILTERS = {
    "allocation-id": "AllocationId",
    "association-id": "AssociationId",
    "domain": "Domain",
    "instance-id": "InstanceId",
    "private-ip-address": "PrivateIpAddress",
    "public-ip": "PublicIp",
}


def _matches(address: Props, filters: dict[str, list[str]]) -> bool:
    return ec2._resource_matches_tag_filters(address["AllocationId"], filters) and all(
        address[_FILTERS[name]] in values for name, values in filters.items() if name in _FILTERS
    )


def _address_xml(address: Props) -> str:
    names = ("AllocationId", "PublicIp", "Domain", "AssociationId", "InstanceId", "PrivateIpAddress")
    members = "".join(f"<{n[0].lower()}{n[1:]}>{address[n]}</{n[0].lower()}{n[1:]}>" for n in names if address[n])
    return f"<item>{members}{ec2._tag_set_xml(address['AllocationId'])}</item>"


def _by_public_address(public: str) -> Props | None:
    return next((a for a in ec2._addresses.values() if a["PublicIp"] == public), None)


def _create(_logical_id: str, props: Props, _stack: str) -> Result:
    text = ec2_call("AllocateAddress", {"Domain": "vpc"})
    allocation, public = xml_value(text, "allocationId"), xml_value(text, "publicIp")
    set_tags(allocation, props)
    if props.get("InstanceId"):
        ec2_call("AssociateAddress", {"AllocationId": allocation, "InstanceId": props["InstanceId"]})
    return public, {"AllocationId": allocation, "PublicIp": public}


def _update(physical_id: str, old: Props, new: Props) -> dict[str, Any] | None:
    address = _by_public_address(physical_id)
    if address is None:
        return None
    allocation = address["AllocationId"]
    set_tags(allocation, new, old)
    if old.get("InstanceId") != new.get("InstanceId"):
        if new.get("InstanceId"):
            params = {"AllocationId": allocation, "InstanceId": new["InstanceId"], "AllowReassociation": "true"}
            ec2_call("AssociateAddress", params)
        else:
            _disassociate(address)
    return {"AllocationId": allocation, "PublicIp": physical_id}


def _delete(physical_id: str, props: Props) -> None:
    address = _by_public_address(physical_id)
    if address is None:
        return
    if props.get("InstanceId"):
        _disassociate(address)
    ec2_call("ReleaseAddress", {"AllocationId": address["AllocationId"]})


def _read(physical_id: str, _props: Props) -> Props | None:
    address = _by_public_address(physical_id)
    if address is None:
        return None
    live = {"Domain": "vpc", "Tags": tags_of(address["AllocationId"])}
    return {**live, "InstanceId": address["InstanceId"]} if address["InstanceId"] else live


def _association_create(_logical_id: str, props: Props, _stack: str) -> Result:
    key = {"AllocationId": props["AllocationId"]} if props.get("AllocationId") else {"PublicIp": props.get("EIP", "")}
    params = {**key, "InstanceId": props.get("InstanceId", ""), "AllowReassociation": "true"}
    association = xml_value(ec2_call("AssociateAddress", params), "associationId")
    return association, {"Id": association}


def _association_of(physical_id: str) -> Props | None:
    return next((a for a in ec2._addresses.values() if a["AssociationId"] == physical_id), None)


def _association_delete(physical_id: str, _props: Props) -> None:
    address = _association_of(physical_id)
    if address:
        _disassociate(address)


def _association_read(physical_id: str, _props: Props) -> Props | None:
    address = _association_of(physical_id)
    if address is None:
        return None
    return {"AllocationId": address["AllocationId"], "EIP": address["PublicIp"], "InstanceId": address["InstanceId"]}


def install() -> None:
    """Register the types (the API actions are installed by import)."""
    register(
        EIP,
        create=_create,
        update=_update,
        delete=_delete,
        read=_read,
        reads=("Domain", "InstanceId", "Tags"),
        replaces=("NetworkBorderGroup", "TransferAddress", "IpamPoolId", "Address"),
    )
    register(
        ASSOCIATION,
        create=_association_create,
        delete=_association_delete,
        read=_association_read,
        reads=("AllocationId", "EIP", "InstanceId"),
        replaces=("AllocationId", "NetworkInterfaceId", "InstanceId", "PrivateIpAddress", "EIP"),
        tags=False,
    )
