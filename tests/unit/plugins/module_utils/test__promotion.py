"""May an artefact go up: every proof of every rung, every way to tamper, every fault of the data, emergencies."""

from __future__ import annotations

import copy
import datetime
import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import (
    _promotion,
    _promotion_evidence,
    _promotion_judge,
)
from ansible_collections.atelier.datalab.plugins.module_utils._promotion import PromotionError
from ansible_collections.atelier.datalab.plugins.module_utils._promotion_judge import Judge, Ledger, Row

from tests.promotion_world import EVERY, KEYS, MEMBERS, NOW, OTHER, SHIPPED, THIS, Memory, key, pair, proof


class World:
    """All that SHIPPED demands, in one store per environment."""

    def __init__(self, *without: tuple[str, str]) -> None:
        self.ledgers = {name: Ledger(name, Memory(), KEYS[name]) for name in KEYS}
        for rung, kind in EVERY:
            if (rung, kind) not in without:
                self.add(proof(kind, rung))

    def add(self, document: dict[str, Any]) -> str:
        return self.ledgers[document["environment"]].write(document)

    def texts(self, environment: str) -> dict[str, str]:
        return self.ledgers[environment]._store.texts

    def judge(self, now: datetime.datetime = NOW) -> Judge:
        return Judge(SHIPPED, self.ledgers.__getitem__, now)

    def bad(self, rung: str, now: datetime.datetime = NOW) -> dict[str, Row]:
        return {row.proof: row for row in self.judge(now).rows(rung, THIS) if row.state != "ok"}


# -- proofs


@pytest.mark.parametrize("rung", ["lab", "dev", "preprod"])
def test_all_there_passes(rung: str) -> None:
    rows = World().judge().rows(rung, THIS)
    assert [(row.proof, row.state) for row in rows] == [(one, "ok") for one in SHIPPED["rungs"][rung]["proofs"]]
    assert all(row.age_days == 0.5 and row.sha256 and not row.todo for row in rows)


@pytest.mark.parametrize(("rung", "kind"), EVERY)
def test_each_missing_proof_is_named_with_what_to_type(rung: str, kind: str) -> None:
    (row,) = World((rung, kind)).bad(rung).values()
    assert (row.proof, row.state) == (kind, "missing")
    if kind == "promotion":
        assert row.todo == "ansible-playbook playbooks/promote.yml -i inventories/dev -e promotion_to=preprod"
    else:
        assert row.todo.endswith(f"ansible-playbook playbooks/proof.yml -i inventories/{rung} -e proof={kind}")


@pytest.mark.parametrize(("rung", "kind"), EVERY)
def test_each_old_proof_is_refused(rung: str, kind: str) -> None:
    days = SHIPPED["rungs"][rung]["proofs"][kind]
    world = World((rung, kind))
    world.add(proof(kind, rung, days + 0.01))
    assert world.bad(rung)[kind].state == "too_old"
    world.add(proof(kind, rung, days))
    assert not world.bad(rung)


@pytest.mark.parametrize(("rung", "kind"), [one for one in EVERY if one[1] != "promotion"])
def test_each_failed_proof_is_refused_even_after_a_good_one(rung: str, kind: str) -> None:
    world = World()
    world.add(proof(kind, rung, 0.1, ok=False, detail="3 refused"))
    assert (world.bad(rung)[kind].state, world.bad(rung)[kind].why) == ("failed", "3 refused")


@pytest.mark.parametrize(("rung", "kind"), EVERY)
def test_each_proof_of_another_artefact_is_refused(rung: str, kind: str) -> None:
    world = World((rung, kind))
    world.add(proof(kind, rung, artefact=OTHER))
    row = world.bad(rung)[kind]
    assert row.state == "wrong_artefact"
    assert row.why == "the newest is about commit dddddddddddd, other in: commit"


def test_a_proof_of_tomorrow_is_refused() -> None:
    world = World(("lab", "rules"))
    world.add(proof("rules", "lab", -1))
    assert world.bad("lab")["rules"].state == "tampered"


# -- tampering


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, dict) and node:
        for name, inside in node.items():
            yield from places(inside, (*path, name))
    else:
        yield path


SEALED = json.loads(_promotion.seal(proof("rules", "lab"), KEYS["lab"]))
RECORD = json.loads(_promotion.seal(proof("promotion", "dev"), KEYS["lab"]))


def changed(sealed: dict[str, Any], path: tuple[Any, ...]) -> str:
    whole = copy.deepcopy(sealed)
    node = whole
    for part in path[:-1]:
        node = node[part]
    old = node[path[-1]]
    node[path[-1]] = (
        (not old) if isinstance(old, bool) else "x" if old in (None, []) else old[:-3] + old[-3:][::-1] + "A"
    )
    return _promotion.canonical(whole) + "\n"


