"""EC2 as bytes on the wire: pages made when they are asked for, so that what is measured is ours and botocore's alone.

Hooked into botocore before it sends, so that its own parsers, paginators and retries are at work.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from ansible_collections.atelier.datalab.plugins.module_utils import _audit_api
from botocore.awsrequest import AWSResponse

ACCOUNT = "123456789012"
NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
IDENTITY = (
    "<GetCallerIdentityResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><GetCallerIdentityResult>"
    f"<Account>{ACCOUNT}</Account><Arn>arn:aws:iam::{ACCOUNT}:user/x</Arn><UserId>x</UserId>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
)
STACKS = "<DescribeStacksResponse><DescribeStacksResult><Stacks/></DescribeStacksResult></DescribeStacksResponse>"
DATABASES = (
    "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances/></DescribeDBInstancesResult>"
    "</DescribeDBInstancesResponse>"
)
BUCKETS = "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"
ZONES = "<ListHostedZonesResponse><HostedZones/><IsTruncated>false</IsTruncated></ListHostedZonesResponse>"


def page_memory(patch: Any) -> list[int]:
    """A list that gets the traced bytes in use at each page of instances, once tracemalloc is started.

    patch: has setattr(object, name, value), like pytest's monkeypatch.
    """
    held: list[int] = []
    put = _audit_api.Gatherer._put

    def measured(gatherer: Any, scope: Any, region: str, kind: str, found: list[Any]) -> None:
        put(gatherer, scope, region, kind, found)
        if kind == "instance":
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])

    patch.setattr(_audit_api.Gatherer, "_put", measured)
    return held


class Body:
    """What urllib3 would hand to botocore."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self._content

    def read(self, *_: Any, **__: Any) -> bytes:
        return self._content


class Wire:
    """An account of `count` instances, each with a volume and an interface.

    refused: EC2 calls that answer AccessDenied. throttled: a call that is throttled twice before it answers.
    """

    def __init__(self, count: int, *, refused: frozenset[str] = frozenset(), throttled: str = "") -> None:
        self.count = count
        self.refused = refused
        self.throttled = throttled
        self.asked: Counter[str] = Counter()

    def hook(self, client: Any) -> Any:
        """Let this client talk to us."""
        client.meta.events.register("before-send.*", self.answer)
        return client

    def answer(self, request: Any, **_: Any) -> AWSResponse:
        """One answer."""
        body = request.body.decode() if isinstance(request.body, bytes) else (request.body or "")
        query = {key: values[0] for key, values in parse_qs(body).items()}
        action = query.get("Action") or next((one for one in ("s3", "route53", "cloudtrail") if one in request.url), "")
        self.asked[action] += 1
        if action == self.throttled and self.asked[action] <= 2:
            return _error(request.url, 503, "RequestLimitExceeded")
        if action in self.refused:
            return _error(request.url, 403, "UnauthorizedOperation")
        return _response(request.url, 200, self._content(action, query))

    def _content(self, action: str, query: dict[str, str]) -> str:
        plain = {
            "GetCallerIdentity": IDENTITY, "DescribeStacks": STACKS, "DescribeDBInstances": DATABASES, "s3": BUCKETS,
            "route53": ZONES, "cloudtrail": '{"Events": []}',
        }  # fmt: skip
        if action in plain:
            return plain[action]
        name, item = _ITEMS.get(action, ("item", None))
        if item is None:
            return f"<{action}Response xmlns='{NAMESPACE}'/>"
        start, size = int(query.get("NextToken", 0)), int(query["MaxResults"])
        end = min(start + size, self.count)
        items = "".join(f"<item>{item(number)}</item>" for number in range(start, end))
        token = f"<nextToken>{end}</nextToken>" if end < self.count else ""
        return f"<{action}Response xmlns='{NAMESPACE}'><{name}>{items}</{name}>{token}</{action}Response>"


def _tags(number: int) -> str:
    pairs = {
        "Name": f"prod-alpha-workstation-{number}", "Project": "alpha", "Owner": "alice", "Role": "workstation",
        "Environment": "prod", "CostCenter": "CC-1042", "Schedule": "office",
    }  # fmt: skip
    items = "".join(f"<item><key>{key}</key><value>{value}</value></item>" for key, value in pairs.items())
    return f"<tagSet>{items}</tagSet>"


def _address(number: int) -> str:
    return f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"


def _instance(number: int) -> str:
    return (
        f"<reservationId>r-{number:017x}</reservationId><instancesSet><item><instanceId>i-{number:017x}</instanceId>"
        "<imageId>ami-0123456789abcdef0</imageId><instanceState><name>running</name></instanceState>"
        f"<instanceType>m5.large</instanceType><privateIpAddress>{_address(number)}</privateIpAddress>"
        "<subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId><launchTime>2026-01-01T00:00:00.000Z</launchTime>"
        "<metadataOptions><httpTokens>optional</httpTokens></metadataOptions>"
        "<groupSet><item><groupId>sg-1</groupId><groupName>one</groupName></item></groupSet><blockDeviceMapping><item>"
        f"<deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-{number:017x}</volumeId></ebs></item></blockDeviceMapping>"
        f"{_tags(number)}</item></instancesSet>"
    )


def _volume(number: int) -> str:
    return (
        f"<volumeId>vol-{number:017x}</volumeId><size>100</size><volumeType>gp3</volumeType><encrypted>true</encrypted>"
        "<status>in-use</status><availabilityZone>eu-west-1a</availabilityZone><attachmentSet><item>"
        f"<instanceId>i-{number:017x}</instanceId></item></attachmentSet>{_tags(number)}"
    )


def _interface(number: int) -> str:
    return (
        f"<networkInterfaceId>eni-{number:017x}</networkInterfaceId><privateIpAddress>{_address(number)}"
        "</privateIpAddress><groupSet><item><groupId>sg-1</groupId></item></groupSet>"
        f"<attachment><instanceId>i-{number:017x}</instanceId></attachment>"
    )


_ITEMS: dict[str, tuple[str, Callable[[int], str]]] = {
    "DescribeInstances": ("reservationSet", _instance),
    "DescribeVolumes": ("volumeSet", _volume),
    "DescribeNetworkInterfaces": ("networkInterfaceSet", _interface),
}


def _response(url: str, status: int, content: str) -> AWSResponse:
    return AWSResponse(url, status, {}, Body(content.encode()))


def _error(url: str, status: int, code: str) -> AWSResponse:
    text = f"<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors></Response>"
    return _response(url, status, text)
