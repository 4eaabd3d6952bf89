"""Charts as inline SVG; colours come from the page's style sheet, so that they follow light, dark and print. Pure.

For internal use of this collection.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_LABEL, _VALUE, _ROW, _BAR = 170, 110, 28, 15


@dataclass(frozen=True)
class Part:
    """A piece of a bar: how long, which class of the style sheet, what a pointer over it says."""

    value: float
    style: str
    says: str = ""


@dataclass(frozen=True)
class Bar:
    """One row of a chart."""

    label: str
    parts: Sequence[Part]
    text: str


def bars(title: str, rows: Sequence[Bar], width: int = 540) -> Markup:
    """Horizontal bars, one below the other, all on one scale."""
    top = max((sum(part.value for part in row.parts) for row in rows), default=0) or 1
    height = _ROW * max(len(rows), 1) + 4
    room = width - _LABEL - _VALUE
    body = [Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(width, height, title)]
    for number, row in enumerate(rows):
        y = number * _ROW + 2
        body.append(_text(_LABEL - 10, y + 18, _short(row.label), "end"))
        x = float(_LABEL)
        for part in row.parts:
            length = part.value / top * room
            if length > 0:
                body.append(
                    Markup(
                        '<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}" rx="2"><title>{}</title></rect>'
                    ).format(part.style, x, y + 5, max(length, 1.5), _BAR, part.says or f"{row.label}: {row.text}")
                )
            x += length
        body.append(_text(x + 8, y + 18, row.text, "start", "value"))
    return Markup("\n").join([*body, Markup("</svg>")])


def ring(score: int | None, title: str) -> Markup:
    """A score from 0 to 100 as a ring."""
    radius, around = 42, 2 * math.pi * 42
    style = "muted" if score is None else "good" if score >= 90 else "fair" if score >= 70 else "bad"
    length = around * (score or 0) / 100
    return Markup(
        '<svg class="ring" viewBox="0 0 104 104" role="img" aria-label="{}">'
        '<circle cx="52" cy="52" r="{}" class="track"/>'
        '<circle cx="52" cy="52" r="{}" class="arc {}" stroke-dasharray="{:.1f} {:.1f}" transform="rotate(-90 52 52)"/>'
        '<text x="52" y="61" text-anchor="middle" class="score">{}</text></svg>'
    ).format(f"{title}: {score}", radius, radius, style, length, around, "?" if score is None else score)


def _text(x: float, y: float, text: str, anchor: str, style: str = "label") -> Markup:
    return Markup('<text x="{:.1f}" y="{}" text-anchor="{}" class="{}">{}</text>').format(
        x, y, anchor, style, escape(text)
    )


def _short(label: str) -> str:
    return label if len(label) <= 28 else f"{label[:27]}…"
