"""What actions that report share: run the module, show a table, render a page, write the files."""

from __future__ import annotations

import shutil
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

_STEP = 1024


class ReportAction(ActionBase):
    """The module reads and judges; an action of this kind only tells and writes."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module and tell what its `report` says."""
        result = super().run(tmp, task_vars)
        del tmp
        result.update(self._execute_module(module_args=dict(self._task.args), task_vars=task_vars))
        # Not in the result: Ansible prints a failed task's result whole, and a report may be long.
        report = result.pop("report", None)
        return result if report is None else self.tell(report, result)

    @abstractmethod
    def tell(self, report: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        """Tell and write the report; return the task's result."""

    def show(self, table: Callable[[dict[str, Any], int], Iterable[str]], report: dict[str, Any]) -> None:
        """Show a table as wide as the terminal."""
        for line in table(report, max(shutil.get_terminal_size((150, 24)).columns, 100)):
            Display().display(line)

    def written(self, write: Callable[[dict[str, Any], Path], list[str]], report: dict[str, Any]) -> list[str]:
        """Write below the task's `destination`, nothing in check mode; return the paths."""
        return [] if self._task.check_mode else write(report, Path(self._task.args["destination"]))


def save(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Write files by their names into a folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [str(folder / name) for name in texts]


def html(context: Mapping[str, Any], template: Path) -> Iterable[str]:
    """The page, in pieces, so that a large one is never held whole."""
    loader = jinja2.FileSystemLoader(template.parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["size"] = size
    return environment.get_template(template.name).generate(context)


def size(count: float) -> str:
    """Bytes for people: `1.4 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < _STEP:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _STEP
    return f"{count:.1f} TiB"