@pytest.mark.parametrize(
    ("sealed", "path"),
    [pytest.param(one, path, id=".".join(path)) for one in (SEALED, RECORD) for path in places(one)],
)
def test_every_changed_field_is_detected(sealed: dict[str, Any], path: tuple[Any, ...]) -> None:
    name = _promotion.name_of(sealed["document"])
    assert _promotion.unseal(_promotion.canonical(sealed) + "\n", name, KEYS["lab"]) == sealed["document"]
    with pytest.raises(PromotionError):
        _promotion.unseal(changed(sealed, path), name, KEYS["lab"])


def test_the_row_names_what_was_tampered_with() -> None:
    world = World()
    texts = world.texts("lab")
    name = next(one for one in texts if "/rules/" in one)
    texts[name] = texts[name].replace('"fine"', '"good"')
    row = world.bad("lab")["rules"]
    assert (row.state, row.why) == ("tampered", f"{name}: it was changed after it was signed")


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "x"])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(PromotionError, match="cut off"):
        _promotion.unseal(text, "x", KEYS["lab"])


def test_every_cut_and_every_addition_is_detected() -> None:
    text, name = _promotion.canonical(SEALED) + "\n", _promotion.name_of(SEALED["document"])
    for size in range(len(text)):
        with pytest.raises(PromotionError):
            _promotion.unseal(text[:size], name, KEYS["lab"])
    for more in (" ", "\n"):
        with pytest.raises(PromotionError, match="changed"):
            _promotion.unseal(text + more, name, KEYS["lab"])
    added = copy.deepcopy(SEALED) | {"note": "x"}
    with pytest.raises(PromotionError, match="changed"):
        _promotion.unseal(_promotion.canonical(added) + "\n", name, KEYS["lab"])


def test_a_document_in_anothers_place_is_detected() -> None:
    """A good proof of another artefact, environment, kind or time, copied to where one is demanded."""
    for other in (
        proof("rules", "lab", artefact=OTHER), proof("verify", "lab"), proof("rules", "lab", 30), proof("rules", "dev"),
    ):  # fmt: skip
        world = World(("lab", "rules"))
        own, wanted = _promotion.name_of(other), _promotion.name_of(proof("rules", "lab"))
        world.texts("lab")[wanted] = _promotion.seal(other, KEYS["lab"])
        row = world.bad("lab")["rules"]
        assert row.state == "tampered"
        assert own in row.why


def test_another_key_is_detected() -> None:
    stranger = key(*pair())
    world = World(("lab", "rules"))
    document = proof("rules", "lab")
    name = _promotion.name_of(document)
    world.texts("lab")[name] = _promotion.seal(document, stranger)
    assert "signed by another key" in world.bad("lab")["rules"].why
    named = _promotion.Key(KEYS["lab"].name, stranger.algorithm, stranger.sign, stranger.check)
    world.texts("lab")[name] = _promotion.seal(document, named)
    assert "changed after it was signed" in world.bad("lab")["rules"].why


def test_a_false_artefact_that_is_signed_is_detected() -> None:
    document = proof("rules", "lab", artefact={**THIS, "commit": "d" * 40})
    with pytest.raises(PromotionError, match="not what its digest says"):
        _promotion.unseal(_promotion.seal(document, KEYS["lab"]), _promotion.name_of(document), KEYS["lab"])


def test_keys_that_cannot_sign() -> None:
    public, private = pair()
    for given, words in ((None, "no private key"), ("x", "no Ed25519 key"), (pair()[1], "not the one that belongs")):
        with pytest.raises(PromotionError, match=words) as caught:
            key(public, given).sign(b"x")
        assert private not in str(caught.value)
        assert not given or len(given) == 1 or given not in str(caught.value)
    with pytest.raises(PromotionError, match="not 32 bytes"):
        key("AAAA", private)


# -- emergencies

ASKED = {"names": ["dave", "alice"], "reason": "Logins fail", "ticket": "OPS-7", "hours": 24.0}
HOUR = datetime.timedelta(hours=1)


def in_emergency(world: World, rung: str, to: str) -> dict[str, Any]:
    """Promotes as one; the proofs that are not there are recorded."""
    without = list(world.bad(rung).values())
    how = _promotion_judge.emergency_of(ASKED, SHIPPED, without, NOW)
    record = proof("promotion", to, 0, emergency=how)
    world.add(record)
    return record


