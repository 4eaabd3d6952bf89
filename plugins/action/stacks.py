"""Runs the module `stacks` and shows its progress while it waits: CloudFormation takes minutes, silence frightens."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

INTERVAL = 0.5  # seconds between looks into the progress file


class ActionModule(ActionBase):
    """The module does the work; this only reads the file it writes."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """See plugins/modules/stacks.py."""
        result = super().run(tmp, task_vars)
        del tmp
        with tempfile.TemporaryDirectory() as folder:
            arguments = dict(self._task.args)
            arguments["progress"] = arguments.get("progress") or str(Path(folder) / "progress.log")
            with Follower(Path(arguments["progress"])):
                result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        return result


class Follower:
    """Shows every line that is added to a file, until told to stop."""

    def __init__(self, path: Path, display: Any = None) -> None:
        self._path = path
        self._display = display or Display()
        self._seen = path.stat().st_size if path.exists() else 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self.show()

    def _follow(self) -> None:
        while not self._stop.wait(INTERVAL):
            self.show()

    def show(self) -> None:
        """Show what was added since the last look; half a line waits for its end."""
        if not self._path.exists():
            return
        with self._path.open(encoding="utf-8") as log:
            log.seek(self._seen)
            text = log.read()
        whole = text[: text.rfind("\n") + 1]
        self._seen += len(whole.encode())
        for line in whole.splitlines():
            self._display.display(f"  {line}")
