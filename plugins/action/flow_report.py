"""Runs the module `flow_report` and writes its report for core IT and for documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.atelier.datalab.plugins.module_utils import _audit_output, _flows_diagram, _flows_request

PAGE = Path(__file__).resolve().parents[2] / "playbooks/templates/flow_request.html.j2"


class ActionModule(ActionBase):
    """The module reads and compares; this only tells and writes."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """See plugins/modules/flow_report.py."""
        result = super().run(tmp, task_vars)
        del tmp
        result.update(self._execute_module(module_args=dict(self._task.args), task_vars=task_vars))
        # Not in the result: Ansible prints a failed task's result whole, and a matrix may be long.
        report = result.pop("report", None)
        if report is None:
            return result
        files = [] if self._task.check_mode else write(report, Path(self._task.args["destination"]))
        told, drift = _flows_request.summary(report), _flows_request.drift(report)
        kinds = [one["change"] for one in report["changes"]]
        counts = {kind: kinds.count(kind) for kind in ("new", "ended")}
        counts |= {kind: len(report[kind]) for kind in ("by_hand", "missing", "ending")}
        gaps = [f"not looked at: {one['what']}: {one['why']}" for one in report["gaps"]]
        result |= {"counts": counts, "files": files, "msg": told}
        if report["by_hand"] and report["strict"]:
            return result | {"failed": True, "msg": "\n".join([told, *drift, *gaps])}
        return result | {"warnings": [*(result.get("warnings") or []), *drift, *gaps]}


def write(report: dict[str, Any], folder: Path) -> list[str]:
    """The three files; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    head = _flows_request.COLUMNS
    texts = {
        "request.csv": _audit_output.table(head, _flows_request.request_rows(report)),
        "request.html": "".join(_audit_output.html(report | {"diagram": _flows_diagram.draw(report)}, PAGE)),
        "matrix.md": _flows_request.markdown(report),
    }
    paths = {folder / f"{report['environment']}-{name}": text for name, text in texts.items()}
    for path, text in paths.items():
        path.write_text(text, encoding="utf-8")
    return [str(path) for path in paths]
