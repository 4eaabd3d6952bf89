"""Who made what, from pages of CloudTrail's LookupEvents. Pure.

For internal use of this collection. CloudTrail's event history reaches back 90 days; older creations stay unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._audit_records import moment

# Event -> the kinds of resource it makes, by the prefix of their ids; an empty prefix takes the name as it is.
CREATIONS = {
    "RunInstances": ("i-", "vol-"),
    "CreateVolume": ("vol-",),
    "AllocateAddress": ("eipalloc-",),
    "CreateSecurityGroup": ("sg-",),
    "CreateSnapshot": ("snap-",),
    "CreateDBInstance": ("",),
    "CreateBucket": ("",),
}
# Where the answer of an event holds the ids, for those that CloudTrail does not list under Resources.
_ANSWERS = ("instanceId", "volumeId", "allocationId", "groupId", "snapshotId")


def creations(page: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One record for each resource that an event of this page made."""
    for event in page.get("Events") or []:
        detail = _detail(event)
        if detail.get("errorCode"):
            continue  # tried, refused: nothing was made
        prefixes = CREATIONS.get(event.get("EventName", ""), ())
        for resource in sorted(_named(event, detail)):
            if any(resource.startswith(prefix) for prefix in prefixes):
                yield {
                    "kind": "creation",
                    "id": resource,
                    "by": who(event, detail),
                    "at": moment(event.get("EventTime")),
                    "event": event["EventName"],
                }


def _detail(event: Mapping[str, Any]) -> dict[str, Any]:
    try:
        detail = json.loads(event.get("CloudTrailEvent") or "{}")
    except ValueError:
        return {}
    return detail if isinstance(detail, dict) else {}


def _named(event: Mapping[str, Any], detail: Mapping[str, Any]) -> set[str]:
    found = {one["ResourceName"] for one in event.get("Resources") or [] if one.get("ResourceName")}
    answer = detail.get("responseElements") or {}
    items = ((answer.get("instancesSet") or {}).get("items")) or []
    return found | {part[key] for part in [answer, *items] for key in _ANSWERS if isinstance(part.get(key), str)}


def who(event: Mapping[str, Any], detail: Mapping[str, Any]) -> str:
    """The person or service behind an event: of an assumed role the session's name, which is the person's."""
    identity = detail.get("userIdentity") or {}
    if identity.get("invokedBy"):
        return str(identity["invokedBy"])
    if identity.get("type") == "AssumedRole":
        return str(identity.get("principalId", "")).partition(":")[2] or str(event.get("Username") or "")
    return str(identity.get("userName") or event.get("Username") or identity.get("type") or "")
