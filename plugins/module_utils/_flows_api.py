"""The rules of an environment's groups and of its flows stack: read-only calls, a page at a time.

For internal use of this collection.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from itertools import batched
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _audit_trail, _aws, _flows_request
from ansible_collections.atelier.datalab.plugins.module_utils._audit_records import moment

_FILTER_VALUES = 200  # of one filter, EC2's limit
_GONE = ("DELETE_COMPLETE", "CREATE_FAILED")
_EVENTS = ("AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress", "ModifySecurityGroupRules")


def groups(cloudformation: Any, environment: str) -> dict[str, str]:
    """The environment's security groups, by id: which end of a flow each is."""
    exports = _pages(cloudformation, "list_exports", "Exports")
    ends = ((one["Value"], _flows_request.end_of(environment, one["Name"])) for one in exports)
    return {group: end for group, end in ends if end}


def held(cloudformation: Any, environment: str) -> dict[_flows_request.Rule, str]:
    """The rules that the stack of the flows has made; none where there is no stack."""
    stack = f"{environment}-flows"
    try:
        body = cloudformation.get_template(StackName=stack)["TemplateBody"]
    except _aws.AWS_ERRORS as error:
        if _aws.code(error) == "ValidationError" and "does not exist" in _aws.sentence(error):
            return {}
        raise
    made = [
        one["LogicalResourceId"]
        for one in _pages(cloudformation, "list_stack_resources", "StackResourceSummaries", StackName=stack)
        if one["ResourceStatus"] not in _GONE
    ]
    template = json.loads(body) if isinstance(body, str) else body
    return _flows_request.of_template(environment, template, made)


def rules(ec2: Any, ids: Collection[str]) -> Iterator[dict[str, Any]]:
    """The rules of these groups."""
    for some in batched(sorted(ids), _FILTER_VALUES):
        wanted = [{"Name": "group-id", "Values": list(some)}]
        # Without a size of pages EC2 answers with everything at once.
        yield from _pages(
            ec2,
            "describe_security_group_rules",
            "SecurityGroupRules",
            Filters=wanted,
            PaginationConfig={"PageSize": 500},
        )


def makers(cloudtrail: Any, ids: Collection[str]) -> dict[str, dict[str, str]]:
    """Who made or last changed these rules, and when; only where an event names the rule's own id."""
    found: dict[str, dict[str, str]] = {}
    for name in _EVENTS:
        asked = [{"AttributeKey": "EventName", "AttributeValue": name}]
        for event in _pages(cloudtrail, "lookup_events", "Events", LookupAttributes=asked):
            detail = json.loads(event.get("CloudTrailEvent") or "{}")
            if detail.get("errorCode"):
                continue  # tried, refused
            at = moment(event.get("EventTime"))
            for rule in set(re.findall(r"sgr-[0-9a-f]+", event.get("CloudTrailEvent") or "")) & set(ids):
                if at >= found.get(rule, {}).get("at", ""):
                    found[rule] = {"by": _audit_trail.who(event, detail), "at": at}
    return found


def _pages(client: Any, operation: str, key: str, **request: Any) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator(operation).paginate(**request):
        yield from page.get(key) or []
