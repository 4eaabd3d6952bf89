"""AWS::EC2::VPCEndpoint: an interface endpoint has a network interface, and so an address, in each of its subnets."""

from __future__ import annotations

import re
from typing import Any

from ministack.core.responses import get_account_id, new_uuid
from ministack.services import ec2
from ministack.services.cloudformation import provisioners

from lab.emulator import ec2_launch
from lab.emulator._engine import AwsError, Props, Response, Result, register, set_tags, tags_of, truth, xml_value

ENDPOINT = "AWS::EC2::VPCEndpoint"
INTERFACE = "Interface"


def service_name(endpoint: Props) -> str:
    """The DNS name that private DNS gives to an endpoint of an AWS service.

    ``com.amazonaws.eu-west-1.logs`` -> ``logs.eu-west-1.amazonaws.com``
    """
    region, _, service = endpoint["ServiceName"].removeprefix("com.amazonaws.").partition(".")
    return f"{service}.{region}.amazonaws.com"


def _subnets(props: Props) -> list[Props]:
    found = []
    for identifier in props.get("SubnetIds") or []:
        subnet = ec2._subnets.get(identifier)
        if subnet is None or subnet["VpcId"] != props["VpcId"]:
            raise AwsError("InvalidSubnetId.NotFound", f"The subnet ID '{identifier}' does not exist")
        found.append(subnet)
    zones = [subnet["AvailabilityZone"] for subnet in found]
    if len(set(zones)) < len(zones):
        raise AwsError("DuplicateSubnetsInSameZone", "Found another VPC endpoint subnet in the availability zone")
    return found


def _plug(endpoint: Props, props: Props) -> None:
    """Give the endpoint its interfaces: those it has stay, with their addresses."""
    if endpoint["VpcEndpointType"] != INTERFACE:
        return
    subnets = _subnets(props)
    groups = ec2_launch.checked_groups(props.get("SecurityGroupIds"), subnets[0]) if subnets else []
    named = [{"GroupId": one, "GroupName": ec2._security_groups[one]["GroupName"]} for one in groups]
    kept = {}
    for identifier in endpoint["NetworkInterfaceIds"]:
        interface = ec2._network_interfaces[identifier]
        if interface["SubnetId"] in props["SubnetIds"]:
            kept[interface["SubnetId"]] = identifier
            interface["Groups"] = named
        else:
            del ec2._network_interfaces[identifier]
    for subnet in subnets:
        if subnet["SubnetId"] not in kept:
            kept[subnet["SubnetId"]] = _interface(endpoint, subnet, named)
    endpoint["NetworkInterfaceIds"] = list(kept.values())
    endpoint["SecurityGroupIds"] = groups
    names = [f"{endpoint['VpcEndpointId']}.{'.'.join(service_name(endpoint).split('.')[:2])}.vpce.amazonaws.com"]
    if endpoint["PrivateDnsEnabled"]:
        names.append(service_name(endpoint))
    endpoint["DnsEntries"] = names


def _interface(endpoint: Props, subnet: Props, groups: list[Props]) -> str:
    identifier = "eni-" + new_uuid().replace("-", "")[:17]
    ec2._network_interfaces[identifier] = {
        "NetworkInterfaceId": identifier,
        "SubnetId": subnet["SubnetId"],
        "VpcId": subnet["VpcId"],
        "AvailabilityZone": subnet["AvailabilityZone"],
        "Description": f"VPC Endpoint Interface {endpoint['VpcEndpointId']}",
        "OwnerId": get_account_id(),
        "Status": "in-use",
        "PrivateIpAddress": ec2_launch.last_free_address(subnet),
        "InterfaceType": "vpc_endpoint",
        "SourceDestCheck": True,
        "MacAddress": ":".join(re.findall("..", "02" + identifier[-10:])),
        "Groups": groups,
        "Attachment": None,
    }
    return identifier


def _create(logical_id: str, props: Props, stack: str) -> Result:
    props = {**props, "PrivateDnsEnabled": truth(props.get("PrivateDnsEnabled", False))}
    identifier, _ = provisioners._ec2_vpc_endpoint_create(logical_id, props, stack)
    endpoint = ec2._vpc_endpoints[identifier]
    try:
        _plug(endpoint, props)
    except AwsError:
        _delete(identifier, props)
        raise
    return identifier, _attributes(endpoint)


def _attributes(endpoint: Props) -> dict[str, Any]:
    return {
        "Id": endpoint["VpcEndpointId"],
        "CreationTimestamp": endpoint["CreationTimestamp"],
        "NetworkInterfaceIds": endpoint["NetworkInterfaceIds"],
        "DnsEntries": [f"Z0000000000000000000:{name}" for name in endpoint["DnsEntries"]],
    }


