"""Statuses and failures of stacks in plain words, with what to do. Pure.

For internal use of this collection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

READY = frozenset(
    {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"}
)
# Never reached a working state, so nothing of value is in them.
DISCARD = frozenset({"ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"})

_REMEDIES = {
    "ROLLBACK_COMPLETE": "its creation failed and was undone; run again: it is deleted and made anew",
    "ROLLBACK_FAILED": (
        "its creation failed and could not be undone; look at its events, then\n"
        "    aws cloudformation delete-stack --stack-name {name}\n    and run again"
    ),
    "CREATE_FAILED": (
        "its creation failed and was left as it is; look at its events, then\n"
        "    aws cloudformation delete-stack --stack-name {name}\n    and run again"
    ),
    "UPDATE_FAILED": (
        "an update failed and was left half done; undo it, then run again:\n"
        "    aws cloudformation rollback-stack --stack-name {name}"
    ),
    "UPDATE_ROLLBACK_FAILED": (
        "an update failed and its undoing failed too; repair what the events name, then\n"
        "    aws cloudformation continue-update-rollback --stack-name {name}\n    and run again"
    ),
    "IMPORT_ROLLBACK_FAILED": (
        "an import failed and could not be undone; repair what the events name, then\n"
        "    aws cloudformation continue-update-rollback --stack-name {name}"
    ),
    "DELETE_FAILED": (
        "somebody deleted it and something in it would not go; repair what the events name, then\n"
        "    aws cloudformation delete-stack --stack-name {name}"
    ),
}

_IN_PROGRESS = (
    "another operation is under way (somebody else's, or one of yours that was interrupted: CloudFormation carries "
    "on by itself); wait until it is done and run again. It can be watched with\n"
    "    aws cloudformation describe-stack-events --stack-name {name}"
)


def remedy(name: str, status: str) -> str:
    """What to do about a stack in this status, in words; empty when nothing needs doing."""
    if status in READY:
        return ""
    if status.endswith("_IN_PROGRESS"):
        return _IN_PROGRESS.format(name=name)
    return _REMEDIES.get(status, "an unknown status; look at it in the console").format(name=name)


# First match wins. CloudFormation's reasons are the services' own error texts.
_HINTS = {
    r"No export named (?P<what>\S+) found": "the stack that exports {what} does not exist yet; build it first",
    r"Export (?P<what>\S+) cannot be (?:updated|deleted|removed)": "other stacks use {what}; change those first",
    r"not authorized to perform:? ?(?P<what>[\w:*]+)?|AccessDenied|UnauthorizedOperation": (
        "the identity you use lacks a permission {what}; ask the account's owner for it"
    ),
    r"InsufficientInstanceCapacity|insufficient capacity": (
        "AWS has no such machine free there now; try later, the other zone, or another type"
    ),
    r"(?:Limit|Quota)\w*Exceeded|maximum number of|exceeded your|limit exceeded": (
        "a quota of the account is used up; ask for more or remove what nobody uses"
    ),
    r"Address\b.*\bin use|InvalidIPAddress\.InUse": (
        "another network interface holds that address; choose a free one in the machine's `address`"
    ),
    r"does not fall within the subnet": "the address is outside the subnet; correct the machine's `address`",
    r"CIDR .*conflicts|InvalidSubnet\.Conflict": "the range overlaps one that exists; correct platform.network",
    r"may not be terminated|disableApiTermination": (
        "the instance is protected; set its DisableApiTermination to false first"
    ),
    r"AlreadyExists|already exists": (
        "an object of that name exists outside this stack; import it, rename it or remove it"
    ),
    r"InvalidAMIID|image id .*(?:not exist|invalid)|image .*does not exist": (
        "the image is gone or not shared with this account; name the stack in provision_refresh to take the newest"
    ),
    r"Unsupported.*instance type|not supported in your requested Availability|InstanceType.*not (?:supported|valid)": (
        "this machine type is not offered there; choose another type or zone"
    ),
    r"Unrecognized resource types": "this region or endpoint does not know the resource type",
}


def hint(reason: str) -> str:
    """What to do about a failure reason; empty when nothing is known."""
    for pattern, text in _HINTS.items():
        match = re.search(pattern, reason, re.IGNORECASE)
        if match:
            what = match.groupdict().get("what") or ""
            return re.sub(r" +(?=[;,])", "", text.format(what=what.rstrip(".")))
    return ""


# What CloudFormation writes about resources it gave up only because another one failed.
_COLLATERAL = re.compile(r"cancelled|canceled", re.IGNORECASE)


_WRAPPED = re.compile(r'Resource handler returned message: "(?P<inner>.*?)"?(?: \(RequestToken: [^)]*\))?$', re.DOTALL)
_IDS = re.compile(r" \((?:Service|AWS\w+|Amazon\w+): [^()]*\)|, Request ID: [\w-]+")


def plain(reason: str) -> str:
    """A reason without CloudFormation's wrapping and the request ids, which help only AWS."""
    match = _WRAPPED.match(reason)
    return " ".join(_IDS.sub("", match.group("inner") if match else reason).split())


def first_failure(events: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The event that began the trouble.

    events: newest first, as DescribeStackEvents gives them, of one operation.
    """
    failed = [event for event in events if str(event.get("ResourceStatus", "")).endswith("_FAILED")]
    own = [event for event in failed if not _COLLATERAL.search(str(event.get("ResourceStatusReason", "")))]
    return (own or failed or [None])[-1]


def failure_text(name: str, status: str, events: Iterable[Mapping[str, Any]], reason: str = "") -> str:
    """One stack's failure: what failed, why, what to do, and where that leaves the stack."""
    event = first_failure(events)
    if event is None:
        return f"{name}: {status}: {reason or 'no reason given'}{_advice(reason)}\n    {_leaves(name, status)}"
    why = plain(str(event.get("ResourceStatusReason") or "no reason given"))
    where = f"{event.get('LogicalResourceId')} ({event.get('ResourceType')})"
    return f"{name}: {where}: {why}{_advice(why)}\n    {_leaves(name, status)}"


def _advice(reason: str) -> str:
    text = hint(reason)
    return f"\n    What to do: {text}." if text else ""


def _leaves(name: str, status: str) -> str:
    if status == "UPDATE_ROLLBACK_COMPLETE":
        return "The stack is as it was before."
    text = remedy(name, status)
    return f"The stack is now {status}: {text}." if text else f"The stack is now {status}."
