"""State on disk: one file, replaced at once, true to what a client has been told.

MiniStack saves on a clean exit only, one file per service; a killed emulator would come back
empty, or with stacks whose resources are gone. Here a change is written before the answer
that confirms it leaves, so kill -9 loses nothing a client knows of. While a stack operation
runs nothing is written: killed in the middle, it never happened.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from ministack import app as ministack
from ministack.core import persistence
from ministack.services import cloudformation

FORMAT = 1
logger = logging.getLogger("lab.state")


class Store:
    """Saves and restores every service MiniStack has loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dirty = False
        self._written = ""
        self._stacks_written = stacks_fingerprint()
        self._parts: dict[str, str] = {}

    def restore(self) -> None:
        """Load the file into MiniStack. Raises ValueError when it is not one of ours."""
        if not self.path.exists():
            return
        document = json.loads(self.path.read_text(), object_hook=persistence._json_object_hook)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"{self.path} was not written by this version; remove it to start with an empty account")
        for name, data in document["services"].items():
            ministack._get_module(ministack._state_map[name]).load_persisted_state(data)
        self._stacks_written = stacks_fingerprint()

    def flush(self) -> None:
        """Write the state if it changed and no stack operation is under way."""
        fingerprint = stacks_fingerprint()
        if not (self.dirty or fingerprint != self._stacks_written) or not settled():
            return
        for name, get_state in ministack._build_persistence_save_dict().items():
            self._collect(name, get_state)
        body = ",\n".join(f"{json.dumps(name)}: {text}" for name, text in sorted(self._parts.items()))
        document = f'{{"format": {FORMAT}, "services": {{\n{body}\n}}}}\n'
        if document != self._written:
            temporary = self.path.with_suffix(".tmp")
            temporary.write_text(document)
            temporary.replace(self.path)
            self._written = document
        self.dirty, self._stacks_written = False, fingerprint

    def _collect(self, name: str, get_state: Any) -> None:
        try:
            data = get_state()
            if data is not None:
                self._parts[name] = json.dumps(data, default=persistence._json_default)
        except (TypeError, ValueError, RuntimeError):
            # The last good text of this service stays in the file.
            logger.exception("state of %s was not saved", name)


def stacks_fingerprint() -> tuple[int, ...]:
    """Changes with every stack event: operations go on after the call that asked for them."""
    return tuple(len(events) for events in cloudformation._stack_events.all_values())


def settled() -> bool:
    """Whether no stack operation is running (REVIEW_IN_PROGRESS waits for a person)."""
    states = [s.get("StackStatus", "") for s in cloudformation._stacks.all_values()]
    return not any(s.endswith("_IN_PROGRESS") and s != "REVIEW_IN_PROGRESS" for s in states)
