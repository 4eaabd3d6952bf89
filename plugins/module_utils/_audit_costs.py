"""What a resource costs in a month of 730 hours, at list prices given as data. Pure.

For internal use of this collection. A price that the data lacks is named, never taken for nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _hours_schedule, _hours_timeline

HOURS = 730  # of a month, as AWS's own calculator has it
Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Cost:
    """USD (or what the prices are in) a month, how it was reckoned, and the prices that were missing."""

    amount: float
    how: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Prices:
    """The price list: under `regions.<region>` the tables and prices that docs/howto/audit.md names."""

    def __init__(self, data: Mapping[str, Any], schedules: Iterable[Mapping[str, Any]] = ()) -> None:
        self.currency = str(data.get("currency") or "USD")
        self.source = str(data.get("source") or "not said")
        self._regions: Mapping[str, Any] = data.get("regions") or {}
        self._hours = {one["name"]: monthly_hours(one) for one in schedules}

    def cost(self, resource: Resource) -> Cost:
        """The cost of one resource without that of others it uses; nothing for kinds that cost nothing."""
        reckon = _RECKON.get(resource["kind"])
        return reckon(self, resource) if reckon else Cost(0.0)

    def _priced(self, region: str, group: str, key: str, units: float, unit: str) -> Cost:
        """`units` times the price at `group` (or `group`.`key`)."""
        table = (self._regions.get(region) or {}).get(group)
        price = table.get(key) if isinstance(table, Mapping) else table
        label = f"{group} {key}".strip()
        if price is None:
            return Cost(0.0, (), (f"{region}: {label}",))
        return Cost(float(price) * units, (f"{label}: {units:g} {unit} x {float(price):g}",))

    def _instance(self, one: Resource) -> Cost:
        if one["state"] != "running":
            return Cost(0.0, (f"{one['state']}: no hours",))
        schedule = one["tags"].get("Schedule", "")
        hours = self._hours.get(schedule, float(HOURS))
        key = f"{one['type']} windows" if "windows" in one["platform"].lower() else one["type"]
        cost = self._priced(one["region"], "instances", key, hours, "h")
        addresses = len([ip for ip in one["public_ips"] if ip not in one["elastic_ips"]])
        return add(cost, self._priced(one["region"], "address", "", addresses * hours, "h")) if addresses else cost

    def _volume(self, one: Resource) -> Cost:
        return self._priced(one["region"], "volumes", one["type"], one["size"], "GiB")

    def _snapshot(self, one: Resource) -> Cost:
        # EC2 does not say how much of it is shared with the snapshot before; this is the most it can be.
        return self._priced(one["region"], "snapshot", "", one["size"], "GiB at most")

    def _address(self, one: Resource) -> Cost:
        return self._priced(one["region"], "address", "", HOURS, "h")

    def _nat(self, one: Resource) -> Cost:
        return self._priced(one["region"], "nat_gateway", "", HOURS, "h")

    def _database(self, one: Resource) -> Cost:
        copies = 2 if one["multi_az"] else 1
        hours = 0 if one["state"] == "stopped" else HOURS * copies
        key = f"{one['engine']} {one['type']}"
        compute = self._priced(one["region"], "databases", key, hours, "h")
        disk = self._priced(one["region"], "database_storage", one["storage"], one["size"] * copies, "GiB")
        return add(compute, disk)


_RECKON: dict[str, Callable[[Prices, Resource], Cost]] = {
    "instance": Prices._instance,
    "volume": Prices._volume,
    "snapshot": Prices._snapshot,
    "address": Prices._address,
    "nat": Prices._nat,
    "database": Prices._database,
}


def add(*costs: Cost) -> Cost:
    """Costs together."""
    return Cost(
        sum(one.amount for one in costs),
        tuple(line for one in costs for line in one.how),
        tuple(dict.fromkeys(line for one in costs for line in one.missing)),
    )


def monthly_hours(schedule: Mapping[str, Any]) -> float:
    """Hours a month that a schedule of corporate.schedules lets a machine run; holidays and extensions not counted."""
    # Without the clock's jumps, and over whole weeks of two years, so that months and seasons have their share.
    bare = _hours_schedule.read_schedule({"name": schedule["name"], "timezone": "UTC", "periods": schedule["periods"]})
    begin = datetime.datetime(2025, 1, 6, tzinfo=datetime.UTC)
    whole = datetime.timedelta(weeks=104)
    spans = _hours_timeline.running_spans(bare, begin, begin + whole)
    return round(HOURS * sum(((end - start) / whole for start, end in spans), 0.0), 1)
