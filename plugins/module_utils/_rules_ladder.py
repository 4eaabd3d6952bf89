"""What makes rules and exceptions wrong as data: a ladder that weakens upwards, absolute rules set weaker,
exceptions that cannot be granted. Pure.

Each check is tolerant of what the shape (`_model_rules`) reports.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator

from ansible_collections.atelier.datalab.plugins.module_utils._model_node import Node, doubles, unknown
from ansible_collections.atelier.datalab.plugins.module_utils._model_offences import MISSING, Offence
from ansible_collections.atelier.datalab.plugins.module_utils._model_rules import Rules
from ansible_collections.atelier.datalab.plugins.module_utils._rules import (
    LADDER,
    OF_EXCEPTIONS,
    STRENGTH,
    hardenings,
    rung,
    severity_at,
)

# Outside lab these refuse whatever the data says: weakening them there is itself a fault.
ABSOLUTE = ("approved_image", "encryption", "imdsv2", "public_address")
EVERYWHERE = "open_world"  # refuses in lab too, and nobody is excepted
_LIMITS = {"max_days": (1, "higher", "lower"), "min_days": (-1, "lower", "higher")}


def check(root: Node) -> Iterator[Offence]:
    """Every offence in rules and exceptions that one value alone does not show."""
    for name, rule in root["rules"].entries():
        softens = list(_softens(rule))
        yield from softens
        if name in (*ABSOLUTE, EVERYWHERE):
            yield from _absolute(root, name, rule)
        else:  # what softens is one fault, also where it is then weaker than below
            yield from (one for one in _weakens(name, rule) if one.path not in {other.path for other in softens})
        yield from _limits(rule)
    # One severity per rule is how releases before the ladder wrote it, a file per environment. It stays valid.
    if any(isinstance(rule["severity"].value, dict) for _, rule in root["rules"].entries()):
        yield from _anonymous(root["rules"])
    yield from _exceptions(root)


def _anonymous(rules: Node) -> Iterator[Offence]:
    """Rules that are left out, or do not say what is wanted and by whom."""
    told = (("text", "what core IT wants, in one sentence"), ("source", "who says so: document and section"))
    for name in Rules.model_fields:
        rule = rules[name]
        if rule.value is None:
            instead = f'write it as docs/howto/rules.md shows; severity: "off" where core IT does not ask for {name}'
            yield Offence(rule.path, MISSING, "is missing", instead)
        for key, instead in told if isinstance(rule.value, dict) else ():
            if rule[key].value is None:
                yield Offence((*rule.path, key), MISSING, "is missing", f"add {key}: {instead}")


def _weakens(name: str, rule: Node) -> Iterator[Offence]:
    """On the first day and on each later one that changes something; each rung is accused once."""
    accused = set()
    for day, place in [(datetime.date.min, rule["severity"]), *hardenings(rule)]:
        words = {environment: severity_at(rule, environment, day) for environment in LADDER}
        for lower, upper in itertools.pairwise(LADDER):
            below, above = words[lower], words[upper]
            if below is None or above is None or upper in accused or STRENGTH.index(above) >= STRENGTH.index(below):
                continue
            accused.add(upper)
            node = place[upper] if place[upper].value is not None else place
            yield node.wrong(
                f"leaves {name} weaker in {upper} ({above}) than in {lower} ({below})",
                f"write {below} for {upper} too, or weaken {lower}: what passes below must not surprise above",
            )


def _softens(rule: Node) -> Iterator[Offence]:
    for day, changes in hardenings(rule):
        for environment, node in changes.entries():
            before = severity_at(rule, environment, day - datetime.timedelta(days=1))
            if before and node.text in STRENGTH and STRENGTH.index(node.text) < STRENGTH.index(before):
                yield node.wrong(f"is weaker than what holds before ({before})", "remove it: rules only harden")


def _limits(rule: Node) -> Iterator[Offence]:
    for key, (sign, bad, good) in _LIMITS.items():
        for lower, upper in itertools.pairwise(LADDER):
            below, above = (rung(rule[key], environment).number for environment in (lower, upper))
            if isinstance(rule[key].value, dict) and below and above and (above - below) * sign > 0:
                yield rule[key][upper].wrong(f"is {bad} than in {lower} ({below})", f"write {below} or a {good} number")


def _absolute(root: Node, name: str, rule: Node) -> Iterator[Offence]:
    severity = rule["severity"]
    here = root["platform"]["environment"].text
    for environment in LADDER if isinstance(severity.value, dict) else (here,):
        node = rung(severity, environment or "")
        if node.text in ("off", "warn") and (name == EVERYWHERE or environment != "lab"):
            where = "anywhere" if name == EVERYWHERE else "outside lab"
            yield node.wrong(f"is too weak for {name}, which may not be broken {where}", "write refuse")


def _exceptions(root: Node) -> Iterator[Offence]:
    granted = []
    for one in root["exceptions"]:
        yield from unknown(one["rule"], root["rules"], "rule")
        yield from unknown(one["owner"], root["members"], "member", "login")
        if one["rule"].text in (EVERYWHERE, OF_EXCEPTIONS):
            yield one["rule"].wrong("is a rule without exceptions", "repair the cause and remove the entry")
        pair = (one["rule"].text, one["subject"].text)
        granted.append((one["subject"], None if None in pair else f"from {pair[0]} for {pair[1]}"))
    yield from doubles(granted, "exception", "keep one entry with the date that was granted last")