def _update(physical_id: str, old: Props, new: Props) -> dict[str, Any] | None:
    endpoint = ec2._vpc_endpoints.get(physical_id)
    if endpoint is None:
        raise AwsError("InvalidVpcEndpointId.NotFound", f"The Vpc Endpoint Id '{physical_id}' does not exist")
    if any(old.get(name) != new.get(name) for name in ("ServiceName", "VpcEndpointType", "VpcId")):
        return None
    new = {**new, "PrivateDnsEnabled": truth(new.get("PrivateDnsEnabled", False))}
    endpoint.update(
        RouteTableIds=list(new.get("RouteTableIds") or []),
        SubnetIds=list(new.get("SubnetIds") or []),
        PrivateDnsEnabled=new["PrivateDnsEnabled"],
        PolicyDocument=new.get("PolicyDocument"),
    )
    _plug(endpoint, new)
    set_tags(physical_id, new, old)
    return _attributes(endpoint)


def _delete(physical_id: str, _props: Props) -> None:
    endpoint = ec2._vpc_endpoints.pop(physical_id, None) or {}
    for identifier in endpoint.get("NetworkInterfaceIds", []):
        ec2._network_interfaces.pop(identifier, None)
    ec2._tags.pop(physical_id, None)


def _read(physical_id: str, _props: Props) -> Props | None:
    endpoint = ec2._vpc_endpoints.get(physical_id)
    if endpoint is None:
        return None
    names = ("VpcId", "ServiceName", "VpcEndpointType", "SubnetIds", "RouteTableIds", "PrivateDnsEnabled")
    return {**{name: endpoint.get(name) for name in names}, "Tags": tags_of(physical_id)}


def _fields(endpoint: Props, tag: str = "item") -> str:
    """MiniStack's description and what it leaves out of an interface endpoint."""
    groups = "".join(
        f"<item><groupId>{one}</groupId><groupName>{ec2._security_groups[one]['GroupName']}</groupName></item>"
        for one in endpoint.get("SecurityGroupIds", [])
        if one in ec2._security_groups
    )
    interfaces = "".join(f"<item>{one}</item>" for one in endpoint.get("NetworkInterfaceIds", []))
    names = "".join(f"<item><dnsName>{one}</dnsName></item>" for one in endpoint.get("DnsEntries", []))
    more = f"""
        <groupSet>{groups}</groupSet>
        <networkInterfaceIdSet>{interfaces}</networkInterfaceIdSet>
        <dnsEntrySet>{names}</dnsEntrySet>
        <privateDnsEnabled>{str(truth(endpoint.get("PrivateDnsEnabled", False))).lower()}</privateDnsEnabled>
    </{tag}>"""
    return _original_fields(endpoint, tag).removesuffix(f"</{tag}>").rstrip() + more


_original_fields = ec2._vpce_fields_xml


def _create_endpoint(params: Props) -> Response:
    """CreateVpcEndpoint: MiniStack's, and then plugged in like one of a stack."""
    status, headers, body = _original_create(params)
    endpoint = ec2._vpc_endpoints[xml_value(body.decode(), "vpcEndpointId")]
    endpoint.update(
        NetworkInterfaceIds=[], DnsEntries=[], PrivateDnsEnabled=truth(ec2._p(params, "PrivateDnsEnabled") or False)
    )
    try:
        _plug(endpoint, {**endpoint, "SecurityGroupIds": ec2._parse_member_list(params, "SecurityGroupId")})
    except AwsError as error:
        _delete(endpoint["VpcEndpointId"], {})
        return ec2._error(error.code, ec2._esc(error.message), error.status)
    return (
        status,
        headers,
        re.sub(
            r"<vpcEndpoint>.*</vpcEndpoint>", lambda _: _fields(endpoint, "vpcEndpoint"), body.decode(), flags=re.DOTALL
        ).encode(),
    )


_original_create = ec2._ACTION_MAP["CreateVpcEndpoint"]


def _delete_endpoints(params: Props) -> Any:
    for identifier in ec2._parse_member_list(params, "VpcEndpointId"):
        _delete(identifier, {})
    return _original_delete(params)


_original_delete = ec2._ACTION_MAP["DeleteVpcEndpoints"]


def install() -> None:
    """Take the type over and tell the rest of what it is."""
    ec2._vpce_fields_xml = _fields
    ec2._ACTION_MAP["CreateVpcEndpoint"] = _create_endpoint
    ec2._ACTION_MAP["DeleteVpcEndpoints"] = _delete_endpoints
    register(
        ENDPOINT,
        create=_create,
        update=_update,
        delete=_delete,
        read=_read,
        reads=("VpcId", "ServiceName", "VpcEndpointType", "SubnetIds", "RouteTableIds", "PrivateDnsEnabled", "Tags"),
        replaces=(
            "ServiceName", "VpcEndpointType", "VpcId", "ServiceNetworkArn", "ResourceConfigurationArn", "ServiceRegion"
        ),
    )  # fmt: skip
