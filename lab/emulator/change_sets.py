"""Change sets as AWS words them: conditions count, and a change of outputs alone is a change."""

from __future__ import annotations

from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import changesets, engine, handlers

from lab.emulator._engine import Response

_NO_CHANGES = "didn't contain changes"


def install() -> None:
    """Patch MiniStack's change sets. Call once."""
    resolve, create = changesets._resolve_props_for_diff, changesets._create_change_set

    def resolve_with_conditions(template: Any, params: Any, stack_name: str, stack_id: str) -> dict[str, Any]:
        """Leave out what its condition leaves out, so that a condition that flips is an Add or a Remove."""
        resolved = resolve(template, params, stack_name, stack_id)
        try:
            conditions = engine._evaluate_conditions(template, params) if template else {}
        except ValueError:
            return resolved
        kept = {
            logical_id: resource
            for logical_id, resource in resolved.get("Resources", {}).items()
            if conditions.get(resource.get("Condition"), True)
        }
        return {**resolved, "Resources": kept}

    def create_change_set(params: Any) -> Response:
        answer = create(params)
        for change_set in cloudformation._change_sets.values():
            if _NO_CHANGES in change_set["StatusReason"] and _other_outputs(change_set):
                change_set.update(Status="CREATE_COMPLETE", ExecutionStatus="AVAILABLE", StatusReason="")
        return answer

    changesets._resolve_props_for_diff = resolve_with_conditions
    changesets._create_change_set = handlers._create_change_set = create_change_set
    for table in vars(handlers).values():
        if isinstance(table, dict) and table.get("CreateChangeSet") is create:
            table["CreateChangeSet"] = create_change_set


def _other_outputs(change_set: dict[str, Any]) -> bool:
    stack = cloudformation._stacks.get(change_set["StackName"]) or {}
    return change_set["_template"].get("Outputs", {}) != (stack.get("_template") or {}).get("Outputs", {})
