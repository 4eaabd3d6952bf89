"""May this artefact go up one rung: each proof demanded, each emergency that ended; and the same as a table.

For internal use of this collection; stores and keys are given.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._promotion import (
    CHAIN,
    FILE,
    SKEW,
    Key,
    PromotionError,
    below,
    name_of,
    seal,
    sha256,
    unseal,
    when,
)
from ansible_collections.atelier.datalab.plugins.module_utils._promotion_store import Store
from ansible_collections.atelier.datalab.plugins.module_utils._tables import columns, printable

DAY = datetime.timedelta(days=1)
OPEN = "emergency"  # a row that tells and does not refuse


@dataclass(frozen=True)
class Row:
    """A line of the judgement. `state`: ok, missing, failed, too_old, wrong_artefact, tampered, overdue, emergency."""

    proof: str
    state: str
    why: str
    todo: str = ""
    age_days: float | None = None
    name: str = ""
    sha256: str = ""


class Ledger:
    """Documents of one environment."""

    def __init__(self, environment: str, store: Store, key: Key) -> None:
        self.environment, self._store, self._key = environment, store, key

    def names(self, head: str) -> list[str]:
        """Oldest first, whatever they are about."""
        return sorted(self._store.names(f"{self.environment}/{head}"), key=lambda name: name.rpartition("/")[2])

    def newest(self, head: str, digest: str) -> str | None:
        """Name of the newest document about an artefact."""
        return next((name for name in reversed(self.names(head)) if name.split("/")[3:4] == [digest]), None)

    def open(self, name: str) -> tuple[dict[str, Any], str]:
        """The document and the digest of its text; raises PromotionError when it is not what was stored."""
        text = self._store.get(name)
        return unseal(text, name, self._key), sha256(text)

    def write(self, document: Mapping[str, Any]) -> str:
        """Sign and store; its name."""
        name = name_of(document)
        self._store.put(name, seal(document, self._key))
        return name


class Judge:
    """Judges by the data, for one moment."""

    def __init__(self, policy: Mapping[str, Any], ledger: Callable[[str], Ledger], now: datetime.datetime) -> None:
        self._rungs, self._ledger, self._now = policy["rungs"], ledger, now

    def rows(self, environment: str, artefact: Mapping[str, Any]) -> list[Row]:
        """What `environment` has to show before the artefact leaves it."""
        demanded = self._rungs[environment]["proofs"]
        return [self._row(kind, environment, artefact, days, self._now) for kind, days in demanded.items()]

    def _row(self, kind: str, environment: str, artefact: Mapping[str, Any], days: float, at: datetime.datetime) -> Row:
        """`at`: the moment for which the age counts."""
        ledger, head = self._ledger(environment), f"proofs/{kind}"
        todo = _todo(kind, environment)
        if kind == CHAIN:
            ledger, head = self._ledger(below(environment)), f"promotions/{environment}"
        name = ledger.newest(head, artefact["digest"])
        if name is None:
            return self._absent(kind, ledger, head, artefact, todo)
        try:
            document, digest = ledger.open(name)
        except PromotionError as error:
            return Row(kind, "tampered", f"{name}: {error}", todo, name=name)
        state, why = self._state(document, ledger.environment, at, days)
        age = round((self._now - when(document["taken"])) / DAY, 1)
        return Row(kind, state, why, "" if state == "ok" else todo, age, name, digest)

    def _state(
        self, document: Mapping[str, Any], environment: str, at: datetime.datetime, days: float
    ) -> tuple[str, str]:
        taken = when(document["taken"])
        if taken > self._now + SKEW:
            return "tampered", f"it was taken on {document['taken']}, which is not yet"
        if (at - taken) / DAY > days:
            return "too_old", f"it is of {document['taken']}, older than {days:g} days"
        if document["kind"] != CHAIN:
            return ("ok" if document["ok"] is True else "failed"), document["detail"]
        if lacking := self._overdue(document, environment):
            return "failed", f"it came by the emergency {document['emergency']['ticket']}, still without {lacking}"
        return "ok", f"promoted from {environment}" + (" as an emergency" if document["emergency"] else "")

    def _absent(self, kind: str, ledger: Ledger, head: str, artefact: Mapping[str, Any], todo: str) -> Row:
        others = ledger.names(head)
        if not others:
            return Row(kind, "missing", "there is none", todo)
        try:
            other = ledger.open(others[-1])[0]["artefact"]
        except PromotionError as error:
            return Row(kind, "tampered", f"{others[-1]}: {error}", todo, name=others[-1])
        differs = [part for part in ("commit", "images", "locks", "templates") if other[part] != artefact[part]]
        why = f"the newest is about commit {other['commit'][:12]}, other in: {', '.join(differs)}"
        return Row(kind, "wrong_artefact", why, todo, name=others[-1])

    # -- emergencies

    def emergencies(self, environment: str) -> list[Row]:
        """A row per emergency out of an environment that is open or overdue, and per record that was tampered with."""
        ledger, found = self._ledger(environment), []
        for name in ledger.names("promotions"):
            try:
                record, digest = ledger.open(name)
            except PromotionError as error:
                why = f"{name}: {error}"
                found.append(Row("record", "tampered", why, "Ask who changed it; put back what was stored", name=name))
                continue
            if row := self._emergency(record, environment, name, digest):
                found.append(row)
        return found

    def _emergency(self, record: Mapping[str, Any], environment: str, name: str, digest: str) -> Row | None:
        how = record["emergency"]
        lacking = self._lacking(record, environment) if how else []
        if not lacking:
            return None
        over = when(how["expires"]) < self._now
        why = (
            f"{how['ticket']} of {' and '.join(how['names'])} to {record['to']} {'ended' if over else 'ends'} "
            f"{how['expires']}, without {', '.join(row.proof for row in lacking)}: {how['reason']}"
        )
        todo = f"git checkout {record['artefact']['commit'][:12]}, then: " + "; ".join(row.todo for row in lacking)
        age = round((self._now - when(record["taken"])) / DAY, 1)
        return Row("emergency", "overdue" if over else OPEN, why, todo, age, name, digest)

    def _lacking(self, record: Mapping[str, Any], environment: str) -> list[Row]:
        """What an emergency went without and still has not. An age counts as of then: what was too old stays so."""
        demanded, at = self._rungs[environment].get("proofs") or {}, when(record["taken"])
        without = [one["proof"] for one in record["emergency"]["without"]]
        rows = [self._row(one, environment, record["artefact"], demanded.get(one, float("inf")), at) for one in without]
        return [row for row in rows if row.state != "ok"]

    def _overdue(self, record: Mapping[str, Any], environment: str) -> str:
        if not record["emergency"] or when(record["emergency"]["expires"]) >= self._now:
            return ""
        return ", ".join(row.proof for row in self._lacking(record, environment))


def emergency_of(
    asked: Mapping[str, Any], policy: Mapping[str, Any], without: list[Row], now: datetime.datetime
) -> dict[str, Any]:
    """The emergency as the record holds it; raises PromotionError with every fault of what was asked."""
    names, hours = [str(one) for one in asked.get("names") or []], asked.get("hours")
    faults = []
    if len(names) != 2 or len(set(names)) != 2:
        faults.append("names: write two, of two people")
    faults += [
        f"names: {name} is not in promotion.emergency_approvers of {FILE}"
        for name in sorted(set(names) - set(policy["emergency_approvers"]))
    ]
    faults += [f"{key}: is empty" for key in ("reason", "ticket") if not str(asked.get(key) or "").strip()]
    most = policy["emergency_max_hours"]
    if not isinstance(hours, (int, float)) or not 0 < hours <= most:
        faults.append(f"hours: write a number above 0, up to {most}")
    if faults:
        raise PromotionError("The emergency is refused:\n  " + "\n  ".join(faults))
    return {
        "names": sorted(names),
        "reason": str(asked["reason"]).strip(),
        "ticket": str(asked["ticket"]).strip(),
        "expires": (now + datetime.timedelta(hours=float(hours or 0))).isoformat(timespec="seconds"),
        "without": [{"proof": row.proof, "state": row.state, "why": row.why} for row in without],
    }


def _todo(kind: str, environment: str) -> str:
    if kind == CHAIN:
        under = below(environment)
        return f"ansible-playbook playbooks/promote.yml -i inventories/{under} -e promotion_to={environment}"
    run = f"ansible-playbook {{}} -i inventories/{environment}"
    output = f"reports/proofs/{environment}/{kind}.log"
    first = {
        "converge": f"{run.format('site.yml')} > {output}",
        "idempotence": f"{run.format('site.yml')} > {output}",
        "verify": f"the tests, with --junit-xml=reports/proofs/{environment}/verify.xml",
        "rules": run.format("playbooks/rules.yml"),
        "restore_drill": f"a restore drill, told in reports/proofs/{environment}/restore_drill.json",
    }[kind]
    return f"{first}; then {run.format('playbooks/proof.yml')} -e proof={kind}"


# -- for people


def table(report: Mapping[str, Any], width: int = 150) -> list[str]:
    """Lines with proof, state, age, why, what to do; then the verdict."""
    head = {"proof": "proof", "state": "state", "age_days": "age", "why": "why", "todo": "what to do"}
    lines = columns(
        [
            (row["proof"], row["state"], _age(row["age_days"]), row["why"], row["todo"])
            for row in [head, *report["rows"]]
        ],
        width,
    )
    return [printable(line) for line in [*lines, summary(report)]]


def _age(days: Any) -> str:
    return f"{days:g} d" if isinstance(days, float) else str(days or "")


def summary(report: Mapping[str, Any]) -> str:
    """`lab -> dev, commit 0123456789ab, artefact 0123456789ab: promoted`."""
    what = report["artefact"]
    return (
        f"{report['from']} -> {report['to']}, commit {what['commit'][:12]}, artefact {what['digest'][:12]}: "
        f"{report['verdict']}"
    )


def refusal(report: Mapping[str, Any]) -> str:
    """One message that names what is wrong with each proof, and what to type."""
    bad = [row for row in report["rows"] if row["state"] not in ("ok", OPEN)]
    lines = [f"{row['proof']} ({row['state'].replace('_', ' ')}): {row['why']}. To do: {row['todo']}" for row in bad]
    return f"{summary(report)}\n  " + "\n  ".join(lines)


def plain(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows as plain data."""
    return [asdict(row) for row in rows]
