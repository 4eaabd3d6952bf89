"""What was ordered, deferred and announced, one JSON object a line: the audit trail, and what the next run goes by.

Pure but for `append`. A line that cannot be read is passed over: a run that was killed half-way does no harm.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._hours import Order

_KEPT = datetime.timedelta(days=8)
Line = Mapping[str, Any]


def read(text: str) -> Iterator[dict[str, Any]]:
    """The lines; each has `at` as an instant, `id`, `machine` and `action`."""
    for line in text.splitlines():
        try:
            found = json.loads(line)
            found["at"] = datetime.datetime.fromisoformat(found["at"])
        except (ValueError, KeyError, TypeError):
            continue
        if found["at"].tzinfo and found.get("id") and found.get("action"):
            yield found


def orders(lines: Iterable[Line], now: datetime.datetime) -> dict[str, list[Order]]:
    """Starts and stops that AWS accepted, by id."""
    found: dict[str, list[Order]] = {}
    for line in lines:
        if line["action"] in ("start", "stop") and not line.get("error") and now - _KEPT <= line["at"] <= now:
            found.setdefault(line["id"], []).append(Order(line["at"], line["action"]))
    return found


def deferred(lines: Iterable[Line]) -> dict[str, datetime.datetime]:
    """Until when the last deferral of each goes, by id."""
    return {line["id"]: datetime.datetime.fromisoformat(line["until"]) for line in lines if line["action"] == "defer"}


def sent(lines: Iterable[Line]) -> dict[tuple[str, str], set[int]]:
    """Which warnings were sent, by id and stop."""
    found: dict[tuple[str, str], set[int]] = {}
    for line in lines:
        if line["action"] == "warn":
            found.setdefault((line["id"], line["stop"]), set()).add(line["minutes"])
    return found


def of_rows(
    rows: Iterable[Mapping[str, Any]], now: datetime.datetime, known: Mapping[str, datetime.datetime]
) -> list[dict[str, Any]]:
    """The lines of a run: what was ordered, with what came of it; deferrals that are new."""
    lines = []
    for row in rows:
        line = {"at": now.isoformat(), "id": row["id"], "machine": row["name"], "reason": row["reason"]}
        if row["action"] != "none":
            lines.append(line | {"action": row["action"]} | ({"error": row["error"]} if "error" in row else {}))
        until = row.get("deferred_until")
        if until and known.get(row["id"]) != datetime.datetime.fromisoformat(until):
            lines.append(line | {"action": "defer", "until": until})
    return lines


def append(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Add lines at the end, whole ones; without any it shows that it could.

    Raises:
        OSError: it cannot.
    """
    text = "".join(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def spans(
    lines: Iterable[Line], begin: datetime.datetime, end: datetime.datetime
) -> dict[str, list[tuple[datetime.datetime, datetime.datetime]]]:
    """When each machine ran between two instants, by its name, as far as orders tell: what is not stopped goes on.

    What somebody starts or stops by hand is not among them.
    """
    since: dict[str, datetime.datetime] = {}
    found: dict[str, list[tuple[datetime.datetime, datetime.datetime]]] = {}
    seen: set[str] = set()
    for line in sorted(lines, key=lambda one: one["at"]):
        name = line["machine"]
        if line.get("error") or line["action"] not in ("start", "stop") or line["at"] >= end:
            continue
        if line["action"] == "start":
            since.setdefault(name, line["at"])
        elif name in since or name not in seen:
            found.setdefault(name, []).append((max(since.pop(name, begin), begin), line["at"]))
        seen.add(name)
    for name, at in since.items():
        found.setdefault(name, []).append((max(at, begin), end))
    return {name: [(a, b) for a, b in spans if a < b] for name, spans in found.items()}
