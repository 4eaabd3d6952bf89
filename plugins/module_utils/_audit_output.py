"""Writes the audit's tables and JSON.

For internal use of this collection.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _audit_page as page
from ansible_collections.atelier.datalab.plugins.module_utils._audit_analysis import Analysis, plain
from ansible_collections.atelier.datalab.plugins.module_utils._tables import table


def machines_csv(analysis: Analysis) -> str:
    """One row per machine."""
    head = ("account", "environment", "region", "id", "name", "state", "type", "managed", "stack", "created_by")
    fields = [f"{name.lower()}{part}" for name in ("Project", "Owner", "Role") for part in ("", "_confidence")]
    rows = [
        [
            *(one[key] for key in head[:-1]),
            (one.get("creator") or {}).get("by", ""),
            *(part for p in one["proposals"].values() for part in (p.value or "unknown", p.confidence)),
            page.last_use(one)[0],
            one["last_snapshot"],
            f"{one['total'].amount:.2f}",
            "; ".join(one["total"].missing),
            " ".join(finding.rule for finding in one["findings"]),
        ]
        for one in analysis.resources["instance"]
    ]
    return table((*head, *fields, "last_use", "last_snapshot", "cost_month", "no_price_for", "findings"), rows)


def findings_csv(analysis: Analysis) -> str:
    """One row per finding."""
    place = ("account", "environment", "region", "kind", "id", "name")
    rows = [
        [*(one[key] for key in place), finding.rule, finding.text, finding.remedy]
        for one in analysis.every()
        for finding in one["findings"]
    ]
    return table((*place, "rule", "finding", "remedy"), rows)


def costs_csv(analysis: Analysis) -> str:
    """One row per resource that has a price, or whose price is missing."""
    place = ("account", "environment", "region", "kind", "id", "name", "project")
    rows = [
        [
            *(one[key] for key in place),
            f"{one['cost'].amount:.2f}",
            "; ".join(one["cost"].how),
            "; ".join(one["cost"].missing),
        ]
        for one in analysis.every()
        if one["cost"].how or one["cost"].missing
    ]
    return table((*place, "cost_month", "how", "no_price_for"), rows)


def everything(analysis: Analysis, audited: str) -> Iterable[str]:
    """All of it as JSON, one resource per line; the moment of the audit stands in a line of its own."""
    yield "{\n" + f'"audited": {json.dumps(audited)},\n'
    yield f'"scores": {_json(analysis.scores())},\n"gaps": {_json(analysis.gaps)},\n"resources": ['
    first = True
    for one in analysis.every():
        yield ("\n" if first else ",\n") + _json(plain(one))
        first = False
    yield "\n]\n}\n"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
