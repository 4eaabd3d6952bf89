"""Runs the module `flow_report` and writes its report for core IT and for documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _flows_diagram, _flows_request, _tables
from ansible_collections.atelier.datalab.plugins.plugin_utils.reports import ReportAction, html, save

PAGE = Path(__file__).resolve().parents[2] / "playbooks/templates/flow_request.html.j2"


class ActionModule(ReportAction):
    """See plugins/modules/flow_report.py."""

    def tell(self, report: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        """Count what is to be asked for; warn of drift, or fail over it."""
        files = self.written(write, report)
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
    texts = {
        "request.csv": _tables.table(_flows_request.COLUMNS, _flows_request.request_rows(report)),
        "request.html": "".join(html(report | {"diagram": _flows_diagram.draw(report)}, PAGE)),
        "matrix.md": _flows_request.markdown(report),
    }
    return save(folder, {f"{report['environment']}-{name}": text for name, text in texts.items()})
