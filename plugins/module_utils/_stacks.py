"""What stacks should be, what they are, and the difference. Pure: nothing here talks to AWS.

For internal use of this collection.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.atelier.datalab.plugins.module_utils import _stacks_template as templates

MANAGED_BY = "atelier.datalab"
# Losing one of these loses people's work or an address they rely on.
PRECIOUS = frozenset({"AWS::EC2::Instance", "AWS::EC2::Volume", "AWS::RDS::DBInstance"})
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")


class StacksError(Exception):
    """Something the reader of the message can act on."""


@dataclass(frozen=True)
class Wanted:
    """One stack as the data asks for it."""

    name: str
    wave: int
    body: str
    template: dict[str, Any]
    parameters: dict[str, str]
    keep: frozenset[str] = frozenset()
    tags: dict[str, str] = field(default_factory=dict)
    protected: bool = False


@dataclass(frozen=True)
class Existing:
    """One stack as DescribeStacks shows it; the template is read separately."""

    name: str
    id: str
    status: str
    reason: str = ""
    updated: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    protected: bool = False
    exports: frozenset[str] = frozenset()
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """What to do with one stack: `create`, `update` (through a change set), `protect` or `none`."""

    wanted: Wanted
    action: str
    parameters: dict[str, str]
    previous: frozenset[str] = frozenset()
    kept: dict[str, dict[str, str]] = field(default_factory=dict)
    before: str = ""
    after: str = ""


def read_entries(entries: Iterable[Mapping[str, Any]], late_values: Mapping[str, str], root: str = ".") -> list[Wanted]:
    """Turn the module's input into stacks, in order of wave.

    Raises StacksError with one line for every fault of every entry.
    """
    faults: list[str] = []
    stacks: list[Wanted] = []
    for entry in entries:
        try:
            stack = _read_entry(entry, late_values, root, faults)
        except (OSError, templates.TemplateError) as error:
            faults.append(f"{entry['name']}: template {entry.get('template') or '(body)'}: {error}")
        else:
            stacks.append(stack)
    names = [stack.name for stack in stacks]
    faults += [f"{name}: named {names.count(name)} times" for name in sorted(set(names)) if names.count(name) > 1]
    if faults:
        raise StacksError("These stacks cannot be built; nothing was changed:\n" + "\n".join(f"  {f}" for f in faults))
    return sorted(stacks, key=lambda stack: (stack.wave, stack.name))


def _read_entry(entry: Mapping[str, Any], late: Mapping[str, str], root: str, faults: list[str]) -> Wanted:
    name = entry["name"]
    if not _NAME.fullmatch(name):
        faults.append(f"{name}: not a stack name; use letters, digits and hyphens, a letter first, at most 128")
    body = entry.get("template_body") or (Path(root) / (entry.get("template") or "")).read_text(encoding="utf-8")
    template = templates.parse(body)
    values = {key: _text(value) for key, value in (entry.get("parameters") or {}).items()}
    for key, source in (entry.get("late_parameters") or {}).items():
        if source in late:
            values[key] = _text(late[source])
        else:
            faults.append(f"{name}: parameter {key} waits for '{source}', which late_values does not hold")
            values.setdefault(key, "")
    declared = templates.parameters(template)
    faults += [f"{name}: parameter {key} is not in the template" for key in sorted(values.keys() - declared.keys())]
    faults += [
        f"{name}: parameter {key} has no value"
        for key, declaration in declared.items()
        if key not in values and "Default" not in declaration
    ]
    keep = frozenset(entry.get("keep_parameters") or ())
    faults += [
        f"{name}: keep_parameters names {key}, which is not in the template" for key in sorted(keep - declared.keys())
    ]
    return Wanted(
        name=name,
        wave=int(entry.get("wave") or 0),
        body=templates.body_for_api(body, template),
        template=template,
        parameters={k: values.get(k, _text(d.get("Default", ""))) for k, d in declared.items()},
        keep=keep,
        tags={key: _text(value) for key, value in (entry.get("tags") or {}).items()},
        protected=bool(entry.get("termination_protection")),
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def step_for(
    wanted: Wanted, existing: Existing | None, template: Mapping[str, Any] | None, *, refresh: bool = False
) -> Step:
    """Compare one stack with what is there.

    template: the existing stack's parsed template. refresh: take the new values of parameters otherwise kept.
    """
    if existing is None:
        return Step(wanted, "create", wanted.parameters, after=_show(wanted, wanted.parameters, created=True))
    keep = frozenset() if refresh else wanted.keep & existing.parameters.keys()
    # AWS shows NoEcho values as asterisks: they cannot be compared, so they stay.
    hidden = {key for key, value in existing.parameters.items() if value == "****" and key in wanted.parameters}
    previous = frozenset(keep | hidden)
    values = {k: existing.parameters[k] if k in previous else v for k, v in wanted.parameters.items()}
    kept = {
        key: {"current": existing.parameters[key], "offered": wanted.parameters[key]}
        for key in sorted(keep)
        if existing.parameters[key] != wanted.parameters[key]
    }
    same = values == existing.parameters and wanted.tags == existing.tags and template == wanted.template
    action = "update" if not same else "protect" if wanted.protected != existing.protected else "none"
    step = Step(wanted, action, values, previous, kept)
    if action == "none":
        return step
    was = replace(wanted, template=dict(template or {}), tags=existing.tags, protected=existing.protected)
    shown = template != wanted.template
    return replace(step, before=_show(was, existing.parameters, body=shown), after=_show(wanted, values, body=shown))


def _show(stack: Wanted, values: Mapping[str, str], *, created: bool = False, body: bool = False) -> str:
    """A stack as text for Ansible's diff."""
    shown: dict[str, Any] = {
        "parameters": dict(values),
        "tags": stack.tags,
        "termination_protection": stack.protected,
    }
    if created:
        shown["resources"] = templates.resources(stack.template, values)
    if body:
        shown["template"] = stack.template
    return yaml.safe_dump(shown, sort_keys=True, width=110, allow_unicode=True)


