"""Reads an account, page by page, into files. Reading calls only; a refusal becomes a gap and the rest goes on.

For internal use of this collection. What to look for in a record is said in `_audit_records`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _audit_records as records
from ansible_collections.atelier.datalab.plugins.module_utils import _audit_trail as trail
from ansible_collections.atelier.datalab.plugins.module_utils import _aws
from ansible_collections.atelier.datalab.plugins.module_utils._audit_store import Store

Clients = Callable[[str, str], Any]  # (service, region) -> client
NO_TRAIL = "CloudTrail not available"
_BATCH = 100  # ids in one filter of DescribeImages; AWS takes 200


@dataclass(frozen=True)
class Source:
    """One listing: which call, how large a page, who reads it."""

    kind: str
    service: str
    call: str
    read: Callable[[Mapping[str, Any]], Iterator[dict[str, Any]]]
    page: int
    request: Mapping[str, Any] = field(default_factory=dict)


REGIONAL = (
    Source("instance", "ec2", "describe_instances", records.instances, 200),
    Source("volume", "ec2", "describe_volumes", records.volumes, 500),
    Source("snapshot", "ec2", "describe_snapshots", records.snapshots, 500, {"OwnerIds": ["self"]}),
    Source("address", "ec2", "describe_addresses", records.addresses, 0),
    Source("nat", "ec2", "describe_nat_gateways", records.nats, 500),
    Source("interface", "ec2", "describe_network_interfaces", records.interfaces, 500),
    Source("group", "ec2", "describe_security_groups", records.groups, 500),
    Source("subnet", "ec2", "describe_subnets", records.subnets, 500),
    Source("database", "rds", "describe_db_instances", records.databases, 100),
)
STACKS = Source("stack", "cloudformation", "describe_stacks", records.stacks, 0)
BUCKETS = Source("bucket", "s3", "list_buckets", records.buckets, 500)


@dataclass(frozen=True)
class Scope:
    """An account and where to look in it."""

    account: str
    environment: str
    regions: tuple[str, ...]


class Gatherer:
    """Walks through one account after another."""

    def __init__(self, store: Store, *, cloudtrail: bool = True) -> None:
        self._store = store
        self._cloudtrail = cloudtrail
        self.gaps: list[dict[str, str]] = []
        self.pages = 0

    def account(self, scope: Scope, clients: Clients) -> None:
        """Everything of one account. clients: made with the credentials of this account."""
        first = scope.regions[0]
        if not self._is_account(scope, clients, first):
            return
        for region in scope.regions:
            self._region(scope, clients, region)
        with _Gap(self, scope, "global", "bucket"):
            self._buckets(scope, clients("s3", first))
        with _Gap(self, scope, "global", "record"):
            self._names(scope, clients("route53", first))

    def gap(self, scope: Scope, region: str, kind: str, reason: str) -> None:
        """Note what could not be read, and why."""
        self.gaps.append(
            {
                "account": scope.account,
                "environment": scope.environment,
                "region": region,
                "kind": kind,
                "reason": reason,
            }
        )

    def _is_account(self, scope: Scope, clients: Clients, region: str) -> bool:
        with _Gap(self, scope, "all", "all"):
            caller = clients("sts", region).get_caller_identity()
            if caller["Account"] == scope.account:
                return True
            self.gap(
                scope,
                "all",
                "all",
                f"these credentials are of account {caller['Account']} ({caller['Arn']}); give role_arn of a role in "
                f"{scope.account}, or credentials of it",
            )
        return False

    def _region(self, scope: Scope, clients: Clients, region: str) -> None:
        images: set[str] = set()
        for source in REGIONAL:
            with _Gap(self, scope, region, source.kind):
                for found in self._pages(source, clients(source.service, region)):
                    images |= {one["image"] for one in found if source.kind == "instance" and one["image"]}
                    self._put(scope, region, source.kind, found)
        with _Gap(self, scope, region, "image"):
            self._images(scope, region, clients("ec2", region), sorted(images))
        with _Gap(self, scope, region, "stack"):
            self._stacks(scope, region, clients("cloudformation", region))
        if self._cloudtrail:
            with _Gap(self, scope, region, "creation", NO_TRAIL):
                self._creations(scope, region, clients("cloudtrail", region))

    def _put(self, scope: Scope, region: str, kind: str, found: list[dict[str, Any]]) -> None:
        where = {"account": scope.account, "environment": scope.environment, "region": region}
        self._store.write(kind, (one | where for one in found))

    def _pages(self, source: Source, client: Any, **request: Any) -> Iterator[list[dict[str, Any]]]:
        """Pages of records; only one page is held at a time."""
        asked = {**source.request, **request}
        if client.can_paginate(source.call):
            config = {"PageSize": source.page} if source.page else {}
            for page in client.get_paginator(source.call).paginate(**asked, PaginationConfig=config):
                self.pages += 1
                yield list(source.read(page))
        else:
            self.pages += 1
            yield list(source.read(getattr(client, source.call)(**asked)))

    def _images(self, scope: Scope, region: str, client: Any, ids: list[str]) -> None:
        # By filter, not by ImageIds: an image that is gone must not fail the call for all others.
        for batch in itertools.batched(ids, _BATCH):
            page = client.describe_images(Filters=[{"Name": "image-id", "Values": list(batch)}])
            self._put(scope, region, "image", list(records.images(page)))

    def _stacks(self, scope: Scope, region: str, client: Any) -> None:
        for found in self._pages(STACKS, client):
            self._put(scope, region, "stack", found)
            for stack in found:
                for page in client.get_paginator("list_stack_resources").paginate(StackName=stack["id"]):
                    held = [one | {"stack": stack["name"]} for one in records.members(page)]
                    self._put(scope, region, "member", held)

    def _creations(self, scope: Scope, region: str, client: Any) -> None:
        for event in trail.CREATIONS:
            asked = [{"AttributeKey": "EventName", "AttributeValue": event}]
            pages = client.get_paginator("lookup_events").paginate(LookupAttributes=asked)
            for page in pages:
                self._put(scope, region, "creation", list(trail.creations(page)))

    def _buckets(self, scope: Scope, client: Any) -> None:
        for found in self._pages(BUCKETS, client):
            for bucket in found:
                where = self._of_bucket(scope, bucket["id"], client.get_bucket_location) or {}
                answer = self._of_bucket(scope, bucket["id"], client.get_bucket_tagging)
                bucket["tags"] = records.tags_of(answer or {}, "TagSet")
                bucket["tags_known"] = answer is not None
                self._put(scope, where.get("LocationConstraint") or "us-east-1", "bucket", [bucket])

    def _of_bucket(self, scope: Scope, bucket: str, call: Callable[..., Any]) -> dict[str, Any] | None:
        """An answer about one bucket; None, and a gap, when its policy refuses us."""
        try:
            return call(Bucket=bucket)
        except _aws.AWS_ERRORS as error:
            if _aws.code(error) == "NoSuchTagSet":
                return {}
            self.gap(scope, "global", f"bucket {bucket}", _aws.sentence(error))
            return None

    def _names(self, scope: Scope, client: Any) -> None:
        for page in client.get_paginator("list_hosted_zones").paginate():
            for zone in page["HostedZones"]:
                pages = client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone["Id"])
                for found in pages:
                    self._put(scope, "global", "record", list(records.names(found)))


class _Gap:
    """Turns an error of AWS within its block into a gap of the report."""

    def __init__(self, gatherer: Gatherer, scope: Scope, region: str, kind: str, head: str = "") -> None:
        self._note = lambda reason: gatherer.gap(scope, region, kind, f"{head}: {reason}" if head else reason)

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, _aws.AWS_ERRORS):
            self._note(_aws.sentence(error))
            return True
        return False
