"""Writes the audit's files: page, tables and JSON.

For internal use of this collection.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from ansible_collections.atelier.datalab.plugins.module_utils import _audit_page as page
from ansible_collections.atelier.datalab.plugins.module_utils._audit_analysis import Analysis, plain

_STEP = 1024
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run


def size(count: float) -> str:
    """Bytes for people: `1.4 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < _STEP:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _STEP
    return f"{count:.1f} TiB"


def html(context: Mapping[str, Any], template: Path) -> Iterable[str]:
    """The page, in pieces, so that a large one is never held whole."""
    loader = jinja2.FileSystemLoader(template.parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["size"] = size
    return environment.get_template(template.name).generate(context)


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A CSV file; a text that a spreadsheet would take for a formula gets an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow([f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in row])
    return text.getvalue()


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
