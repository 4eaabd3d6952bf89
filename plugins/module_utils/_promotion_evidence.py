"""What makes a proof: the end of a run, a JUnit file, the rules' report, a drill. Pure.

For internal use of this collection.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as Xml

from ansible_collections.atelier.datalab.plugins.module_utils._promotion import PromotionError, when

_RECAP = re.compile(
    r"^(?P<host>\S+)\s*: ok=\d+\s+changed=(?P<changed>\d+)\s+unreachable=(?P<unreachable>\d+)"
    r"\s+failed=(?P<failed>\d+)",
    re.MULTILINE,
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
Read = tuple[bool, str, datetime.datetime | None]  # good or not, in words, when it was taken where it says so


def read(kind: str, text: str, environment: str) -> Read:
    """Judge evidence.

    Args:
        kind: converge and idempotence take the output of ansible-playbook, verify a JUnit file, rules the JSON report
            of playbooks/rules.yml, restore_drill a JSON document (docs/howto/promote.md has its shape).
        text: the file's content.
        environment: which one it has to be about, where the evidence says.

    Raises:
        PromotionError: it is no evidence of this kind, or about another environment.
    """
    return _READERS[kind](text, environment)


def _recap(text: str) -> list[dict[str, Any]]:
    plain = _COLOUR.sub("", text)
    _, found, last = plain.rpartition("PLAY RECAP")
    hosts = [match.groupdict() for match in _RECAP.finditer(last)] if found else []
    if not hosts:
        raise PromotionError("it has no PLAY RECAP with hosts; it must be the whole output of ansible-playbook")
    return hosts


def _converge(text: str, _environment: str) -> Read:
    hosts = _recap(text)
    bad = [one["host"] for one in hosts if int(one["failed"]) or int(one["unreachable"])]
    return not bad, f"failed or unreachable: {', '.join(bad)}" if bad else f"{len(hosts)} hosts converged", None


def _idempotence(text: str, environment: str) -> Read:
    good, words, _ = _converge(text, environment)
    changed = [f"{one['host']} {one['changed']}" for one in _recap(text) if int(one["changed"])]
    if good and changed:
        return False, f"changed: {', '.join(changed)}", None
    return good, words if not good else "changed=0 on every host", None


def _verify(text: str, _environment: str) -> Read:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise PromotionError("it is no JUnit file as pytest writes it")
    try:
        root = Xml.fromstring(text)  # noqa: S314 entities are refused above
    except Xml.ParseError as error:
        raise PromotionError(f"it is no JUnit file: {error}") from error
    cases = list(root.iter("testcase"))
    bad = [str(case.get("name")) for case in cases if any(case.find(one) is not None for one in ("failure", "error"))]
    ran = sum(case.find("skipped") is None for case in cases)
    if bad:
        return False, f"failed: {', '.join(bad[:10])}", None
    return bool(ran), f"{ran} tests passed" if ran else "no test ran", None


def _json(text: str, environment: str, keys: tuple[str, ...]) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise PromotionError(f"it is no JSON: {error}") from error
    if not isinstance(found, dict) or (lacking := [key for key in keys if key not in found]):
        raise PromotionError(f"it has no {', '.join(lacking) if isinstance(found, dict) else 'keys'}")
    if found["environment"] != environment:
        raise PromotionError(f"it is about {found['environment']}, not about {environment}")
    return found


def _rules(text: str, environment: str) -> Read:
    report = _json(text, environment, ("environment", "day", "taken", "counts"))
    try:
        taken = datetime.datetime.strptime(report["taken"], "%Y-%m-%d %H:%M UTC").replace(tzinfo=datetime.UTC)
        refused = int(report["counts"]["refuse"])
    except (KeyError, TypeError, ValueError) as error:
        raise PromotionError("it is no report of playbooks/rules.yml") from error
    return not refused, f"{refused} refused", taken


def _restore_drill(text: str, environment: str) -> Read:
    drill = _json(text, environment, ("environment", "taken", "machine", "recovery_point", "result"))
    words = f"{drill['machine']} from {drill['recovery_point']}: {drill['result']}"
    return drill["result"] == "restored", words, when(drill["taken"])


_READERS: dict[str, Callable[[str, str], Read]] = {
    "converge": _converge,
    "idempotence": _idempotence,
    "verify": _verify,
    "rules": _rules,
    "restore_drill": _restore_drill,
}
