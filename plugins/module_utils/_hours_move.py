"""Moving over from Instance Scheduler on AWS: its schedules as ours. Pure.

Written from its documentation and behaviour; what means something else here is told in a note beside the schedules.
https://docs.aws.amazon.com/solutions/latest/instance-scheduler-on-aws/
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._hours_schedule import DAYS, MONTHS, day_problem

_FULL_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_FULL_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_NAMES = dict(zip(_FULL_DAYS, DAYS, strict=True)) | dict(zip(_FULL_MONTHS, MONTHS, strict=True))


class MoveError(Exception):
    """Something cannot be read; says where and what."""


@dataclasses.dataclass(frozen=True)
class Moved:
    """Schedules as corporate.schedules has them, and what to know about them."""

    schedules: list[dict[str, Any]]
    notes: list[str]


def from_instance_scheduler(data: Any, today: str, default_zone: str = "UTC") -> Moved:
    """Its configuration as schedules.

    Args:
        data: items of its DynamoDB table (a scan, typed or plain), answers of `scheduler-cli describe-schedules` and
            `describe-periods` in one mapping, or resources `Custom::ServiceInstanceSchedule` of a template.
        today: the day an `override_status`, which has no date there, counts from.
        default_zone: of schedules that name none.

    Raises:
        MoveError: it is none of these, or a field means nothing.
    """
    schedules, periods = _items(data)
    notes: list[str] = []
    found = [_schedule(one, periods, notes, today, default_zone) for one in schedules]
    if not found:
        message = "no schedule was found: give the items of the DynamoDB table, the CLI's answers or a template"
        raise MoveError(message)
    return Moved(found, notes)


def _items(data: Any) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    if isinstance(data, Mapping) and "Resources" in data:
        return _template(data["Resources"])
    lists = (
        [data] if isinstance(data, list) else [data[key] for key in ("Items", "Schedules", "Periods") if key in data]
    )
    items = [_lowered(_untyped(one)) for part in lists for one in part]
    schedules = [one for one in items if one.get("type") == "schedule" or ("periods" in one and "type" not in one)]
    periods = {
        one["name"]: one for one in items if one.get("type") == "period" or ("type" not in one and one not in schedules)
    }
    return schedules, periods


def _lowered(item: Mapping[str, Any]) -> dict[str, Any]:
    """Names as the table has them: the CLI writes `Begintime`, templates `BeginTime`, the table `begintime`."""
    known = {re.sub("[^a-z]", "", key): key for key in _KNOWN}
    return {known.get(re.sub("[^a-z]", "", key.lower()), key.lower()): value for key, value in item.items()}


_KNOWN = (
    "type", "name", "description", "timezone", "periods", "override_status", "stop_new_instances", "enforced",
    "ssm_maintenance_window", "use_maintenance_window", "hibernate", "retain_running", "begintime", "endtime",
    "weekdays", "monthdays", "months", "instance_type",
)  # fmt: skip


def _untyped(item: Any) -> Any:
    """DynamoDB's `{"S": "x"}` as `x`."""
    if not isinstance(item, Mapping):
        return item
    if len(item) == 1:
        kind, value = next(iter(item.items()))
        if kind in ("S", "SS", "N", "BOOL", "L"):
            return [_untyped(one) for one in value] if kind == "L" else value
    return {key: _untyped(value) for key, value in item.items()}


