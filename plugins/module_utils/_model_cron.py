"""Checks AWS's `cron(...)` expressions. Pure.

Rules: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based
"""

from __future__ import annotations

import re

_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
# name, lowest, highest, names (the first name is `lowest`), other forms allowed
_FIELDS = (
    ("minute", 0, 59, [], None),
    ("hour", 0, 23, [], None),
    ("day of month", 1, 31, [], r"\?|L|LW|\d{1,2}W"),
    ("month", 1, 12, _MONTHS, None),
    ("day of week", 1, 7, _WEEKDAYS, r"\?|L|[1-7]L|[1-7]#[1-5]"),
    ("year", 1970, 2199, [], None),
)


def cron_problem(expression: str) -> str | None:
    """Why AWS would refuse the expression; None when it would not."""
    inside = re.fullmatch(r"cron\((.*)\)", expression.strip())
    fields = inside[1].split() if inside else []
    if len(fields) != len(_FIELDS):
        return "is not a cron expression of AWS (cron(...) with six fields)"
    for text, (name, low, high, names, other) in zip(fields, _FIELDS, strict=True):
        if not all(_item_fits(item, low, high, names, other) for item in text.split(",")):
            return f"has {text!r} as its {name}"
    if (fields[2] == "?") == (fields[4] == "?"):
        return "needs ? in exactly one of day of month and day of week"
    return None


def _item_fits(item: str, low: int, high: int, names: list[str], other: str | None) -> bool:
    if other and re.fullmatch(other, item):
        return True
    base, slash, step = item.partition("/")
    if slash and not (step.isdigit() and int(step) > 0):
        return False
    if base == "*":
        return True
    bounds = [_number(part, low, names) for part in base.split("-")]
    return len(bounds) <= 2 and all(bound is not None and low <= bound <= high for bound in bounds)


def _number(text: str, low: int, names: list[str]) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text)
    return names.index(text.upper()) + low if text.upper() in names else None
