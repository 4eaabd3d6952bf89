"""The calls that adopting a machine needs. Decisions are in `_adopt`.

For internal use of this collection.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _adopt, _aws
from ansible_collections.atelier.datalab.plugins.module_utils._audit_records import STACK_TAG

_POLL = 2.0  # seconds between looks
_REVIEW = "REVIEW_IN_PROGRESS"


class Machine:
    """A machine as EC2 describes it, with what belongs to it."""

    def __init__(self, clients: Callable[[str, str], Any], region: str, instance: str) -> None:
        self._ec2 = clients("ec2", region)
        self.cfn = clients("cloudformation", region)
        self.id = instance

    @cached_property
    def _instance(self) -> dict[str, Any] | None:
        found = self._ec2.describe_instances(Filters=[{"Name": "instance-id", "Values": [self.id]}])
        return next((one for held in found["Reservations"] for one in held["Instances"]), None)

    @cached_property
    def _volumes(self) -> list[Any]:
        filters = [{"Name": "attachment.instance-id", "Values": [self.id]}]
        return _adopt.kept_volumes(self._instance or {}, self._ec2.describe_volumes(Filters=filters)["Volumes"])

    @cached_property
    def _addresses(self) -> list[Any]:
        found = self._ec2.describe_addresses(Filters=[{"Name": "instance-id", "Values": [self.id]}])["Addresses"]
        return sorted(found, key=lambda one: one["AllocationId"])

    @property
    def stack(self) -> str:
        """Name of the stack that its tag names; empty when it has none."""
        tags = {tag["Key"]: tag["Value"] for tag in (self._instance or {}).get("Tags") or []}
        return tags.get(STACK_TAG, "")

    def fault(self) -> str:
        """Why it cannot be adopted; empty when it can."""
        if self._instance is None or self._instance["State"]["Name"] in ("shutting-down", "terminated"):
            return f"{self.id}: there is no such instance; audit again, or remove the entry"
        return ""

    def template(self) -> dict[str, Any]:
        """The stack's template."""
        return _adopt.template(self._instance or {}, self._volumes, self._addresses)

    def identifiers(self) -> list[dict[str, Any]]:
        """What of it is what that exists."""
        return _adopt.identifiers(self._instance or {}, self._volumes, self._addresses)


def execute(machine: Machine, name: str, timeout: float, sleep: Callable[[float], None] = time.sleep) -> str:
    """Import one machine; the stack's status. Raises AdoptError when the change set would do anything else."""
    cfn, body = machine.cfn, _adopt.text(machine.template())
    if (status := _status(cfn, name)) not in ("", _REVIEW):
        raise _adopt.AdoptError(
            f"{name}: there is such a stack already ({status}); look at what it holds, or delete it"
        )
    # Named after its content, so that a run that was interrupted finds its own.
    change_set = f"import-{hashlib.sha256(body.encode()).hexdigest()[:12]}"
    cfn.create_change_set(
        StackName=name,
        ChangeSetName=change_set,
        ChangeSetType="IMPORT",
        TemplateBody=body,
        ResourcesToImport=machine.identifiers(),
    )
    end = time.monotonic() + timeout
    found = _until(
        lambda: cfn.describe_change_set(StackName=name, ChangeSetName=change_set),
        lambda one: one["Status"] in ("CREATE_COMPLETE", "FAILED"), end, sleep, f"{name}: the change set",
    )  # fmt: skip
    against = _adopt.objections(found.get("Changes") or [])
    if found["Status"] == "FAILED" or found.get("StatusReason") or against:
        cfn.delete_change_set(StackName=name, ChangeSetName=change_set)
        if _status(cfn, name) == _REVIEW:
            cfn.delete_stack(StackName=name)  # it holds nothing yet
        why = "; ".join(against) or found.get("StatusReason") or found["Status"]
        raise _adopt.AdoptError(f"{name}: {machine.id} was not imported, nothing was changed: {why}")
    cfn.execute_change_set(StackName=name, ChangeSetName=change_set)
    done = _until(
        lambda: cfn.describe_stacks(StackName=name)["Stacks"][0],
        lambda one: not one["StackStatus"].endswith("_IN_PROGRESS"), end, sleep, name,
    )  # fmt: skip
    if done["StackStatus"] != "IMPORT_COMPLETE":
        reason = done.get("StackStatusReason") or "see its events"
        raise _adopt.AdoptError(f"{name}: {machine.id} was not imported ({done['StackStatus']}): {reason}")
    return str(done["StackStatus"])


def _status(cfn: Any, name: str) -> str:
    try:
        return str(cfn.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
    except _aws.AWS_ERRORS as error:
        if _aws.code(error) != "ValidationError":  # which is how CloudFormation says that there is no such stack
            raise
        return ""


def _until(
    look: Callable[[], Any], ended: Callable[[Any], bool], end: float, sleep: Callable[[float], None], what: str
) -> Any:
    while not ended(found := look()):
        if time.monotonic() > end:
            raise _adopt.AdoptError(f"{what} is not ready in time; wait, then run again")
        sleep(_POLL)
    return found
