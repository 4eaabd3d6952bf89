"""The CloudFormation calls that converging stacks needs. Every method is one or a few API calls, no decisions.

For internal use of this collection.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _aws, _stacks_template
from ansible_collections.atelier.datalab.plugins.module_utils._stacks import Existing, StacksError, Step

_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


def require_account(sts: Any, account: str, environment: str) -> None:
    """Raise StacksError when the credentials belong to another account."""
    caller = sts.get_caller_identity()
    if caller["Account"] != account:
        raise StacksError(
            f"These credentials are of account {caller['Account']} ({caller['Arn']}), but platform.account of "
            f"{environment} is {account}. Nothing was changed. Use credentials of that account."
        )


class TemplateCache:
    """Parsed templates of existing stacks, kept in a file between runs.

    The key holds the stack's id and the time of its last update, so that whatever was changed, by whomever,
    is read again. A template that many stacks share is kept once.
    """

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None
        self._templates: dict[str, dict[str, Any]] = {}
        self._digests: dict[str, str] = {}
        self._used: dict[str, str] = {}
        if self._path:
            with suppress(OSError, ValueError, KeyError, TypeError):
                known = json.loads(self._path.read_text(encoding="utf-8"))
                self._templates, self._digests = dict(known["templates"]), dict(known["stacks"])

    @staticmethod
    def _key(stack: Existing) -> str:
        return f"{stack.id} {stack.updated}"

    def get(self, stack: Existing) -> dict[str, Any] | None:
        """The parsed template, or None."""
        digest = self._digests.get(self._key(stack), "")
        if digest in self._templates:
            self._used[self._key(stack)] = digest
        return self._templates.get(digest)

    def put(self, stack: Existing, template: dict[str, Any]) -> None:
        """Remember a parsed template."""
        digest = _stacks_template.digest(template)
        self._templates[digest] = template
        self._used[self._key(stack)] = digest

    def save(self) -> None:
        """Write what this run used; what no run uses any more is dropped."""
        if not self._path or self._used == self._digests:
            return
        templates = {digest: self._templates[digest] for digest in set(self._used.values())}
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part = self._path.with_suffix(f".{uuid.uuid4().hex}")
            part.write_text(json.dumps({"templates": templates, "stacks": self._used}), encoding="utf-8")
            part.replace(self._path)


class StackApi:
    """CloudFormation of one account and region."""

    def __init__(self, client: Any, cache: TemplateCache, timeout: float, clock: Callable[[float], None] = time.sleep):
        self._client = client
        self._cache = cache
        self._timeout = timeout
        self._sleep = clock

    def existing(self) -> dict[str, Existing]:
        """All stacks of the account and region by name, in one listing; deleted ones do not appear."""
        pages = self._client.get_paginator("describe_stacks").paginate()
        return {stack["StackName"]: _existing(stack) for page in pages for stack in page["Stacks"]}

    def one(self, name: str) -> Existing | None:
        """One stack by name or id, or None when there is none."""
        try:
            found = self._client.describe_stacks(StackName=name)["Stacks"]
        except _aws.ClientError as error:
            if _aws.code(error) == "ValidationError" and "does not exist" in str(error):
                return None
            raise
        return _existing(found[0])

    def template(self, stack: Existing) -> dict[str, Any]:
        """The parsed template of a stack."""
        template = self._cache.get(stack)
        if template is None:
            body = self._client.get_template(StackName=stack.id, TemplateStage="Original")["TemplateBody"]
            template = _stacks_template.parse(body)
            self._cache.put(stack, template)
        return template

    def events(self, stack_id: str) -> list[dict[str, Any]]:
        """Events of the stack's last operation, newest first."""
        events: list[dict[str, Any]] = []
        for page in self._client.get_paginator("describe_stack_events").paginate(StackName=stack_id):
            for event in page["StackEvents"]:
                events.append(event)
                if _begins_operation(event):
                    return events
        return events

    def create(self, step: Step) -> str:
        """Start creating a stack; its id."""
        stack = step.wanted
        return self._client.create_stack(
            StackName=stack.name,
            TemplateBody=stack.body,
            Parameters=_parameters(step),
            Tags=_tags(stack.tags),
            Capabilities=_CAPABILITIES,
            EnableTerminationProtection=stack.protected,
            OnFailure="ROLLBACK",
        )["StackId"]

    def delete(self, stack: Existing) -> None:
        """Delete a stack that never worked, and wait until it is gone."""
        if stack.protected:
            self.protect(stack.id, protected=False)
        self._client.delete_stack(StackName=stack.id)
        self.wait(stack.id)

    def protect(self, stack_id: str, *, protected: bool) -> None:
        """Set termination protection."""
        self._client.update_termination_protection(StackName=stack_id, EnableTerminationProtection=protected)

    def change_set(self, stack_id: str, step: Step) -> tuple[str, list[dict[str, Any]]] | None:
        """Make a change set for an existing stack: its id and changes, or None when nothing would change.

        Raises StacksError when CloudFormation cannot make it.
        """
        stack = step.wanted
        made = self._client.create_change_set(
            StackName=stack_id,
            ChangeSetName=f"datalab-{uuid.uuid4().hex}",
            ChangeSetType="UPDATE",
            TemplateBody=stack.body,
            Parameters=_parameters(step),
            Tags=_tags(stack.tags),
            Capabilities=_CAPABILITIES,
        )["Id"]
        try:
            return self._described(stack.name, made)
        except BaseException:
            self.drop_change_set(made)
            raise

    def _described(self, name: str, change_set: str) -> tuple[str, list[dict[str, Any]]] | None:
        for _ in self._ticks():
            found = self._client.describe_change_set(ChangeSetName=change_set)
            if found["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
                break
        else:
            raise StacksError(f"{name}: its change set was not ready after {self._timeout:.0f} s")
        reason = found.get("StatusReason", "")
        if found["Status"] == "FAILED":
            if any(words in reason for words in _NO_CHANGES):
                self.drop_change_set(change_set)
                return None
            raise StacksError(f"{name}: CloudFormation refuses the change: {reason}")
        changes = list(found.get("Changes", []))
        while found.get("NextToken"):
            found = self._client.describe_change_set(ChangeSetName=change_set, NextToken=found["NextToken"])
            changes += found.get("Changes", [])
        return change_set, changes

    def drop_change_set(self, change_set: str) -> None:
        """Delete a change set that will not be executed."""
        with suppress(*_aws.AWS_ERRORS):
            self._client.delete_change_set(ChangeSetName=change_set)

    def execute(self, change_set: str) -> None:
        """Start executing a change set."""
        self._client.execute_change_set(ChangeSetName=change_set)

    def wait(self, stack_id: str, progress: Callable[[Existing], None] = lambda _: None) -> Existing | None:
        """Wait until no operation is under way; the stack, or None once it is deleted.

        progress is told after every look. After the time limit the stack comes back as it is (..._IN_PROGRESS).
        """
        stack = None
        for _ in self._ticks():
            stack = self.one(stack_id)
            if stack is None or stack.status == "DELETE_COMPLETE":
                return None
            progress(stack)
            if not stack.status.endswith("_IN_PROGRESS"):
                break
        return stack

    def _ticks(self) -> Iterable[None]:
        """Looks at growing distance, from a quarter of a second to five, until the time limit."""
        limit, pause = time.monotonic() + self._timeout, 0.25
        while True:
            yield
            if time.monotonic() + pause > limit:
                return
            self._sleep(pause)
            pause = min(pause * 1.5, 5.0)


def _begins_operation(event: Mapping[str, Any]) -> bool:
    return (
        event.get("ResourceType") == "AWS::CloudFormation::Stack"
        and event.get("PhysicalResourceId") == event.get("StackId")
        and event.get("ResourceStatus") in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
    )


def _existing(stack: Mapping[str, Any]) -> Existing:
    outputs = stack.get("Outputs", [])
    return Existing(
        name=stack["StackName"],
        id=stack["StackId"],
        status=stack["StackStatus"],
        reason=stack.get("StackStatusReason", ""),
        updated=str(stack.get("LastUpdatedTime") or stack.get("CreationTime") or ""),
        parameters={p["ParameterKey"]: p.get("ParameterValue", "") for p in stack.get("Parameters", [])},
        tags={tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])},
        protected=bool(stack.get("EnableTerminationProtection")),
        exports=frozenset(output["ExportName"] for output in outputs if output.get("ExportName")),
        outputs={output["OutputKey"]: output.get("OutputValue", "") for output in outputs},
    )


def _parameters(step: Step) -> list[dict[str, Any]]:
    return [
        {"ParameterKey": key, "UsePreviousValue": True}
        if key in step.previous
        else {"ParameterKey": key, "ParameterValue": value}
        for key, value in step.parameters.items()
    ]


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
