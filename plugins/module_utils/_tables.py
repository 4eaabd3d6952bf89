"""Rows as a table on the terminal and as CSV. Pure, standard library only: modules use it too."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A CSV file; a text that a spreadsheet would take for a formula gets an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow([f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in row])
    return text.getvalue()


def columns(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """The first three as wide as they need, the last two share the rest and wrap."""
    sizes = [min(max(len(row[n]) for row in rows), 40) for n in range(3)]
    rest = max(width - sum(sizes) - 2 * 4, 60)
    sizes += [rest * 3 // 5, rest * 2 // 5]
    lines = []
    for row in rows:
        cells = [textwrap.wrap(cell, size) or [""] for cell, size in zip(row, sizes, strict=True)]
        for n in range(max(map(len, cells))):
            parts = [(cell[n] if n < len(cell) else "").ljust(size) for cell, size in zip(cells, sizes, strict=True)]
            lines.append("  ".join(parts).rstrip())
    return lines


def printable(line: str) -> str:
    """A name may hold what would move the cursor of a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in line)
