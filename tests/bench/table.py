"""Figures side by side: the first column is ours, the others say how many times that they took."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    label: str
    values: list[float]


def show(columns: list[str], rows: list[Row], title: str) -> None:
    """Print a table; every value after the first is followed by its ratio to the first."""
    width = max(len(row.label) for row in rows) + 2
    print(title)
    first_width, others = max(10, len(columns[0])), [max(20, len(name) + 2) for name in columns[1:]]
    heads = "".join(f"{name:>{size}}" for name, size in zip(columns[1:], others, strict=True))
    print(f"{'':{width}}{columns[0]:>{first_width}}{heads}")
    for row in rows:
        first, *values = row.values
        cells = [f"{value:.2f} ({value / first:.1f}x)" for value in values]
        shown = "".join(f"{cell:>{size}}" for cell, size in zip(cells, others, strict=True))
        print(f"{row.label:{width}}{first:{first_width}.2f}{shown}", flush=True)
