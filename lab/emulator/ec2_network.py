"""AWS::EC2::NatGateway and AWS::EC2::FlowLog."""

from __future__ import annotations

import re
from typing import Any

from ministack.services import ec2

from lab.emulator._engine import AwsError, Props, Result, ec2_call, register, set_tags, tags_of, xml_value

NAT_GATEWAY = "AWS::EC2::NatGateway"
FLOW_LOG = "AWS::EC2::FlowLog"
_FLOW_LOG_FIXED = (
    "DeliverCrossAccountRole",
    "DeliverLogsPermissionArn",
    "LogGroupName",
    "LogDestination",
    "ResourceId",
    "TrafficType",
    "LogDestinationType",
    "ResourceType",
    "LogFormat",
    "MaxAggregationInterval",
    "DestinationOptions",
)
_FLOW_LOG_EXTRA = ("DeliverLogsPermissionArn", "LogFormat", "LogGroupName", "MaxAggregationInterval")


def _nat_create(_logical_id: str, props: Props, _stack: str) -> Result:
    if props.get("SubnetId") not in ec2._subnets:
        raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{props.get('SubnetId')}' does not exist")
    allocation = props.get("AllocationId")
    if props.get("ConnectivityType", "public") == "public" and allocation not in ec2._addresses:
        raise AwsError("InvalidAllocationID.NotFound", f"The allocation ID '{allocation}' does not exist")
    params = {k: props[k] for k in ("SubnetId", "AllocationId", "ConnectivityType") if props.get(k)}
    gateway = xml_value(ec2_call("CreateNatGateway", params), "natGatewayId")
    set_tags(gateway, props)
    return gateway, {"NatGatewayId": gateway}


def _nat(physical_id: str) -> Props | None:
    gateway = ec2._nat_gateways.get(physical_id)
    return gateway if gateway and gateway["State"] == "available" else None


def _nat_update(physical_id: str, old: Props, new: Props) -> dict[str, Any] | None:
    if _nat(physical_id) is None:
        return None
    set_tags(physical_id, new, old)
    return {"NatGatewayId": physical_id}


def _nat_delete(physical_id: str, _props: Props) -> None:
    if _nat(physical_id):
        ec2_call("DeleteNatGateway", {"NatGatewayId": physical_id})


def _nat_read(physical_id: str, _props: Props) -> Props | None:
    gateway = _nat(physical_id)
    if gateway is None:
        return None
    return {**{k: gateway[k] for k in ("SubnetId", "AllocationId", "ConnectivityType")}, "Tags": tags_of(physical_id)}


def _describe_nat_gateways(params: Props) -> Any:
    status, headers, body = _original_describe_nat_gateways(params)
    pattern = r"<natGatewayId>([^<]+)</natGatewayId>.*?<natGatewayAddressSet/>"
    return status, headers, re.sub(pattern, _with_addresses, body.decode(), flags=re.DOTALL).encode()


def _with_addresses(match: re.Match[str]) -> str:
    allocation = ec2._nat_gateways[match[1]].get("AllocationId")
    address = ec2._addresses.get(allocation or "")
    if address is None:
        return match[0]
    item = f"<allocationId>{allocation}</allocationId><publicIp>{address['PublicIp']}</publicIp>"
    full = f"<natGatewayAddressSet><item>{item}</item></natGatewayAddressSet>"
    return match[0].replace("<natGatewayAddressSet/>", full)


_original_describe_nat_gateways = ec2._ACTION_MAP["DescribeNatGateways"]


def _flow_log_create(_logical_id: str, props: Props, _stack: str) -> Result:
    names = ("ResourceType", "TrafficType", "LogDestinationType", "LogDestination", "LogGroupName")
    params = {k: props[k] for k in names if props.get(k)}
    ec2_call("CreateFlowLogs", {**params, "ResourceId.1": props["ResourceId"]})
    identifier = list(ec2._flow_logs.keys())[-1]
    ec2._flow_logs[identifier].update({k: props[k] for k in _FLOW_LOG_EXTRA if props.get(k)})
    set_tags(identifier, props)
    return identifier, {"Id": identifier}


def _flow_log_update(physical_id: str, old: Props, new: Props) -> dict[str, Any] | None:
    if physical_id not in ec2._flow_logs:
        return None
    set_tags(physical_id, new, old)
    return {"Id": physical_id}


def _flow_log_delete(physical_id: str, _props: Props) -> None:
    ec2_call("DeleteFlowLogs", {"FlowLogId.1": physical_id})


def _flow_log_read(physical_id: str, _props: Props) -> Props | None:
    record = ec2._flow_logs.get(physical_id)
    if record is None:
        return None
    names = ("ResourceId", "ResourceType", "TrafficType", "LogDestinationType", *_FLOW_LOG_EXTRA)
    return {**{k: record[k] for k in names if k in record}, "Tags": tags_of(physical_id)}


def _describe_flow_logs(params: Props) -> Any:
    status, headers, body = _original_describe_flow_logs(params)
    return status, headers, re.sub(r"<flowLogId>([^<]+)</flowLogId>", _with_details, body.decode()).encode()


def _with_details(match: re.Match[str]) -> str:
    record = ec2._flow_logs[match[1]]
    details = {f"{k[0].lower()}{k[1:]}": record[k] for k in _FLOW_LOG_EXTRA if k in record}
    return match[0] + "".join(f"<{k}>{ec2._esc(str(v))}</{k}>" for k, v in details.items())


_original_describe_flow_logs = ec2._ACTION_MAP["DescribeFlowLogs"]


def install() -> None:
    """Register the types and the fuller answers."""
    ec2._ACTION_MAP["DescribeNatGateways"] = _describe_nat_gateways
    ec2._ACTION_MAP["DescribeFlowLogs"] = _describe_flow_logs
    register(
        NAT_GATEWAY,
        create=_nat_create,
        update=_nat_update,
        delete=_nat_delete,
        read=_nat_read,
        reads=("SubnetId", "AllocationId", "ConnectivityType", "Tags"),
        replaces=("VpcId", "SubnetId", "ConnectivityType", "AllocationId", "PrivateIpAddress", "AvailabilityMode"),
    )
    register(
        FLOW_LOG,
        create=_flow_log_create,
        update=_flow_log_update,
        delete=_flow_log_delete,
        read=_flow_log_read,
        reads=(
            "ResourceId",
            "ResourceType",
            "TrafficType",
            "LogDestinationType",
            "LogGroupName",
            "DeliverLogsPermissionArn",
            "MaxAggregationInterval",
            "Tags",
        ),
        replaces=_FLOW_LOG_FIXED,
    )
