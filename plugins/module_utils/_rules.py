"""Core IT's rules: how severe each is in which environment on which day, and what an exception changes. Pure.

Checks find breaches, on the data (`_rules_model`), on templates (`_rules_template`) and on what runs
(`_rules_running`). Here a breach becomes a finding: nothing, a warning or a refusal.
"""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._model_node import Node
from ansible_collections.atelier.datalab.plugins.module_utils._model_offences import Path, written

LADDER = ("lab", "dev", "preprod", "prod")
STRENGTH = ("off", "warn", "refuse")
OF_EXCEPTIONS = "exception_current"  # the rule that exceptions themselves obey
ABOUT = ("text", "source", "severity", "hardens")  # keys of every rule; the others are its parameters


@dataclasses.dataclass(frozen=True)
class Breach:
    """Something a rule forbids. `subjects` are the names it goes by: the first is shown, an exception may use any."""

    rule: str
    subjects: tuple[str, ...]
    wrong: str
    remedy: str
    path: Path = ()
    value: Any = None
    ahead: bool = False  # not broken yet, so it is never refused


@dataclasses.dataclass(frozen=True)
class Finding:
    """A breach with what it leads to here and now."""

    breach: Breach
    severity: str
    exception: dict[str, str] | None = None

    def plain(self) -> dict[str, Any]:
        """As data for reports; what runs has an id, what the data says has a place."""
        place = written(self.breach.path)
        return {
            "rule": self.breach.rule,
            "severity": self.severity,
            "subject": self.breach.subjects[0],
            "id": next(
                (name for name in self.breach.subjects[1:2] if name != self.breach.subjects[0] and not place), ""
            ),
            "wrong": self.breach.wrong,
            "remedy": self.breach.remedy,
            "place": place,
            "exception": self.exception,
        }


def rung(node: Node, environment: str) -> Node:
    """The value for one environment: one value alone holds in all of them."""
    return node[environment] if isinstance(node.value, dict) else node


def hardenings(rule: Node) -> list[tuple[datetime.date, Node]]:
    """The days from which a rule is more severe, in order."""
    node = rule["hardens"]
    days = node.value if isinstance(node.value, dict) else {}
    found = [(day, Node(days[key], (*node.path, str(key)))) for key in days if (day := Node(key).date)]
    return sorted(found, key=lambda one: one[0])


def severity_at(rule: Node, environment: str, day: datetime.date) -> str | None:
    """What the data says about this day; None where it is not one of the three words."""
    word = rung(rule["severity"], environment).text
    for start, changes in hardenings(rule):
        if start <= day:
            word = changes[environment].text or word
    return word if word in STRENGTH else None


_WORLD_4, _WORLD_6 = 8, 16


def is_world(text: str | None) -> bool:
    """A /0, or a good part of one: two /1 are how people get round a rule. IPv6: anything wider than a /16.

    Neither a network that is private, nor what is none, such as the id of a group.
    """
    try:
        network = ipaddress.ip_network(text or "", strict=False)
    except ValueError:
        return False
    return network.prefixlen < (_WORLD_4 if network.version == 4 else _WORLD_6) and not network.is_private


class Policy:
    """The rules and exceptions of one environment on one day, also where the data is partly wrong."""

    def __init__(self, rules: Node, exceptions: Node, environment: str, today: datetime.date) -> None:
        self.rules, self.exceptions, self.environment, self.today = rules, exceptions, environment, today

    def severity(self, rule: str, subjects: Collection[str] = ()) -> str:
        """A rule that the data does not have is off; one that is set wrongly refuses."""
        if self.rules[rule].value is None:
            return "off"
        severity = severity_at(self.rules[rule], self.environment, self.today) or "refuse"
        return "warn" if severity == "refuse" and self.exception(rule, subjects) else severity

    def parameter(self, rule: str, name: str) -> Any:
        """A parameter's value here; None where the data has none."""
        return rung(self.rules[rule][name], self.environment).value

    def parameters(self, rule: str) -> dict[str, Any]:
        """All parameters of a rule, as they are here."""
        return {name: self.parameter(rule, name) for name, _ in self.rules[rule].entries() if name not in ABOUT}

    def exception(self, rule: str, subjects: Collection[str]) -> dict[str, str] | None:
        """The exception that is granted to one of these subjects and has not ended."""
        for one in self.exceptions:
            ends = one["expires"].date
            if one["rule"].text == rule and one["subject"].text in subjects and ends and ends >= self.today:
                who = {key: str(one[key].value) for key in ("subject", "ticket", "owner", "reason")}
                return {**who, "expires": ends.isoformat()}
        return None

    def settle(self, breaches: Iterable[Breach]) -> list[Finding]:
        """What each breach leads to; an exception makes a warning of a refusal, and is always named."""
        found = []
        for one in breaches:
            severity = self.severity(one.rule, one.subjects)
            if one.ahead and severity == "refuse":
                severity = "warn"
            if severity != "off":
                found.append(Finding(one, severity, self.exception(one.rule, one.subjects)))
        return found

    def stale(self, known: Collection[str]) -> Iterator[Breach]:
        """What is wrong with the exceptions: ended, for nothing that exists, or for too long."""
        limit = self.parameter(OF_EXCEPTIONS, "max_days")
        for one in self.exceptions:
            subject, ends = one["subject"].text, one["expires"].date
            if subject and subject not in known:
                yield _about(
                    one["subject"], subject, "is nothing that exists", "correct the name or remove the exception"
                )
            if subject and ends and ends < self.today:
                days = (self.today - ends).days
                wrong = f"has passed ({days} day{'s' if days != 1 else ''} ago), so {one['rule'].text} counts again"
                remedy = "repair the cause and remove the exception, or have it granted again and write the new date"
                yield _about(one["expires"], subject, wrong, remedy)
            if subject and ends and isinstance(limit, int) and (ends - self.today).days > limit:
                yield _about(
                    one["expires"],
                    subject,
                    f"is more than {limit} days away",
                    "write an earlier day; ask again when it ends",
                )


def _about(node: Node, subject: str, wrong: str, remedy: str) -> Breach:
    return Breach(OF_EXCEPTIONS, (subject,), wrong, remedy, node.path, node.value)
