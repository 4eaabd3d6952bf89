"""Converging many stacks: wave after wave, side by side within a wave; or showing what that would do.

For internal use of this collection.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _aws
from ansible_collections.atelier.datalab.plugins.module_utils import _stacks_explain as explain
from ansible_collections.atelier.datalab.plugins.module_utils import _stacks_template as templates
from ansible_collections.atelier.datalab.plugins.module_utils._stacks import (
    Existing,
    StacksError,
    Step,
    Wanted,
    change_lines,
    dangers,
    missing_imports,
    predicted_changes,
    removals,
    step_for,
)
from ansible_collections.atelier.datalab.plugins.module_utils._stacks_api import StackApi


@dataclass
class Outcome:
    """What became of one stack."""

    name: str
    action: str = "none"  # none, create, update, protect
    status: str = ""
    changed: bool = False
    seconds: float = 0.0
    changes: list[str] = field(default_factory=list)
    kept: dict[str, dict[str, str]] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    before: str = ""
    after: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Settings:
    """How to go about it."""

    check: bool = False
    refresh: frozenset[str] = frozenset()
    allow_replacement: frozenset[str] = frozenset()
    parallel: int = 8
    say: Callable[[str], None] = lambda _line: None


class Converger:
    """Brings stacks to what is wanted."""

    def __init__(self, api: StackApi, settings: Settings) -> None:
        self._api = api
        self._settings = settings
        self._existing: dict[str, Existing] = {}

    def run(self, wanted: Iterable[Wanted], existing: dict[str, Existing]) -> list[Outcome]:
        """Converge all stacks; a wave with a fault is finished, later ones are not begun.

        wanted: sorted by wave. In check mode every wave is looked at and nothing is left behind.
        """
        self._existing = existing
        outcomes: list[Outcome] = []
        for _wave, stacks in groupby(wanted, key=lambda stack: stack.wave):
            with ThreadPoolExecutor(self._settings.parallel) as pool:
                outcomes += pool.map(self._converge, list(stacks))
            if not self._settings.check and any(outcome.fault for outcome in outcomes):
                break
        return outcomes

    def _converge(self, wanted: Wanted) -> Outcome:
        outcome, started = Outcome(wanted.name), time.monotonic()
        try:
            self._one(wanted, outcome)
        except StacksError as error:
            outcome.fault = str(error)
        except _aws.AWS_ERRORS as error:
            text = _aws.sentence(error)
            advice = explain.hint(text)
            outcome.fault = f"{wanted.name}: {text}" + (f"\n    What to do: {advice}." if advice else "")
        outcome.seconds = round(time.monotonic() - started, 1)
        return outcome

    def _one(self, wanted: Wanted, outcome: Outcome) -> None:
        existing = self._settle(wanted.name)
        outcome.status = existing.status if existing else ""
        leftover = existing if existing and existing.status in explain.DISCARD else None
        current = None if leftover else existing
        template = self._api.template(current) if current else None
        step = step_for(wanted, current, template, refresh=wanted.name in self._settings.refresh)
        outcome.action, outcome.kept, outcome.before, outcome.after = step.action, step.kept, step.before, step.after
        outcome.outputs = current.outputs if current else {}
        if step.action == "create":
            self._create(step, leftover, outcome)
        elif step.action == "update" and current and template is not None:
            self._update(step, current, template, outcome)
        elif step.action == "protect" and current:
            self._protect(step, current, outcome)

    def _settle(self, name: str) -> Existing | None:
        """The stack at rest. Waits for an operation that is under way (an interrupted run of ours, or another's)."""
        stack = self._existing.get(name)
        if stack and not self._settings.check and _busy(stack):
            self._settings.say(f"{name}: {stack.status}, waiting for the operation that is under way")
            stack = self._api.wait(stack.id, self._progress())
            if stack:
                self._existing[name] = stack
        if stack and stack.status not in explain.READY | explain.DISCARD:
            events = [] if stack.status.endswith("_IN_PROGRESS") else self._api.events(stack.id)
            raise StacksError(explain.failure_text(name, stack.status, events, stack.reason))
        return stack

    def _create(self, step: Step, leftover: Existing | None, outcome: Outcome) -> None:
        outcome.changed = True
        outcome.changes = [
            f"Add {kind} {key}"
            for key, kind in sorted(templates.resources(step.wanted.template, step.parameters).items())
        ]
        if self._settings.check:
            return
        if leftover:
            self._settings.say(f"{leftover.name}: {leftover.status}, never worked: deleted and made anew")
            self._api.delete(leftover)
        self._settings.say(f"{step.wanted.name}: creating")
        self._finish(self._api.create(step), step, outcome, "CREATE_COMPLETE")

    def _update(self, step: Step, current: Existing, template: dict[str, Any], outcome: Outcome) -> None:
        self._refuse(step, removals(step, template, current.parameters))
        exports = {name for stack in self._existing.values() for name in stack.exports}
        if self._settings.check and (missing := missing_imports(step, exports)):
            outcome.changed = True
            outcome.changes = predicted_changes(step, template)
            outcome.changes.append(f"(told from the templates: {', '.join(missing)} is made by this same run)")
            return
        made = self._api.change_set(current.id, step)
        if made is None:
            outcome.action, outcome.before, outcome.after = "none", "", ""
            if step.wanted.protected != current.protected:
                self._protect(step, current, outcome)
            return
        change_set, changes = made
        outcome.changes = change_lines(changes)
        try:
            self._refuse(step, dangers(changes))
        except StacksError:
            self._api.drop_change_set(change_set)
            raise
        outcome.changed = True
        if self._settings.check:
            self._api.drop_change_set(change_set)
            return
        self._settings.say(f"{step.wanted.name}: updating: {'; '.join(outcome.changes)}")
        if step.wanted.protected != current.protected:
            self._api.protect(current.id, protected=step.wanted.protected)
        self._api.execute(change_set)
        self._finish(current.id, step, outcome, "UPDATE_COMPLETE")

    def _refuse(self, step: Step, reasons: list[str]) -> None:
        if reasons and step.wanted.name not in self._settings.allow_replacement:
            raise StacksError(_refusal(step, reasons))

    def _protect(self, step: Step, current: Existing, outcome: Outcome) -> None:
        outcome.action, outcome.changed = "protect", True
        outcome.changes = [f"termination protection {'on' if step.wanted.protected else 'off'}"]
        if not self._settings.check:
            self._api.protect(current.id, protected=step.wanted.protected)

    def _finish(self, stack_id: str, step: Step, outcome: Outcome, success: str) -> None:
        name = step.wanted.name
        stack = self._api.wait(stack_id, self._progress())
        outcome.status = stack.status if stack else "DELETE_COMPLETE"
        if stack is None or stack.status != success:
            events = self._api.events(stack_id)
            raise StacksError(explain.failure_text(name, outcome.status, events, stack.reason if stack else ""))
        outcome.outputs = stack.outputs
        self._existing[name] = stack

    def _progress(self) -> Callable[[Existing], None]:
        """Say something when a status changes and every half minute, not at every look."""
        said = {"status": "", "at": 0.0, "began": time.monotonic()}

        def tell(stack: Existing) -> None:
            now = time.monotonic()
            if stack.status != said["status"] or now - float(said["at"]) > 30:
                self._settings.say(f"{stack.name}: {stack.status} ({now - float(said['began']):.0f} s)")
                said.update(status=stack.status, at=now)

        return tell


def _busy(stack: Existing) -> bool:
    return stack.status.endswith("_IN_PROGRESS") and stack.status not in explain.DISCARD


def _refusal(step: Step, refused: list[str]) -> str:
    lines = "\n".join(f"    it would {line}" for line in refused)
    return (
        f"{step.wanted.name}: refused, because people's work or addresses would be lost:\n{lines}\n"
        f"    Nothing was changed. If that is what you want, name the stack in allow_replacement: [{step.wanted.name}]."
    )


def progress_log(path: str | None) -> Callable[[str], None]:
    """A function that appends lines with the time of day to a file; does nothing without a path."""
    if not path:
        return lambda _line: None
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = threading.Lock()

    def say(line: str) -> None:
        with lock, file.open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%H:%M:%S')} {line}\n")

    return say


def result(outcomes: list[Outcome], orphans: list[str], waiting: int, *, check: bool = False) -> dict[str, Any]:
    """The module's result.

    waiting: number of stacks of later waves that were not begun because of a fault.
    """
    shown = ("name", "action", "changed", "status", "seconds", "changes", "kept", "outputs")
    answer: dict[str, Any] = {
        "changed": any(outcome.changed for outcome in outcomes),
        "stacks": [{key: getattr(outcome, key) for key in shown} for outcome in outcomes],
        "orphans": orphans,
        "summary": summary(outcomes, orphans, check=check),
        "diff": [_difference(outcome) for outcome in outcomes if outcome.changed],
    }
    faults = [outcome.fault for outcome in outcomes if outcome.fault]
    if faults:
        more = f"\n{waiting} stacks of later waves were not begun." if waiting else ""
        answer |= {"failed": True, "msg": "\n".join(faults) + more}
    return answer


def summary(outcomes: list[Outcome], orphans: list[str], *, check: bool = False) -> list[str]:
    """What happened, in a few lines: counts, each stack that changed, what was kept, what is left over."""
    words = {"create": "to create" if check else "created", "update": "to update" if check else "updated"}
    counts = Counter(
        "failed" if outcome.fault else words.get(outcome.action, "protection set") if outcome.changed else "as wanted"
        for outcome in outcomes
    )
    lines = [f"{len(outcomes)} stacks: " + ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))]
    lines += [
        f"{outcome.name}: {outcome.action}, {len(outcome.changes)} resources, {outcome.seconds} s"
        for outcome in outcomes
        if outcome.changed and not outcome.fault
    ]
    lines += [
        f"{outcome.name} keeps {key} {values['current']}; {values['offered']} is newer"
        for outcome in outcomes
        for key, values in outcome.kept.items()
    ]
    return lines + [f"{name}: no longer in the data; left as it is" for name in orphans]


def _difference(outcome: Outcome) -> dict[str, str]:
    changes = "".join(f"# {line}\n" for line in outcome.changes)
    return {
        "before_header": outcome.name if outcome.action != "create" else f"{outcome.name} (does not exist)",
        "after_header": f"{outcome.name} ({outcome.action})",
        "before": outcome.before,
        "after": changes + outcome.after,
    }
