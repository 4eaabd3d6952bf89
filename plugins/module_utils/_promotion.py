"""Promotion's data and documents: what each rung demands, what a proof or a record says, how it is named and sealed.

Pure. For internal use of this collection.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._rules import LADDER

KINDS = ("converge", "idempotence", "verify", "rules", "restore_drill")
CHAIN = "promotion"  # demanded like a proof: the record by which the artefact came to this rung
SKEW = datetime.timedelta(minutes=5)  # between the clocks of those who sign and those who judge
FILE = "inventories/shared/promotion.yml"
LOCK_MODES = ("GOVERNANCE", "COMPLIANCE")


class PromotionError(Exception):
    """Data, evidence, a document or a store cannot be used; the message says what to do."""


def canonical(value: Any) -> str:
    """JSON with one spelling: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def sha256(data: str | bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


# -- the data


def check_policy(policy: Any, members: list[str]) -> None:
    """Raise PromotionError with every fault of the data in one message.

    Args:
        policy: the variable `promotion`.
        members: logins of the environment's members; approvers of an emergency are among them.
    """
    faults = [f"{FILE}: promotion{key}: {reason}" for key, reason in _faults(policy, members)]
    if faults:
        raise PromotionError("The data of the promotion is wrong:\n  " + "\n  ".join(faults))


def _faults(policy: Any, members: list[str]) -> list[tuple[str, str]]:
    if not isinstance(policy, Mapping):
        return [("", "is not a mapping; docs/howto/promote.md shows one")]
    found = [
        (f".{key}", "is not known; remove it")
        for key in policy
        if key not in ("rungs", "emergency_approvers", "emergency_max_hours")
    ]
    if not _positive(policy.get("emergency_max_hours")):
        found.append((".emergency_max_hours", "write hours as a number above 0, such as 72"))
    approvers = policy.get("emergency_approvers")
    if not isinstance(approvers, list) or len(set(map(str, approvers))) < 2:
        found.append((".emergency_approvers", "is not a list of two members or more; an emergency takes two of them"))
    else:
        strangers = sorted({str(one) for one in approvers} - set(members))
        found += [
            (".emergency_approvers", f"{one} is no member of this environment; take somebody who is")
            for one in strangers
        ]
    rungs = policy.get("rungs")
    if not isinstance(rungs, Mapping):
        return [*found, (".rungs", f"is not a mapping of {', '.join(LADDER)}")]
    found += [(f".rungs.{name}", f"is no rung; rungs are {', '.join(LADDER)}") for name in rungs if name not in LADDER]
    for name in LADDER:
        if not isinstance(rungs.get(name), Mapping):
            found.append((f".rungs.{name}", "is missing; write its store, key and proofs"))
        else:
            found += [(f".rungs.{name}{key}", reason) for key, reason in _rung_faults(name, rungs[name])]
    return found


def _rung_faults(name: str, rung: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [(f".{key}", "is not known; remove it") for key in rung if key not in ("store", "key", "proofs")]
    store, key, proofs = rung.get("store"), rung.get("key"), rung.get("proofs")
    if not _one_of(store, ("folder", "bucket")):
        found.append((".store", "write one of folder: /path and bucket: name"))
    elif not _lock_or_none(store.get("object_lock")):
        found.append((".store.object_lock", "write {mode: GOVERNANCE or COMPLIANCE, days: a number above 0}"))
    if not _one_of(key, ("kms_key", "public_key")):
        found.append((".key", "write one of kms_key: ARN and public_key: Ed25519 in base64"))
    top = name == LADDER[-1]
    if top and proofs:
        found.append((".proofs", "nothing is above the last rung, so it demands none; remove them"))
    elif not top and (not isinstance(proofs, Mapping) or not proofs):
        found.append((".proofs", "is empty; write proof: days, such as converge: 7"))
    elif not top:
        known = KINDS if name == LADDER[0] else (*KINDS, CHAIN)
        found += [
            (f".proofs.{kind}", f"is no proof of {name}; proofs are {', '.join(known)}")
            for kind in proofs
            if kind not in known
        ]
        found += [
            (f".proofs.{kind}", f"{days!r} is no age; write days as a number above 0")
            for kind, days in proofs.items()
            if not _positive(days)
        ]
    return found


def _one_of(value: Any, names: tuple[str, str]) -> bool:
    return isinstance(value, Mapping) and sum(bool(value.get(name)) for name in names) == 1


def _lock_or_none(lock: Any) -> bool:
    if lock is None:
        return True
    return isinstance(lock, Mapping) and lock.get("mode") in LOCK_MODES and _positive(lock.get("days"))


def _positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def below(environment: str) -> str:
    """The rung below; raises PromotionError for the first rung and for what is none."""
    if environment not in LADDER[1:]:
        raise PromotionError(f"to: {environment!r} has no rung below; write one of {', '.join(LADDER[1:])}")
    return LADDER[LADDER.index(environment) - 1]


# -- the artefact


def artefact(
    commit: str, images: Mapping[str, str], locks: Mapping[str, str], templates: Mapping[str, str]
) -> dict[str, Any]:
    """What is promoted, with `digest`, the SHA-256 over all of it.

    Args:
        commit: full id of the commit.
        images: id by key of the data.
        locks: SHA-256 of a lock's bytes by path; templates: SHA-256 of a parsed template by path.
    """
    parts: dict[str, Any] = {
        "commit": commit, "images": dict(images), "locks": dict(locks), "templates": dict(templates),
    }  # fmt: skip
    return {**parts, "digest": sha256(canonical(parts))}


# -- documents


@dataclass(frozen=True)
class Key:
    """How documents of one environment are signed and checked: `sign(digest)`, `check(digest, signature)`."""

    name: str
    algorithm: str
    sign: Callable[[bytes], str]
    check: Callable[[bytes, str], bool]


def stamp(moment: datetime.datetime) -> str:
    """`20270115T120000Z`."""
    return moment.astimezone(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")


def when(text: Any) -> datetime.datetime:
    """A moment with its offset; raises PromotionError for what is none."""
    try:
        moment = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise PromotionError(f"{text!r} is no moment; write it as 2027-01-15T12:00:00+00:00")
    return moment


def name_of(document: Mapping[str, Any]) -> str:
    """Where a document is kept: what it is about is in its name, so one that was moved is told by its place."""
    head = f"{document['environment']}/{'promotions' if document['kind'] == CHAIN else 'proofs'}"
    middle = f"{document['to']}/" if document["kind"] == CHAIN else f"{document['kind']}/"
    return f"{head}/{middle}{document['artefact']['digest']}/{stamp(when(document['taken']))}.json"


def seal(document: Mapping[str, Any], key: Key) -> str:
    """The text to store: the document and its signature."""
    signed = {"algorithm": key.algorithm, "key": key.name}
    value = key.sign(_digest(document, signed))
    return canonical({"document": document, "signature": {**signed, "value": value}}) + "\n"


def unseal(text: str, name: str, key: Key) -> dict[str, Any]:
    """The document in a stored text.

    Raises:
        PromotionError: it is cut off, changed, signed by another key, or kept under another name than its own.
    """
    try:
        whole = json.loads(text)
        document, signature = whole["document"], whole["signature"]
        own = name_of(document)
        signed = {"algorithm": signature["algorithm"], "key": signature["key"]}
        value = str(signature["value"])
    except (ValueError, KeyError, TypeError, PromotionError) as error:
        raise PromotionError("it is cut off or no document of a promotion") from error
    if signed != {"algorithm": key.algorithm, "key": key.name}:
        raise PromotionError(f"it is signed by another key ({signed['key']}), not by {key.name}")
    # Only the one spelling is valid, so that no byte can be changed without it being seen.
    spelled = canonical({"document": document, "signature": {**signed, "value": value}}) + "\n"
    if text != spelled or not key.check(_digest(document, signed), value):
        raise PromotionError("it was changed after it was signed")
    parts = {part: value for part, value in document["artefact"].items() if part != "digest"}
    if sha256(canonical(parts)) != document["artefact"]["digest"]:
        raise PromotionError("its artefact is not what its digest says")
    if own != name:
        raise PromotionError(f"it was put here from {own}, it is about another environment, artefact or moment")
    return dict(document)


def _digest(document: Mapping[str, Any], signed: Mapping[str, str]) -> bytes:
    # KMS signs messages of up to 4,096 bytes; the digest has no such limit.
    return hashlib.sha256(canonical({"document": document, "signature": signed}).encode()).digest()
