"""Runs the module `promotion`, shows its report as a table and writes it as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _promotion_judge
from ansible_collections.atelier.datalab.plugins.plugin_utils.reports import ReportAction, save


class ActionModule(ReportAction):
    """See plugins/modules/promotion.py."""

    def tell(self, report: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        """Show the proofs; fail where the promotion is refused."""
        self.show(_promotion_judge.table, report)
        files = self.written(write, report)
        result |= {"verdict": report["verdict"], "record": report["record"], "files": files}
        if report["refused"]:
            return result | {"failed": True, "msg": _promotion_judge.refusal(report)}
        return result | {"msg": _promotion_judge.summary(report)}


def write(report: dict[str, Any], folder: Path) -> list[str]:
    """The file of a report; its path."""
    text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    return save(folder, {f"{report['from']}-{report['to']}.json": text})
