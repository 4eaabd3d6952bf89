"""How the extension plugs into MiniStack's CloudFormation engine and EC2 API.

MiniStack keeps its tables private, so every use of them is in this module or next to the
one handler that needs it; the contract tests tell when a new version moved something.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import ec2
from ministack.services.cloudformation import drift, provisioners

Props = dict[str, Any]
Result = tuple[str, dict[str, Any]]
Response = tuple[int, dict[str, str], bytes]


class AwsError(Exception):
    """An error as AWS words it: raised by handlers, worn by events and API answers alike."""

    def __init__(self, code: str, message: str, service: str = "Ec2", status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.service, self.status = code, message, service, status

    def __str__(self) -> str:
        """The ResourceStatusReason CloudFormation writes for a failed resource handler."""
        return (
            f'Resource handler returned message: "{self.message} (Service: {self.service}, '
            f'Status Code: {self.status}, Request ID: {new_uuid()})" '
            f"(RequestToken: {new_uuid()}, HandlerErrorCode: {_handler_code(self.code)})"
        )


def _handler_code(code: str) -> str:
    if "NotFound" in code:
        return "NotFound"
    return "AlreadyExists" if "Duplicate" in code or "InUse" in code else "InvalidRequest"


def register(
    rtype: str,
    *,
    create: Callable[[str, Props, str], Result],
    delete: Callable[[str, Props], None],
    update: Callable[[str, Props, Props], dict[str, Any] | None] | None = None,
    read: Callable[[str, Props], Props | None] | None = None,
    reads: Iterable[str] = (),
    replaces: Iterable[str] = (),
    may_replace: Iterable[str] = (),
    tags: bool = True,
    snapshot: Callable[[str, Props], Any] | None = None,
) -> None:
    """Add a CloudFormation type, or take one over.

    ``update`` returns the attributes of the resource changed in place, or None when only a
    new resource will do. ``replaces`` and ``may_replace`` are the schema's createOnly and
    conditionalCreateOnly properties: the change set's Replacement comes from them.
    ``read`` gives the live properties for drift (None: gone), ``reads`` names those it covers.
    """

    def update_or_replace(
        physical_id: str, old: Props, new: Props, stack_name: str, logical_id: str | None = None
    ) -> Result:
        attributes = update(physical_id, old, new) if update else None
        if attributes is None:
            return provisioners._replace_resource(rtype, physical_id, old, new, stack_name, logical_id)
        return physical_id, attributes

    handlers: dict[str, Any] = {
        "create": create,
        "delete": delete,
        "update": update_or_replace,
        "update_with_logical_id": True,
    }
    if snapshot:
        handlers["snapshot"] = snapshot
    provisioners._RESOURCE_HANDLERS[rtype] = handlers
    replacement(rtype, replaces, may_replace)
    if tags:
        provisioners._STACK_TAG_PROPERTY[rtype] = ("Tags", "list")
    if read:
        drift._DRIFT_READERS[rtype] = (read, frozenset(reads))


def replacement(rtype: str, replaces: Iterable[str], may_replace: Iterable[str] = ()) -> None:
    """Say which properties of a type replace the resource, for change sets and updates."""
    provisioners._REPLACING_PROPERTIES[rtype] = tuple(replaces)
    provisioners._CONDITIONALLY_REPLACING_PROPERTIES[rtype] = tuple(may_replace)


def truth(value: Any) -> bool:
    """A template boolean: parameters arrive as the strings "true" and "false"."""
    return str(value).lower() == "true"


def changed(old: Props, new: Props) -> set[str]:
    """Names of the top-level properties that differ."""
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def set_tags(resource_id: str, new: Props, old: Props | None = None) -> None:
    """Write a resource's template tags; tags added through the API stay."""
    provisioners._ec2_apply_tags(resource_id, new, old)


def tags_of(resource_id: str) -> list[dict[str, str]]:
    """The tags EC2 keeps for a resource, as a template writes them."""
    return list(ec2._tags.get(resource_id) or [])


def arn(service: str, resource: str, *, region: bool = True) -> str:
    """An ARN in the account and region of the running request."""
    return f"arn:aws:{service}:{get_region() if region else ''}:{get_account_id()}:{resource}"


def ec2_action(name: str) -> Callable[[Callable[[Props], str]], Callable[[Props], str]]:
    """Serve one EC2 API action: the function returns the inner XML or raises AwsError."""

    def install(function: Callable[[Props], str]) -> Callable[[Props], str]:
        def handler(params: Props) -> Response:
            try:
                return ec2._xml(200, f"{name}Response", function(params))
            except AwsError as error:
                return ec2._error(error.code, ec2._esc(error.message), error.status)

        ec2._ACTION_MAP[name] = handler
        return function

    return install


def ec2_guard(name: str) -> Callable[[Callable[[Props], None]], Callable[[Props], None]]:
    """Run a check (raising AwsError) before MiniStack's own handler of an EC2 action."""

    def install(check: Callable[[Props], None]) -> Callable[[Props], None]:
        original = ec2._ACTION_MAP[name]

        def handler(params: Props) -> Response:
            try:
                check(params)
            except AwsError as error:
                return ec2._error(error.code, ec2._esc(error.message), error.status)
            return original(params)

        ec2._ACTION_MAP[name] = handler
        return check

    return install


def ec2_call(name: str, params: Props) -> str:
    """Run an EC2 action in process and return its XML.

    An HTTP request to ourselves would deadlock: handlers run on the server's event loop.
    """
    status, _headers, body = ec2._ACTION_MAP[name]({k: [str(v)] for k, v in params.items()})
    text = body.decode()
    if status >= 400:
        raise AwsError(xml_value(text, "Code"), xml_value(text, "Message"), status=status)
    return text


def xml_value(text: str, tag: str) -> str:
    """The text of the first ``tag`` in a flat piece of XML, or an empty string."""
    match = re.search(rf"<{tag}>([^<]*)</{tag}>", text)
    return match[1] if match else ""
