"""From clues to a proposal: what a resource probably is, how sure that is, and why. Pure.

For internal use of this collection. A clue is a pattern over one fact, a weight, and what it speaks for. Clues of one
family (subnet and security group, process and port) say the same thing twice, so only the strongest of a family counts.
Families are taken as independent: confidence = 1 - (1 - w1)(1 - w2)..., the noisy-or of Pearl (Probabilistic Reasoning
in Intelligent Systems, 1988, 4.3.2).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

FIELDS = ("Project", "Owner", "Role")
_SHOWN = 5  # proofs per value and family


class CluesError(Exception):
    """The clues cannot be used; the message names every one that is wrong."""


@dataclass(frozen=True)
class Fact:
    """One thing that is known: which attribute, its value, and the words that prove it."""

    attribute: str
    value: str
    proof: str


@dataclass(frozen=True)
class Clue:
    """A pattern over one attribute; what it proposes may use the groups of the pattern."""

    attribute: str
    match: re.Pattern[str]
    proposes: Mapping[str, str]
    weight: int
    family: str


@dataclass(frozen=True)
class Judge:
    """The clues, and how much of them is enough."""

    clues: tuple[Clue, ...]
    vocabulary: Mapping[str, frozenset[str]]
    threshold: int = 75
    contradiction: int = 40
    families: int = 2


@dataclass(frozen=True)
class Vote:
    """What speaks for one value."""

    value: str
    confidence: int
    families: int
    proofs: tuple[str, ...]


@dataclass(frozen=True)
class Proposal:
    """The value of one field, or None with the reason; `votes` hold what speaks for what."""

    field: str
    value: str | None
    confidence: int
    stated: bool
    why: str
    votes: tuple[Vote, ...] = field(default_factory=tuple)


def read_clues(entries: Iterable[Mapping[str, Any]], families: Mapping[str, str]) -> tuple[Clue, ...]:
    """Clues from data. Raises CluesError with one line for each that is wrong."""
    faults: list[str] = []
    clues = []
    for number, entry in enumerate(entries):
        where = f"clue {number + 1} ({entry.get('attribute', '?')}: {entry.get('match', '?')})"
        if fault := _fault(entry):
            faults.append(f"{where}: {fault}")
            continue
        pattern = re.compile(str(entry["match"]), re.IGNORECASE)
        family = str(entry.get("family") or families.get(entry["attribute"], entry["attribute"]))
        proposes = {key: str(value) for key, value in entry["proposes"].items()}
        clues.append(Clue(entry["attribute"], pattern, proposes, int(entry["weight"]), family))
    if faults:
        raise CluesError("These clues cannot be used; nothing was judged:\n" + "\n".join(f"  {one}" for one in faults))
    return tuple(clues)


def _fault(entry: Mapping[str, Any]) -> str:
    missing = [key for key in ("attribute", "match", "proposes", "weight") if not entry.get(key)]
    if missing:
        return f"{', '.join(missing)} is missing; write all of attribute, match, proposes, weight"
    try:
        pattern = re.compile(str(entry["match"]))
    except re.error as error:
        return f"match is not a regular expression ({error}); write one of Python's"
    if not isinstance(entry["proposes"], Mapping) or set(entry["proposes"]) - set(FIELDS):
        return f"proposes must be a mapping with keys out of {', '.join(FIELDS)}"
    try:
        for value in entry["proposes"].values():
            re.sub(pattern, str(value), "")
            _expandable(pattern, str(value))
    except (re.error, IndexError) as error:
        return f"proposes uses a group that match does not have ({error})"
    if not str(entry["weight"]).isdigit() or not 1 <= int(entry["weight"]) <= 95:
        return f"weight {entry['weight']} is not from 1 to 95; nothing is certain"
    return ""


def _expandable(pattern: re.Pattern[str], template: str) -> None:
    """Raise IndexError when the template names a group that the pattern does not have."""
    for name in re.findall(r"\\g<(\w+)>|\\(\d)", template):
        group = name[0] or name[1]
        if (int(group) > pattern.groups) if group.isdigit() else (group not in pattern.groupindex):
            raise IndexError(group)


def propose(facts: Iterable[Fact], tags: Mapping[str, str], judge: Judge) -> dict[str, Proposal]:
    """One proposal per field. What a tag already says within the vocabulary is taken as stated."""
    ballots = _ballots(facts, judge)
    return {name: _decide(name, tags.get(name, ""), ballots.get(name, {}), judge) for name in FIELDS}


_Ballot = dict[str, dict[str, tuple[int, list[str]]]]  # value -> family -> (weight, proofs)


def _ballots(facts: Iterable[Fact], judge: Judge) -> dict[str, _Ballot]:
    ballots: dict[str, _Ballot] = defaultdict(lambda: defaultdict(dict))
    for fact in facts:
        for clue in judge.clues:
            found = clue.match.fullmatch(fact.value) if clue.attribute == fact.attribute else None
            if not found:
                continue
            for name, template in clue.proposes.items():
                value = found.expand(template).lower()
                if value in judge.vocabulary.get(name, ()):
                    _cast(ballots[name][value], clue, fact)
    return ballots


def _cast(families: dict[str, tuple[int, list[str]]], clue: Clue, fact: Fact) -> None:
    weight, proofs = families.get(clue.family, (0, []))
    if fact.proof not in proofs:
        proofs.append(fact.proof)
    families[clue.family] = (max(weight, clue.weight), proofs)


def _decide(name: str, stated: str, ballot: _Ballot, judge: Judge) -> Proposal:
    votes = sorted(
        (_vote(value, families) for value, families in ballot.items()), key=lambda v: (-v.confidence, v.value)
    )
    shown = tuple(votes)
    if stated and stated in judge.vocabulary.get(name, ()):
        against = [vote for vote in votes if vote.value != stated and _enough(vote, judge)]
        why = f"the tag says so; clues say {against[0].value}" if against else "the tag says so"
        return Proposal(name, stated, 100, stated=True, why=why, votes=shown)
    if not votes:
        return Proposal(name, None, 0, stated=False, why="no clue", votes=shown)
    best, rival = votes[0], votes[1] if len(votes) > 1 else None
    if rival and rival.confidence >= judge.contradiction:
        why = f"clues contradict: {best.value} {best.confidence} %, {rival.value} {rival.confidence} %"
    elif best.families < judge.families:
        why = f"only one kind of clue, for {best.value}"
    elif best.confidence < judge.threshold:
        why = f"{best.value} has {best.confidence} %, {judge.threshold} % are needed"
    else:
        return Proposal(name, best.value, best.confidence, stated=False, why="clues agree", votes=shown)
    return Proposal(name, None, best.confidence, stated=False, why=why, votes=shown)


def _enough(vote: Vote, judge: Judge) -> bool:
    return vote.confidence >= judge.threshold and vote.families >= judge.families


def _vote(value: str, families: Mapping[str, tuple[int, list[str]]]) -> Vote:
    doubt = 1.0
    proofs: list[str] = []
    for family in sorted(families):
        weight, said = families[family]
        doubt *= 1 - weight / 100
        more = [f"and {len(said) - _SHOWN} more"] if len(said) > _SHOWN else []
        proofs += [f"{family} {weight} %: {'; '.join(sorted(said)[:_SHOWN] + more)}"]
    return Vote(value, round(100 * (1 - doubt)), len(families), tuple(proofs))