def missing_imports(step: Step, exports: Iterable[str]) -> list[str]:
    """Exports this stack needs and nobody offers yet."""
    return sorted(templates.imports(step.wanted.template, step.parameters) - set(exports))


def predicted_changes(step: Step, template: Mapping[str, Any]) -> list[str]:
    """Resources an update would touch, told from the two templates alone (no change set could be made)."""
    old, new = template.get("Resources") or {}, step.wanted.template["Resources"]
    lines = [f"Add {new[key].get('Type')} {key}" for key in new if key not in old]
    lines += [f"Modify {new[key].get('Type')} {key}" for key in new if key in old and new[key] != old[key]]
    return lines + [f"Remove {old[key].get('Type')} {key}" for key in old if key not in new]


def change_lines(changes: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line per resource of DescribeChangeSet's Changes."""
    lines = []
    for change in (entry.get("ResourceChange") or {} for entry in changes):
        what = f"{change['Action']} {change.get('ResourceType')} {change.get('LogicalResourceId')}"
        if change.get("PhysicalResourceId"):
            what += f" ({change['PhysicalResourceId']})"
        targets = sorted({_target(detail) for detail in change.get("Details") or []} - {""})
        what += f": {', '.join(targets)}" if targets else ""
        if change["Action"] == "Modify":
            what += f" - {_how(change)}"
        lines.append(what)
    return lines


def _how(change: Mapping[str, Any]) -> str:
    replacement = str(change.get("Replacement"))
    if replacement == "True" or (
        replacement == "Conditional" and change.get("ResourceType") in PRECIOUS and _causes(change)
    ):
        return "REPLACED"
    if replacement != "Conditional":
        return "in place"
    return (
        "in place, by a stop and a start"
        if change.get("ResourceType") == "AWS::EC2::Instance"
        else "replaced if need be"
    )


def _target(detail: Mapping[str, Any]) -> str:
    target = detail.get("Target") or {}
    return str(target.get("Name") or target.get("Attribute") or "")


def dangers(changes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Precious resources that the change set would replace or remove.

    A conditional replacement counts when a property that always replaces may change (for an instance: the
    launch template), not for one that AWS changes by a stop and a start (the instance type).
    """
    return [
        f"{'remove' if change['Action'] == 'Remove' else 'replace'} {change['ResourceType']} "
        f"{change['LogicalResourceId']} ({change.get('PhysicalResourceId') or 'no id'})"
        + (f" because of {', '.join(causes)}" if (causes := _causes(change)) else "")
        for change in (entry.get("ResourceChange") or {} for entry in changes)
        if change.get("ResourceType") in PRECIOUS and _destroys(change)
    ]


def removals(step: Step, template: Mapping[str, Any], values: Mapping[str, str]) -> list[str]:
    """Precious resources that the stack has and the new template or parameters leave out.

    Told from the templates, so that it holds even where no change set could be made.
    """
    old = templates.resources(template, values)
    new = templates.resources(step.wanted.template, step.parameters)
    return [f"remove {kind} {key}" for key, kind in sorted(old.items()) if kind in PRECIOUS and key not in new]


def _destroys(change: Mapping[str, Any]) -> bool:
    return (
        change.get("Action") == "Remove"
        or str(change.get("Replacement")) == "True"
        or (str(change.get("Replacement")) == "Conditional" and bool(_causes(change)))
    )


def _causes(change: Mapping[str, Any]) -> list[str]:
    always = (
        detail
        for detail in change.get("Details") or []
        if (detail.get("Target") or {}).get("RequiresRecreation") == "Always"
    )
    return sorted({_target(detail) for detail in always})


def orphans(existing: Iterable[Existing], names: Iterable[str], environment: str) -> list[str]:
    """Stacks of this collection and environment that the data no longer names."""
    known = set(names)
    return sorted(
        stack.name
        for stack in existing
        if stack.name not in known
        and stack.tags.get("ManagedBy") == MANAGED_BY
        and stack.tags.get("Environment") == environment
    )


def unified(before: str, after: str) -> str:
    """A unified diff as text, for messages and tests."""
    return "".join(difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True)))
