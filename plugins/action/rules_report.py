"""Runs the module `rules_report`, shows its report as a table and writes it for people and for CI."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jinja2
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.atelier.datalab.plugins.module_utils import _rules_report

PAGE = Path(__file__).resolve().parents[2] / "playbooks/templates/rules.html.j2"


class ActionModule(ActionBase):
    """The module reads and judges; this only shows and writes."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """See plugins/modules/rules_report.py."""
        result = super().run(tmp, task_vars)
        del tmp
        result.update(self._execute_module(module_args=dict(self._task.args), task_vars=task_vars))
        # Not in the result: Ansible prints a failed task's result whole, and a report may be long.
        report = result.pop("report", None)
        if report is None:
            return result
        for line in _rules_report.table(report, max(shutil.get_terminal_size((150, 24)).columns, 100)):
            Display().display(line)
        files = [] if self._task.check_mode else write(report, Path(self._task.args["destination"]))
        result |= {"counts": report["counts"], "files": files, "msg": _rules_report.summary(report)}
        if report["counts"]["refuse"]:
            return result | {"failed": True, "msg": _rules_report.refusal(report, files)}
        return result


def write(report: dict[str, Any], folder: Path) -> list[str]:
    """The three files of a report; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "json": json.dumps(report, indent=1, ensure_ascii=False) + "\n",
        "xml": _rules_report.junit(report),
        "html": page(report),
    }
    for kind, text in texts.items():
        (folder / f"{report['environment']}.{kind}").write_text(text, encoding="utf-8")
    return [str(folder / f"{report['environment']}.{kind}") for kind in texts]


def page(report: dict[str, Any]) -> str:
    """The report as one HTML page; every value is escaped."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(PAGE.read_text(encoding="utf-8")).render(report)