def test_an_emergency_is_seen_and_when_it_ended_nothing_leaves_until_its_proofs_are_there() -> None:
    world = World(("lab", "rules"), ("lab", "verify"))
    in_emergency(world, "lab", "dev")
    (row,) = world.judge(NOW + 24 * HOUR).emergencies("lab")
    assert (row.state, row.proof) == ("emergency", "emergency")
    assert "OPS-7 of alice and dave to dev ends 2027-01-16T12:00:00+00:00, without verify, rules" in row.why
    late = NOW + 25 * HOUR
    (row,) = world.judge(late).emergencies("lab")
    assert row.state == "overdue"
    assert "proof=rules" in row.todo
    assert "proof=verify" in row.todo
    world.add(proof("rules", "lab", -1))
    (row,) = world.judge(late).emergencies("lab")
    assert "without verify:" in row.why
    world.add(proof("verify", "lab", -1, ok=False))
    assert world.judge(late).emergencies("lab")
    world.add(proof("verify", "lab", -1.02))
    assert world.judge(late).emergencies("lab") == []


def test_a_proof_that_was_too_old_for_the_emergency_does_not_settle_it() -> None:
    world = World(("lab", "rules"))
    world.add(proof("rules", "lab", 30))
    in_emergency(world, "lab", "dev")
    (row,) = world.judge(NOW + 25 * HOUR).emergencies("lab")
    assert row.state == "overdue"


def test_the_artefact_of_an_ended_emergency_gets_no_further() -> None:
    world = World(("dev", "rules"), ("preprod", "promotion"))
    in_emergency(world, "dev", "preprod")
    assert not world.bad("preprod", NOW + HOUR)
    row = world.bad("preprod", NOW + 25 * HOUR)["promotion"]
    assert (row.state, row.why) == ("failed", "it came by the emergency OPS-7, still without rules")
    world.add(proof("rules", "dev", -1))
    assert "promotion" not in world.bad("preprod", NOW + 25 * HOUR)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ["alice", "alice"]}, "of two people"),
        ({"names": ["alice"]}, "of two people"),
        ({"names": ["alice", "carol", "dave"]}, "of two people"),
        ({"names": ["alice", "bob"]}, "bob is not in promotion.emergency_approvers"),
        ({"reason": " "}, "reason: is empty"),
        ({"ticket": ""}, "ticket: is empty"),
        ({"hours": 73}, "up to 72"),
        ({"hours": 0}, "up to 72"),
    ],
)
def test_an_emergency_that_is_not_one(change: dict[str, Any], words: str) -> None:
    with pytest.raises(PromotionError, match=words):
        _promotion_judge.emergency_of(ASKED | change, SHIPPED, [], NOW)


def test_a_record_that_was_tampered_with_is_told() -> None:
    world = World()
    name = world.add(proof("promotion", "dev", artefact=OTHER))
    world.texts("lab")[name] = world.texts("lab")[name].replace("dev", "Dev", 1)
    (row,) = world.judge().emergencies("lab")
    assert (row.state, row.proof) == ("tampered", "record")
    assert name in row.why


# -- the data


def test_the_shipped_data_is_valid() -> None:
    _promotion.check_policy(SHIPPED, MEMBERS)


def test_every_fault_of_the_data_is_told_at_once() -> None:
    policy = copy.deepcopy(SHIPPED)
    policy |= {"approvers": [], "emergency_max_hours": -1, "emergency_approvers": ["alice", "eve"]}
    rungs = policy["rungs"]
    rungs["lab"] = {"store": {}, "key": {"kms_key": "x", "public_key": "y"}, "proofs": {"promotion": 1, "magic": 2}}
    rungs["dev"]["proofs"] = {"rules": True}
    rungs["dev"]["store"]["object_lock"] = {"mode": "HARD", "days": 1}
    rungs["preprod"]["proofs"] = {}
    rungs["prod"]["proofs"] = {"rules": 1}
    rungs["test"] = {}
    with pytest.raises(PromotionError) as caught:
        _promotion.check_policy(policy, MEMBERS)
    told = [line.strip().split(": ")[1] for line in str(caught.value).splitlines()[1:]]
    assert sorted(told) == sorted(
        f"promotion.{key}"
        for key in (
            "approvers", "emergency_max_hours", "emergency_approvers", "rungs.test", "rungs.lab.store", "rungs.lab.key",
            "rungs.lab.proofs.promotion", "rungs.lab.proofs.magic", "rungs.dev.proofs.rules",
            # One store in the file, an alias for the three.
            "rungs.dev.store.object_lock", "rungs.preprod.store.object_lock", "rungs.prod.store.object_lock",
            "rungs.preprod.proofs", "rungs.prod.proofs",
        )
    )  # fmt: skip


