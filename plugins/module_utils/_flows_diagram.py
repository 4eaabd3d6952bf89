"""The matrix as inline SVG: sources left, destinations right, a lane for each port between them. Pure.

Colours come from the page's style sheet, so that they follow light, dark and print.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

_WIDTH, _BOX, _HIGH, _LANE, _GAP, _PILL = 1000, 250, 44, 30, 12, 150
_TEXT = 34  # characters that fit into a box
_CLASSES = {"in AWS": "is", "new": "new", "ended": "ended", "missing": "missing"}
Lane = tuple[str, str, str, str]  # source, destination, protocol and port, state


def lanes(report: Mapping[str, Any]) -> list[Lane]:
    """What is open, shall be, or was; without what has expired and is closed."""
    rows = [(one, one["state"]) for one in report["matrix"] if one["state"] != "expired"]
    rows += [(one, "ended") for one in report["changes"] if one["change"] == "ended"]
    return sorted(
        {(one["source"], one["destination"], f"{one['protocol']} {one['port']}", state) for one, state in rows}
    )


def draw(report: Mapping[str, Any]) -> Markup:
    """The diagram; a line of text where there is nothing to draw."""
    found = lanes(report)
    if not found:
        return Markup('<p class="none">The matrix is empty.</p>')
    addresses: dict[str, list[str]] = {}
    for one in (*report["changes"], *report["matrix"]):  # of an end in full the matrix tells last
        addresses |= {one[end]: one[f"{end}_addresses"] for end in ("source", "destination")}
    heights, sources = _left(found)
    destinations = _right(found, heights)
    high = max(*heights, *(y + _HIGH / 2 for y in (*sources.values(), *destinations.values()))) + _GAP
    size = Markup('<svg class="flows" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">')
    body = [size.format(_WIDTH, high, f"{len(found)} flows from source to destination")]
    left, right, middle = _BOX, _WIDTH - _BOX, _WIDTH / 2
    for (source, destination, port, state), y in zip(found, heights, strict=True):
        style = _CLASSES[state]
        body += [
            Markup('<g class="{}"><title>{}</title>').format(style, f"{source} to {destination}, {port}: {state}"),
            _curve(left, sources[source], middle - _PILL / 2, y),
            _curve(middle + _PILL / 2, y, right - 8, destinations[destination]),
            Markup('<path class="tip" d="M{x:.0f} {y:.0f}l-9 -4.5v9z"/>').format(x=right, y=destinations[destination]),
            Markup('<rect x="{:.0f}" y="{:.0f}" width="{}" height="22" rx="11"/>').format(
                middle - _PILL / 2, y - 11, _PILL
            ),
            _text(middle, y + 4.5, port if state == "in AWS" else f"{port} · {state}", "middle"),
            Markup("</g>"),
        ]
    for ends, x in ((sources, 0), (destinations, right)):
        body += [_box(x, y, end, addresses[end]) for end, y in ends.items()]
    return Markup("\n").join([*body, Markup("</svg>")])


def _left(found: Sequence[Lane]) -> tuple[list[float], dict[str, float]]:
    """The height of each lane, and of each source in the middle of its lanes."""
    top, heights, middles = 4.0, [], {}
    for source in dict.fromkeys(lane[0] for lane in found):
        number = sum(lane[0] == source for lane in found)
        room = max(number * _LANE, _HIGH)
        first = top + (room - (number - 1) * _LANE) / 2
        heights += [first + n * _LANE for n in range(number)]
        middles[source] = top + room / 2
        top += room + _GAP
    return heights, middles


def _right(found: Sequence[Lane], heights: Sequence[float]) -> dict[str, float]:
    """Each destination as near to the middle of its lanes as the one above it lets it."""
    mine = {
        end: [y for lane, y in zip(found, heights, strict=True) if lane[1] == end]
        for end in dict.fromkeys(lane[1] for lane in found)
    }
    middles, last = {}, -_HIGH / 2 - _GAP + 4
    for end in sorted(mine, key=lambda one: (sum(mine[one]) / len(mine[one]), one)):
        last = max(sum(mine[end]) / len(mine[end]), last + _HIGH + _GAP)
        middles[end] = last
    return middles


def _curve(x: float, y: float, to_x: float, to_y: float) -> Markup:
    half = (x + to_x) / 2
    return Markup('<path class="line" d="M{:.0f} {:.1f}C{:.0f} {:.1f} {:.0f} {:.1f} {:.0f} {:.1f}"/>').format(
        x, y, half, y, half, to_y, to_x, to_y
    )


def _box(x: float, y: float, end: str, addresses: Iterable[str]) -> Markup:
    told = " ".join(addresses)
    lines = [(end, -3.0, "end")] + ([(told, 14.0, "soft")] if told != end else [])
    if len(lines) == 1:
        lines = [(end, 5.0, "end")]
    texts = [_text(x + 12, y + down, _short(line), "start", style) for line, down, style in lines]
    return Markup(
        '<g><title>{}</title><rect class="box" x="{}" y="{:.1f}" width="{}" height="{}" rx="6"/>{}</g>'
    ).format(f"{end}: {told}", x + 0.5, y - _HIGH / 2, _BOX - 1, _HIGH, Markup("").join(texts))


def _text(x: float, y: float, text: str, anchor: str, style: str = "port") -> Markup:
    return Markup('<text x="{:.0f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>').format(x, y, anchor, style, text)


def _short(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[: _TEXT - 1]}…"