def _template(resources: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    schedules, periods = [], {}
    for logical, one in resources.items():
        if one.get("Type") != "Custom::ServiceInstanceSchedule":
            continue
        found = _lowered(one.get("Properties") or {})
        found["name"] = found.get("name") or logical
        names = []
        for number, inner in enumerate(found.get("periods") or [], 1):
            period = _lowered(inner)
            name = f"{found['name']}-{number}"
            periods[name] = period | {"name": name}
            names.append(f"{name}@{period['instance_type']}" if period.get("instance_type") else name)
        schedules.append(found | {"periods": names})
    return schedules, periods


def _list(value: Any) -> list[str]:
    """A set, a list or a text with commas."""
    if not value:
        return []
    parts = [value] if isinstance(value, str) else sorted(map(str, value))
    return [part.strip() for text in parts for part in text.split(",") if part.strip()]


def _true(value: Any, default: bool = False) -> bool:
    return default if value is None else str(value).lower() in ("true", "yes", "1")


# Ours are all off where they are left out.
_SWITCHES = (
    ("enforced", "enforced", False),
    ("retain_running", "retain_running", False),
    ("stop_new_instances", "stop_new", True),
    ("hibernate", "hibernate", False),
)


def _schedule(
    data: Mapping[str, Any], periods: Mapping[str, Any], notes: list[str], today: str, default_zone: str
) -> dict[str, Any]:
    name = data["name"]
    found: dict[str, Any] = {"name": _slug(name, notes), "timezone": data.get("timezone") or default_zone}
    if data.get("description"):
        found["description"] = data["description"]
    found["periods"] = []
    for wanted in _list(data.get("periods")):
        key, _, instance_type = wanted.partition("@")
        if key not in periods:
            message = f"schedule {name}: period {key} is not among what was given"
            raise MoveError(message)
        found["periods"].append(_period(name, periods[key], instance_type, notes))
    found |= {ours: True for theirs, ours, default in _SWITCHES if _true(data.get(theirs), default)}
    if windows := _list(data.get("ssm_maintenance_window")):
        found["maintenance_windows"] = windows
    if not _true(data.get("use_maintenance_window"), default=True):
        found["use_maintenance_windows"] = False
    if state := data.get("override_status"):
        reason = "override_status of Instance Scheduler"
        found["override"] = {"state": str(state).lower(), "begin": today, "reason": reason}
        notes.append(f"schedule {name}: its override has no end there; write one (override.end), or remove it")
    return found


def _slug(name: str, notes: list[str]) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    slug = slug if slug[:1].isalpha() else f"s-{slug}"
    if slug != name:
        notes.append(f"schedule {name} is called {slug} here; tags Schedule must say so")
    return slug


def _period(schedule: str, data: Mapping[str, Any], instance_type: str, notes: list[str]) -> dict[str, Any]:
    name = data["name"]
    where = f"schedule {schedule}, period {name}"
    found: dict[str, Any] = {"name": name}
    for field, theirs in (("days", "weekdays"), ("month_days", "monthdays"), ("months", "months")):
        words = [_word(field, one, where) for one in _list(data.get(theirs))]
        if words and "*" not in words:
            found[field] = words
    begin, end = _clock(data.get("begintime")), _clock(data.get("endtime"))
    if begin is None and end is None:
        begin, end = "00:00", "24:00"
    if end == "23:59":
        end = "24:00"
        notes.append(f"{where}: it ended at 23:59, the last minute it could; here the day ends at 24:00")
    if end is None:
        notes.append(
            f"{where}: it only starts; there it was also stopped at midnight before a day it does not name, here never"
        )
    if begin is None:
        notes.append(f"{where}: it only stops; there it stopped all day on days it does not name, here it does not")
    found |= {key: value for key, value in (("begin", begin), ("end", end)) if value}
    if instance_type:
        found["instance_type"] = instance_type
    return found


def _clock(text: Any) -> str | None:
    if not text:
        return None
    hours, _, minutes = str(text).partition(":")
    return f"{int(hours):02d}:{minutes}"


def _word(field: str, text: str, where: str) -> str:
    """One word of a cron-like field in our writing: `Monday` is `mon`, `0` is `mon`, `?` is `*`."""
    word = text.strip().lower()
    if word in ("*", "?"):
        return "*"
    if field == "days" and word == "l":
        return "sun"  # the last day of a week
    names = {"days": DAYS, "months": MONTHS}.get(field, ())
    first = 1 if field == "months" else 0
    split = re.fullmatch(r"([a-z0-9]+(?:\s*-\s*[a-z0-9]+)?)([#/]?)(.*)", word)
    if split is None:
        message = f"{where}: {text!r} cannot be read"
        raise MoveError(message)
    span, mark, rest = split.groups()
    parts = []
    for part in re.split(r"\s*-\s*", span):
        last = "L" if part.endswith("l") and (part[:-1] in _NAMES or part[:-1] in names or not part[:-1]) else ""
        bare = part[:-1] if last and field != "month_days" else part
        bare = _NAMES.get(bare, bare)
        if names and bare.isdigit() and first <= int(bare) < first + len(names):
            bare = names[int(bare) - first]
        parts.append(bare + last if field != "month_days" else part.upper())
    found = "-".join(parts) + mark + rest
    if problem := day_problem(field, found):
        message = f"{where}: {text} cannot be read; {problem}"
        raise MoveError(message)
    return found
