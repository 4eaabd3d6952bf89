"""Runs the module `hours_plan` and writes the plan as page, picture and calendar."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import (
    _hours_ical,
    _hours_picture,
    _hours_plan,
    _hours_savings,
)
from ansible_collections.atelier.datalab.plugins.plugin_utils.reports import ReportAction, html, save

PAGE = Path(__file__).resolve().parents[2] / "playbooks/templates/hours_plan.html.j2"


class ActionModule(ReportAction):
    """See plugins/modules/hours_plan.py."""

    def tell(self, report: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        """Show the table, write the files."""
        self.show(_hours_plan.lines, report)
        files = self.written(write, report)
        hours = round(sum(one["hours"] for one in report["machines"]), 1)
        counts = {"machines": len(report["machines"]), "hours": hours, "problems": len(report["problems"])}
        return result | {"counts": counts, "files": files, "msg": summary(report)}


def summary(report: dict[str, Any]) -> str:
    """The counts in one line."""
    machines, problems = report["machines"], len(report["problems"])
    most = sum(row["hours"]["always"] for row in report["planned"])
    ran = sum(row["hours"]["ran"] for row in report["planned"])
    return (
        f"{report['environment']} from {report['first']} on, {report['days']} days: {len(machines)} machines run "
        f"{ran:g} of {most:g} hours; {problems} thing{'' if problems == 1 else 's'} to look at"
    )


def page(report: dict[str, Any]) -> str:
    """The page."""
    currency = report["currency"]
    context = report | {
        "picture": _hours_picture.draw(report),
        "style": _hours_picture.STYLE,
        "planned_chart": _hours_savings.chart("Cost of the plan", report["planned"], currency),
        "past_chart": _hours_savings.chart("What ran", report["past"], currency),
        "summary": summary(report),
        "parts": _hours_savings.WORDS,
    }
    return "".join(html(context, PAGE))


def write(report: dict[str, Any], folder: Path) -> list[str]:
    """The three files; their paths."""
    made = datetime.datetime.now(tz=datetime.UTC).replace(microsecond=0)
    texts = {
        "plan.html": page(report),
        "plan.svg": f"{_hours_picture.draw(report, alone=True)}\n",
        # The lines of a calendar end in CR and LF (RFC 5545, 3.1).
        "plan.ics": _hours_ical.calendar(report, made).decode(),
    }
    return save(folder, {f"{report['environment']}-{name}": text for name, text in texts.items()})