@pytest.mark.parametrize("policy", [None, [], {}, {"rungs": []}, {"rungs": {"lab": None}}])
def test_data_of_another_shape(policy: Any) -> None:
    with pytest.raises(PromotionError, match=r"inventories/shared/promotion\.yml: promotion"):
        _promotion.check_policy(policy, MEMBERS)


def test_every_part_makes_the_artefact() -> None:
    parts = ("a", {"i": "1"}, {"l": "2"}, {"t": "3"})
    digests = {_promotion.artefact(*parts)["digest"]}
    for place, other in enumerate(("b", {"i": "2"}, {"l": "3"}, {"t": "4"})):
        digests.add(_promotion.artefact(*(other if n == place else part for n, part in enumerate(parts)))["digest"])
    assert len(digests) == 5


# -- evidence

RECAP = """TASK [x] ***
ok: [a]
PLAY RECAP *********************
a   : ok=3    changed={0}    unreachable={1}    failed={2}    skipped=0    rescued=0    ignored=0
b   : ok=3    changed=0    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0
"""
JUNIT = '<testsuites><testsuite><testcase name="one"/><testcase name="two">{}</testcase></testsuite></testsuites>'
DRILL = {"environment": "dev", "taken": "2027-01-14T03:00:00+00:00", "machine": "m", "recovery_point": "r"}
RULES = {"environment": "dev", "day": "2027-01-14", "taken": "2027-01-14 03:00 UTC", "counts": {"refuse": 0}}


@pytest.mark.parametrize(
    ("kind", "text", "ok", "words"),
    [
        ("converge", RECAP.format(2, 0, 0), True, "2 hosts converged"),
        ("converge", RECAP.format(0, 0, 1), False, "failed or unreachable: a"),
        ("converge", RECAP.format(0, 1, 0), False, "failed or unreachable: a"),
        ("converge", f"\x1b[0;32m{RECAP.format(0, 0, 0)}", True, "2 hosts converged"),
        ("converge", RECAP.format(0, 0, 0) + RECAP.format(0, 0, 1), False, "failed or unreachable: a"),
        ("idempotence", RECAP.format(0, 0, 0), True, "changed=0 on every host"),
        ("idempotence", RECAP.format(2, 0, 0), False, "changed: a 2"),
        ("idempotence", RECAP.format(0, 0, 1), False, "failed or unreachable: a"),
        ("verify", JUNIT.format(""), True, "2 tests passed"),
        ("verify", JUNIT.format("<failure/>"), False, "failed: two"),
        ("verify", JUNIT.format("<error/>"), False, "failed: two"),
        ("verify", JUNIT.format("<skipped/>"), True, "1 tests passed"),
        ("verify", "<testsuites/>", False, "no test ran"),
        ("rules", json.dumps(RULES), True, "0 refused"),
        ("rules", json.dumps(RULES | {"counts": {"refuse": 2}}), False, "2 refused"),
        ("restore_drill", json.dumps(DRILL | {"result": "restored"}), True, "m from r: restored"),
        ("restore_drill", json.dumps(DRILL | {"result": "failed"}), False, "m from r: failed"),
    ],
)
def test_evidence(kind: str, text: str, ok: bool, words: str) -> None:
    good, detail, taken = _promotion_evidence.read(kind, text, "dev")
    assert (good, detail) == (ok, words)
    told = datetime.datetime(2027, 1, 14, 3, tzinfo=datetime.UTC) if kind in ("rules", "restore_drill") else None
    assert taken == told


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("converge", "ERROR! no such playbook", "no PLAY RECAP"),
        ("converge", "PLAY RECAP ****\n", "no PLAY RECAP with hosts"),
        ("verify", "x", "no JUnit file"),
        ("verify", '<!DOCTYPE x [<!ENTITY y "z">]><x/>', "no JUnit file"),
        ("rules", json.dumps(RULES | {"environment": "lab"}), "about lab, not about dev"),
        ("rules", json.dumps(RULES | {"taken": "today"}), "no report"),
        ("rules", "[]", "has no keys"),
        ("rules", "x", "no JSON"),
        ("restore_drill", json.dumps(DRILL), "has no result"),
        ("restore_drill", json.dumps(DRILL | {"result": "restored", "taken": "2027-01-14"}), "no moment"),
    ],
)
def test_what_is_no_evidence(kind: str, text: str, words: str) -> None:
    with pytest.raises(PromotionError, match=words):
        _promotion_evidence.read(kind, text, "dev")
