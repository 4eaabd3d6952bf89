"""Runs the module `promotion`, shows its report as a table and writes it as JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.atelier.datalab.plugins.module_utils import _promotion_judge


class ActionModule(ActionBase):
    """The module judges and records; this only shows and writes."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """See plugins/modules/promotion.py."""
        result = super().run(tmp, task_vars)
        del tmp
        result.update(self._execute_module(module_args=dict(self._task.args), task_vars=task_vars))
        report = result.pop("report", None)
        if report is None:
            return result
        for line in _promotion_judge.table(report, max(shutil.get_terminal_size((150, 24)).columns, 100)):
            Display().display(line)
        files = []
        if not self._task.check_mode:
            file = Path(self._task.args["destination"]) / f"{report['from']}-{report['to']}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            files = [str(file)]
        result |= {"verdict": report["verdict"], "record": report["record"], "files": files}
        if report["refused"]:
            return result | {"failed": True, "msg": _promotion_judge.refusal(report)}
        return result | {"msg": _promotion_judge.summary(report)}
