"""What hours save and cost in euros: what ran against 24/7 and against the bare schedule. Pure.

Prices are data (audit_prices). One that is missing is named, never taken for nothing.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _audit_charts
from ansible_collections.atelier.datalab.plugins.module_utils._hours_timeline import Span, merge
from markupsafe import Markup

PARTS = ("hours", "extensions", "deferrals", "by_hand")  # what a running hour is owed to, the first that explains it
WORDS = {"hours": "hours", "extensions": "extensions", "deferrals": "deferrals", "by_hand": "by hand, or late"}
_HOUR = datetime.timedelta(hours=1)


@dataclasses.dataclass(frozen=True)
class Ran:
    """One machine over a stretch of time."""

    machine: str
    project: str
    region: str
    instance_type: str
    ran: Sequence[Span]
    hours: Sequence[Span]  # of its schedule, whatever ran
    extensions: Sequence[Span] = ()
    deferrals: Sequence[Span] = ()


def common(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    """What two sets of intervals share."""
    first, second = merge(one), merge(other)
    found, n, m = [], 0, 0
    while n < len(first) and m < len(second):
        begin, end = max(first[n][0], second[m][0]), min(first[n][1], second[m][1])
        if begin < end:
            found.append((begin, end))
        if first[n][1] <= second[m][1]:
            n += 1
        else:
            m += 1
    return found


def without(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    """What the first has and the second has not."""
    found, taken = [], merge(other)
    for begin, end in merge(one):
        at = begin
        for start, stop in taken:
            if stop <= at or start >= end:
                continue
            if start > at:
                found.append((at, start))
            at = max(at, stop)
        if at < end:
            found.append((at, end))
    return found


def total(spans: Iterable[Span]) -> float:
    """Hours."""
    return sum((end - begin) / _HOUR for begin, end in merge(spans))


def parts(one: Ran) -> dict[str, float]:
    """Hours it ran, by what they are owed to; and `always`, `bare`, which are what it might have been."""
    rest: list[Span] = merge(one.ran)
    found: dict[str, float] = {}
    for part, spans in (("hours", one.hours), ("extensions", one.extensions), ("deferrals", one.deferrals)):
        found[part] = total(common(rest, spans))
        rest = without(rest, spans)
    return found | {"by_hand": total(rest), "bare": total(one.hours)}


class Prices:
    """List prices per hour in euros."""

    def __init__(self, data: Mapping[str, Any] | None) -> None:
        data = data or {}
        self._regions: Mapping[str, Any] = data.get("regions") or {}
        currency, rate = str(data.get("currency") or "USD"), data.get("euros")
        self.rate = 1.0 if currency == "EUR" else float(rate) if rate else 1.0
        self.currency = "EUR" if currency == "EUR" or rate else currency
        self.source = str(data.get("source") or "not said")

    def hour(self, region: str, instance_type: str) -> float | None:
        """Of one machine; None where the list lacks it."""
        price = ((self._regions.get(region) or {}).get("instances") or {}).get(instance_type)
        return None if price is None else float(price) * self.rate


def projects(
    machines: Iterable[Ran], begin: datetime.datetime, end: datetime.datetime, prices: Prices
) -> list[dict[str, Any]]:
    """One row per project: hours and money by part, against 24/7 and the bare schedule; names of missing prices."""
    rows: dict[str, dict[str, Any]] = {}
    for one in machines:
        row = rows.setdefault(
            one.project,
            {
                "project": one.project,
                "machines": 0,
                "missing": [],
                "hours": dict.fromkeys(_ALL, 0.0),
                "cost": dict.fromkeys(_ALL, 0.0),
            },
        )
        row["machines"] += 1
        found = parts(one) | {"always": (end - begin) / _HOUR}
        found["ran"] = sum(found[part] for part in PARTS)
        price = prices.hour(one.region, one.instance_type)
        if price is None and (label := f"{one.region}: {one.instance_type}") not in row["missing"]:
            row["missing"].append(label)
        for part in _ALL:
            row["hours"][part] += found[part]
            row["cost"][part] += found[part] * (price or 0.0)
    for row in rows.values():
        row["saved"] = row["cost"]["always"] - row["cost"]["ran"]
        row["share"] = 1 - row["hours"]["ran"] / row["hours"]["always"] if row["hours"]["always"] else 0.0
        row["above_bare"] = row["cost"]["ran"] - row["cost"]["bare"]
    return [rows[name] for name in sorted(rows)]


_ALL = (*PARTS, "ran", "always", "bare")


def chart(title: str, rows: Sequence[Mapping[str, Any]], currency: str) -> Markup:
    """One bar per project, as long as 24/7 would cost: what ran in its parts, and what was saved."""
    bars = []
    for row in rows:
        cost = row["cost"]
        pieces = [
            _audit_charts.Part(cost[part], f"part-{part}", f"{WORDS[part]}: {money(cost[part], currency)}")
            for part in PARTS
        ]
        pieces.append(_audit_charts.Part(max(row["saved"], 0.0), "saved", f"saved: {money(row['saved'], currency)}"))
        text = f"{row['share'] * 100:.0f} % saved"
        bars.append(_audit_charts.Bar(row["project"], pieces, text))
    return _audit_charts.bars(title, bars, 860)


def money(amount: float, currency: str) -> str:
    """For people: `12.40 EUR`."""
    return f"{amount:,.2f} {currency}"
