"""What the modules `proof` and `promotion` share: their options, ledgers, the artefact; and the promotion itself.

For internal use of this collection.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import cache
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import (
    _aws,
    _promotion,
    _promotion_judge,
    _promotion_store,
)
from ansible_collections.atelier.datalab.plugins.module_utils._promotion_judge import OPEN, Judge, Ledger, Row

ARGUMENTS: dict[str, Any] = {
    "environment": {"type": "str", "required": True, "choices": ["lab", "dev", "preprod", "prod"]},
    "policy": {"type": "dict", "required": True},
    "members": {"type": "list", "elements": "str", "required": True},
    "images": {"type": "dict", "required": True},
    "checkout": {"type": "path", "required": True},
    "locks": {"type": "path"},
    "private_key": {"type": "str", "no_log": True},
}
ERRORS = (_promotion.PromotionError, OSError, *_aws.AWS_ERRORS)


def now() -> datetime.datetime:
    """The present, to the second."""
    return datetime.datetime.now(tz=datetime.UTC).replace(microsecond=0)


def words(error: Exception) -> str:
    """An error in the words to show."""
    if isinstance(error, (_promotion.PromotionError, OSError)):
        return str(error)
    return f"Proofs and records cannot be read or stored: {_aws.sentence(error)}"


def ledgers(module: Any, moment: datetime.datetime) -> Callable[[str], Ledger]:
    """The ledger of each environment; raises PromotionError where the data is wrong."""
    params = module.params
    _promotion.check_policy(params["policy"], params["members"])

    @cache
    def ledger(environment: str) -> Ledger:
        rung = params["policy"]["rungs"][environment]
        private = params["private_key"] if environment == params["environment"] else None
        key = _promotion_store.key(rung, client, private)
        return Ledger(environment, _promotion_store.store(rung, client, moment), key)

    @cache
    def client(service: str) -> Any:
        return _aws.client(module, service)

    return ledger


def artefact(module: Any) -> tuple[dict[str, Any], datetime.datetime]:
    """What the checkout is, and when its commit was made."""
    params = module.params
    return _promotion_store.read_artefact(params["checkout"], params["images"], params["locks"])


def promote(module: Any, moment: datetime.datetime) -> tuple[bool, dict[str, Any]]:
    """Judge, and record what may go up. Returns whether something is (or would be) written, and the report.

    Raises:
        PromotionError: the data, the way, the checkout or the emergency is wrong.
    """
    params = module.params
    environment, to = params["environment"], params["to"]
    if (under := _promotion.below(to)) != environment:
        raise _promotion.PromotionError(
            f"{environment} -> {to}: {to} is reached from {under} only, no rung is left out. "
            f"Type: ansible-playbook playbooks/promote.yml -i inventories/{under} -e promotion_to={to}"
        )
    ledger = ledgers(module, moment)
    what, _ = artefact(module)
    judge = Judge(params["policy"], ledger, moment)
    rows, debts = judge.rows(environment, what), judge.emergencies(environment)
    lacking = [row for row in rows if row.state != "ok"]
    blocked = any(row.state != OPEN for row in debts)
    emergency = None
    if params["emergency"] and lacking:
        emergency = _promotion_judge.emergency_of(params["emergency"], params["policy"], lacking, moment)
    report = {
        "from": environment, "to": to, "taken": moment.isoformat(), "artefact": what, "emergency": emergency,
        "rows": _promotion_judge.plain(rows + debts), "refused": blocked or bool(lacking and not emergency),
    }  # fmt: skip
    report["verdict"], report["record"] = "refused", ""
    if report["refused"]:
        return False, report
    document = _document(report, rows)
    if there := _there(ledger(environment), document):
        return False, report | {"verdict": "promoted already", "record": there}
    if module.check_mode:
        return True, report | {"verdict": "would be promoted", "record": _promotion.name_of(document)}
    verdict = f"promoted as an emergency until {emergency['expires']}" if emergency else "promoted"
    return True, report | {"verdict": verdict, "record": ledger(environment).write(document)}


def _document(report: dict[str, Any], rows: list[Row]) -> dict[str, Any]:
    return {
        "kind": _promotion.CHAIN,
        "environment": report["from"],
        "to": report["to"],
        "artefact": report["artefact"],
        "taken": report["taken"],
        "emergency": report["emergency"],
        "proofs": [{"proof": row.proof, "name": row.name, "sha256": row.sha256} for row in rows if row.state == "ok"],
    }


def _there(ledger: Ledger, document: dict[str, Any]) -> str:
    """Name of the newest record about the same, if it says the same."""
    name = ledger.newest(f"promotions/{document['to']}", document["artefact"]["digest"])
    if not name:
        return ""
    old, new = ledger.open(name)[0]["emergency"], document["emergency"]
    if old is None or new is None:
        return name if old == new else ""
    same = all(old[key] == new[key] for key in ("names", "reason", "ticket"))
    return name if same else ""
