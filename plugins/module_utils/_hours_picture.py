"""The plan as a picture: a row per machine, a column per day. SVG that a page's style sheet colours. Pure."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

_LABEL, _DAY_WIDTH, _ROW, _HEAD = 210, 112, 24, 44
_DAY = datetime.timedelta(days=1)
_WORDS = {
    "hours": "hours",
    "extension": "extension",
    "window": "maintenance",
    "kept": "kept running",
    "alone": "left alone",
}
_MOST = 80  # rows; beyond it machines of one project with equal hours share one

STYLE = Markup("""
.hours-plan text { fill: #1c2430; font: 12px system-ui, "Noto Sans", "DejaVu Sans", sans-serif; }
.hours-plan .soft { fill: #5a6675; } .hours-plan .strong { font-weight: 600; }
.hours-plan .paper { fill: #fff; } .hours-plan .closed { fill: #e9ecf1; } .hours-plan .line { stroke: #d5dbe3; }
.hours-plan .hours { fill: #2f6fd0; } .hours-plan .extension { fill: #d98a00; } .hours-plan .window { fill: #7a5bb5; }
.hours-plan .kept { fill: #1f8a5b; } .hours-plan .alone { fill: #9aa5b4; fill-opacity: .45; }
@media (prefers-color-scheme: dark) {
  .hours-plan text { fill: #e6eaf0; } .hours-plan .soft { fill: #a3afbf; } .hours-plan .paper { fill: #12161c; }
  .hours-plan .closed { fill: #262e39; } .hours-plan .line { stroke: #323b48; } .hours-plan .hours { fill: #6fa3f5; }
  .hours-plan .extension { fill: #f0b040; } .hours-plan .window { fill: #b79bea; } .hours-plan .kept { fill: #5cc794; }
}
""")
_STYLED = Markup("<style>{}</style>").format(STYLE)


def draw(plan: Mapping[str, Any], *, alone: bool = False) -> Markup:
    """The picture; with `alone` it brings its own style and paper, for a file of its own."""
    first = datetime.date.fromisoformat(plan["first"])
    rows = list(_rows(plan))
    width, height = _LABEL + plan["days"] * _DAY_WIDTH + 10, _HEAD + len(rows) * _ROW + 46
    title = f"When machines of {plan['environment']} run from {plan['first']} on"
    body = [
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" class="hours-plan" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        ).format(width, height, title)
    ]
    if alone:
        body.append(_STYLED)
        body.append(Markup('<rect class="paper" width="{}" height="{}"/>').format(width, height))
    for number in range(plan["days"]):
        day, x = first + number * _DAY, _LABEL + number * _DAY_WIDTH
        body.append(_text(x + 6, 18, f"{day:%a %d %b}", "strong"))
        body.append(_text(x + 6, 36, "0", "soft"))
        body += [_text(x + hour * _DAY_WIDTH / 24, 36, str(hour), "soft", "middle") for hour in (6, 12, 18)]
    for number, (label, row) in enumerate(rows):
        body += _row(label, row, _HEAD + number * _ROW, plan)
    bottom = _HEAD + len(rows) * _ROW
    for number in range(plan["days"] + 1):
        x = _LABEL + number * _DAY_WIDTH
        body.append(Markup('<line class="line" x1="{}" x2="{}" y1="6" y2="{}"/>').format(x, x, bottom))
    body += _legend(plan, bottom + 26)
    return Markup("\n").join([*body, Markup("</svg>")])


def _rows(plan: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if len(plan["machines"]) <= _MOST:
        for row in plan["machines"]:
            yield row["name"], row
        return
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in plan["machines"]:
        key = (
            row["project"],
            row["schedule"],
            tuple((one["begin"], one["end"], one["kind"]) for one in row["segments"]),
        )
        groups.setdefault(key, []).append(row)
    for (project, *_), found in groups.items():
        yield (found[0]["name"] if len(found) == 1 else f"{project}: {len(found)} machines"), found[0]


def _row(label: str, row: Mapping[str, Any], y: int, plan: Mapping[str, Any]) -> Iterator[Markup]:
    zone, first, days = zoneinfo.ZoneInfo(plan["zone"]), datetime.date.fromisoformat(plan["first"]), plan["days"]
    yield _text(_LABEL - 10, y + 17, label if len(label) <= 32 else f"{label[:31]}…", "name", "end")
    for day in row["closed"]:
        number = (datetime.date.fromisoformat(day) - first).days
        yield Markup('<rect class="closed" x="{}" y="{}" width="{}" height="{}"/>').format(
            _LABEL + number * _DAY_WIDTH, y, _DAY_WIDTH, _ROW
        )
    for one in row["segments"]:
        begin, end = (_x(one[key], first, days, zone) for key in ("begin", "end"))
        if begin < end:
            begins, ends = (one[key][:16].replace("T", " ") for key in ("begin", "end"))
            says = f"{label}: {begins} to {ends}, {one['reason']}"
            yield Markup(
                '<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}" rx="3"><title>{}</title></rect>'
            ).format(one["kind"], begin, y + 5, max(end - begin, 2), _ROW - 10, says)
    if not row["known"]:
        yield _text(_LABEL + 6, y + 17, "no hours: left alone", "soft")
    yield Markup('<line class="line" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
        _LABEL, _LABEL + days * _DAY_WIDTH, y, y
    )


def _x(text: str, first: datetime.date, days: int, zone: zoneinfo.ZoneInfo) -> float:
    """The place of a time as the clock on the wall shows it, so that a day of 23 hours is as wide as another."""
    local = datetime.datetime.fromisoformat(text).astimezone(zone)
    place = (local.date() - first).days + (local.hour * 60 + local.minute) / 1440
    return _LABEL + min(max(place, 0), days) * _DAY_WIDTH


def _legend(plan: Mapping[str, Any], y: int) -> Iterator[Markup]:
    kinds = [kind for kind in _WORDS if any(one["kind"] == kind for row in plan["machines"] for one in row["segments"])]
    names = [(kind, _WORDS[kind]) for kind in kinds]
    if plan["closed"]:
        names.append(("closed", "closed day"))
    x = _LABEL
    for kind, words in names:
        yield Markup('<rect class="{}" x="{}" y="{}" width="14" height="12" rx="2"/>').format(kind, x, y - 10)
        yield _text(x + 20, y, words, "soft")
        x += 44 + 7 * len(words)
    yield _text(x, y, f"times of {plan['zone']}", "soft")


def _text(x: float, y: float, text: str, style: str, anchor: str = "start") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(style, x, y, anchor, text)
