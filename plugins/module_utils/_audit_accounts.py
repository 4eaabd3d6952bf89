"""Clients of several accounts, each by its role.

For internal use of this collection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _aws

OPTIONS = {
    "account": {"type": "str", "required": True},
    "environment": {"type": "str", "required": True},
    "regions": {"type": "list", "elements": "str", "required": True},
    "role_arn": {"type": "str"},
    "external_id": {"type": "str"},
}


def clients(module: Any, entry: dict[str, Any], session: str) -> Callable[[str, str], Any]:
    """(service, region) -> client, with the credentials of the entry's role; with the module's own without a role.

    session: how CloudTrail will call us. Raises AWS_ERRORS when the role is refused.
    """
    own: dict[str, Any] = {}
    if entry["role_arn"]:
        extra = {"ExternalId": entry["external_id"]} if entry["external_id"] else {}
        sts = _aws.client(module, "sts", region=entry["regions"][0])
        given = sts.assume_role(RoleArn=entry["role_arn"], RoleSessionName=session, **extra)["Credentials"]
        own = {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
            "profile_name": None,
        }
    return lambda service, region: _aws.client(module, service, region=region, **own)
