"""Severity by environment and day, exceptions, and the rules on the data: each under each severity."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _rules_model, _rules_output, _rules_running
from ansible_collections.atelier.datalab.plugins.module_utils._model_node import Node
from ansible_collections.atelier.datalab.plugins.module_utils._model_rules import Rules
from ansible_collections.atelier.datalab.plugins.module_utils._rules import (
    Breach,
    Finding,
    Policy,
    is_world,
    severity_at,
)

from tests.rules_world import MACHINE, RULES, rules

DAY = datetime.date(2027, 7, 1)
LADDER = {"lab": "off", "dev": "warn", "preprod": "refuse", "prod": "refuse"}
ONE = datetime.timedelta(days=1)


def exception(**changes: str) -> dict[str, str]:
    granted = {"rule": "naming", "subject": "alpha", "owner": "ada", "reason": "moves", "ticket": "CORE-1"}
    return granted | {"expires": DAY.isoformat()} | changes


def policy(rule: dict[str, Any], *exceptions: dict[str, str], environment: str = "prod", today: Any = DAY) -> Policy:
    return Policy(Node({"naming": rule}), Node(list(exceptions), ("exceptions",)), environment, today)


def settled(held: Policy, *subjects: str) -> list[Finding]:
    return held.settle([Breach("naming", subjects or ("alpha",), "is wrong", "repair it")])


# -- severities


@pytest.mark.parametrize(("environment", "severity"), list(LADDER.items()))
def test_a_ladder_has_a_severity_per_environment(environment: str, severity: str) -> None:
    found = settled(policy({"severity": LADDER}, environment=environment))
    assert [one.severity for one in found] == ([] if severity == "off" else [severity])


@pytest.mark.parametrize("severity", ["off", "warn", "refuse"])
def test_one_word_stands_for_all(severity: str) -> None:
    assert policy({"severity": severity}, environment="dev").severity("naming") == severity


def test_a_rule_the_data_lacks_is_off_and_one_set_wrongly_refuses() -> None:
    assert policy({"severity": "warn"}).severity("imdsv2") == "off"
    assert policy({"severity": "wrn"}).severity("naming") == "refuse"
    assert policy({"severity": {"lab": "warn"}}).severity("naming") == "refuse"


@pytest.mark.parametrize(
    ("today", "environment", "severity"),
    [
        (DAY - ONE, "prod", "warn"), (DAY, "prod", "refuse"), (DAY + ONE, "prod", "refuse"), (DAY + ONE, "dev", "off"),
        (DAY + 30 * ONE, "dev", "off"), (DAY + 31 * ONE, "dev", "warn"), (DAY + 31 * ONE, "prod", "refuse"),
    ],
)  # fmt: skip
def test_a_rule_hardens_on_its_day(today: datetime.date, environment: str, severity: str) -> None:
    rule = {
        "severity": LADDER | {"dev": "off", "preprod": "warn", "prod": "warn"},
        # The order in the file does not matter, nor does whether YAML reads the day as a date.
        "hardens": {datetime.date(2027, 8, 1): {"dev": "warn"}, "2027-07-01": {"prod": "refuse"}},
    }
    assert policy(rule, environment=environment, today=today).severity("naming") == severity
    assert severity_at(Node(rule), environment, today) == severity


def test_parameters_are_those_of_the_environment() -> None:
    rule = {
        "severity": "warn",
        "max_days": {"lab": 9, "prod": 3},
        "also": ["A"],
        "text": "x",
        "source": "y",
        "hardens": {},
    }
    assert policy(rule).parameters("naming") == {"max_days": 3, "also": ["A"]}


# -- exceptions


@pytest.mark.parametrize(("today", "severity"), [(DAY - ONE, "warn"), (DAY, "warn"), (DAY + ONE, "refuse")])
def test_an_exception_lasts_through_its_last_day(today: datetime.date, severity: str) -> None:
    (found,) = settled(policy({"severity": "refuse"}, exception(), today=today))
    assert found.severity == severity
    assert bool(found.exception) == (severity == "warn")


@pytest.mark.parametrize("wrong", [{"subject": "beta"}, {"rule": "imdsv2"}, {"expires": "soon"}])
def test_an_exception_for_something_else_changes_nothing(wrong: dict[str, str]) -> None:
    (found,) = settled(policy({"severity": "refuse"}, exception(**wrong)))
    assert (found.severity, found.exception) == ("refuse", None)


def test_an_exception_names_itself_and_never_hardens() -> None:
    (found,) = settled(policy({"severity": "refuse"}, exception()), MACHINE, "i-1", "alpha")
    assert found.exception == {key: value for key, value in exception().items() if key != "rule"}
    assert "exception CORE-1 of ada until 2027-07-01" in _rules_model.offence(found).told
    (warned,) = settled(policy({"severity": "warn"}, exception()))
    assert (warned.severity, warned.exception is not None) == ("warn", True)
    assert settled(policy({"severity": "off"}, exception())) == []


@pytest.mark.parametrize(
    ("changes", "known", "said"),
    [
        ({}, {"alpha"}, []),
        ({"expires": "2027-06-30"}, {"alpha"}, ["has passed (1 day ago), so naming counts again"]),
        ({"subject": "alhpa"}, {"alpha"}, ["is nothing that exists"]),
        ({"subject": "alhpa", "expires": "2027-06-29"}, set(), ["is nothing that exists", "has passed (2 days ago)"]),
        ({"expires": "2027-09-29"}, {"alpha"}, []),
        ({"expires": "2027-09-30"}, {"alpha"}, ["is more than 90 days away"]),
    ],
)
def test_what_is_wrong_with_exceptions_is_told(changes: dict[str, str], known: set[str], said: list[str]) -> None:
    held = Policy(Node(rules()), Node([exception(**changes)], ("exceptions",)), "prod", DAY)
    found = list(held.stale(known))
    assert len(found) == len(said)
    assert all(words in one.wrong and one.remedy for words, one in zip(said, found, strict=True)), found


# -- on the data

DATA: dict[str, Any] = {
    "platform": {"environment": "prod"},
    "corporate": {"networks": ["10.0.0.0/8"], "images": {"debian-12": {}}},
    "projects": [
        {
            "name": "alpha", "schedule": "office", "backup": "daily", "tags": {"DataClass": "internal"},
            "machines": [{"role": "workstation", "number": 1}],
        }
    ],
    "flows": [{"name": "web", "source": "10.0.0.0/8", "destination": "project:alpha", "expires": "2027-12-31"}],
    "exceptions": [],
}  # fmt: skip
PROJECT = DATA["projects"][0]
# rule: [(variable, what stands there instead, subject)]
BROKEN: dict[str, list[tuple[str, Any, str]]] = {
    "open_world": [
        ("flows", [DATA["flows"][0] | {"source": "0.0.0.0/0"}], "web"),
        ("flows", [DATA["flows"][0] | {"destination": "0.0.0.0/1"}], "web"),
        ("corporate", {"networks": ["0.0.0.0/0"]}, "0.0.0.0/0"),
    ],
    "flow_expired": [("flows", [DATA["flows"][0] | {"expires": "2027-06-30"}], "web")],
    "naming": [("projects", [PROJECT | {"name": "beta"}], "prod-beta-workstation-01")],
    "mandatory_tags": [("projects", [PROJECT | {"tags": {}}], "alpha")],
    "backup_present": [
        ("projects", [PROJECT | {"backup": "none"}], "alpha"),
        ("projects", [PROJECT | {"backup": None}], "alpha"),
    ],
    "schedule_present": [("projects", [PROJECT | {"schedule": None}], "alpha")],
    "exception_current": [
        ("exceptions", [exception(subject="nobody")], "nobody"),
        ("exceptions", [exception(expires="2027-06-30")], "alpha"),
    ],
}
CASES = [pytest.param(rule, *case, id=f"{rule}-{n}") for rule, cases in BROKEN.items() for n, case in enumerate(cases)]


def judged(severity: str, rule: str, **data: Any) -> list[Finding]:
    found = _rules_model.judge(DATA | data | {"rules": rules(**{rule: severity})}, DAY)
    return [one for one in found if one.breach.rule == rule]


def test_every_rule_on_the_data_has_cases_and_this_data_keeps_all() -> None:
    assert set(BROKEN) == set(_rules_model.CHECKS)
    assert _rules_model.judge(DATA | {"rules": rules()}, DAY) == []


@pytest.mark.parametrize("severity", ["off", "warn", "refuse"])
@pytest.mark.parametrize(("rule", "variable", "value", "subject"), CASES)
def test_the_data_is_judged(rule: str, variable: str, value: Any, subject: str, severity: str) -> None:
    found = judged(severity, rule, **{variable: value})
    if severity == "off":
        assert found == []
    else:
        assert [(one.severity, one.breach.subjects[0]) for one in found] == [(severity, subject)]
        assert found[0].breach.path[0] == variable


def test_an_exception_lets_the_data_pass_and_says_so() -> None:
    broken = [PROJECT | {"backup": "none"}]
    (found,) = judged("refuse", "backup_present", projects=broken, exceptions=[exception(rule="backup_present")])
    assert (found.severity, found.exception and found.exception["ticket"]) == ("warn", "CORE-1")
    named = {"rule": "naming", "subject": "prod-beta-workstation-01"}
    (found,) = judged("refuse", "naming", projects=[PROJECT | {"name": "beta"}], exceptions=[exception(**named)])
    assert found.severity == "warn"


@pytest.mark.parametrize("subject", ["i-0123456789abcdef0", "vol-01234567", "arn:aws:rds:eu-west-1:1:db:hub"])
def test_whether_an_id_exists_only_aws_can_tell(subject: str) -> None:
    assert judged("refuse", "exception_current", exceptions=[exception(subject=subject)]) == []
    assert judged("refuse", "exception_current", exceptions=[exception(subject=f"{subject} ")]) != []


# -- which rules there are


def test_every_rule_is_checked_somewhere_and_known_to_the_tests() -> None:
    assert set(RULES) == set(Rules.model_fields)
    assert [name for name in RULES if not _rules_output.places(name)] == []
    assert {check.rule for check in _rules_running.CHECKS} <= set(RULES)


@pytest.mark.parametrize(
    ("network", "world"),
    [
        ("0.0.0.0/0", True), ("128.0.0.0/1", True), ("10.0.0.0/7", True), ("10.0.0.0/8", False), ("::/0", True),
        ("2000::/3", True), ("fd00::/8", False), ("fc00::/6", True), ("2001:db8::/32", False),
        ("project:alpha", False), (None, False),
    ],
)  # fmt: skip
def test_what_the_world_is(network: str | None, world: bool) -> None:
    assert is_world(network) is world
