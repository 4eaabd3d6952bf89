"""Runs the module `rules_report`, shows its report as a table and writes it for people and for CI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _rules_report
from ansible_collections.atelier.datalab.plugins.plugin_utils.reports import ReportAction, html, save

PAGE = Path(__file__).resolve().parents[2] / "playbooks/templates/rules.html.j2"


class ActionModule(ReportAction):
    """See plugins/modules/rules_report.py."""

    def tell(self, report: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        """Show what is broken; fail where something is refused."""
        self.show(_rules_report.table, report)
        files = self.written(write, report)
        result |= {"counts": report["counts"], "files": files, "msg": _rules_report.summary(report)}
        if report["counts"]["refuse"]:
            return result | {"failed": True, "msg": _rules_report.refusal(report, files)}
        return result


def write(report: dict[str, Any], folder: Path) -> list[str]:
    """The three files of a report; their paths."""
    texts = {
        "json": json.dumps(report, indent=1, ensure_ascii=False) + "\n",
        "xml": _rules_report.junit(report),
        "html": page(report),
    }
    return save(folder, {f"{report['environment']}.{kind}": text for kind, text in texts.items()})


def page(report: dict[str, Any]) -> str:
    """The report as one HTML page; every value is escaped."""
    return "".join(html(report, PAGE))
