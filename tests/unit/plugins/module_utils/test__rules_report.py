"""The report: counts and states are true, hostile names stay names in every output, JUnit reads back."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from ansible_collections.atelier.datalab.plugins.action import rules_report as action
from ansible_collections.atelier.datalab.plugins.module_utils import _rules_report
from ansible_collections.atelier.datalab.plugins.module_utils._model_node import Node
from ansible_collections.atelier.datalab.plugins.module_utils._rules import Policy
from ansible_collections.atelier.datalab.plugins.module_utils._rules_world import World

from tests.rules_world import BASTION, EXPECTED, FOUND, HOSTS, MACHINE, NOW, RULES, TODAY, changed, rules

HOSTILE = "<script>alert(1)</script>\"'&\x1b[2J\x00]]>"
TOKENS = ("instances/0/MetadataOptions/HttpTokens", "optional")
GRANTED = {"rule": "imdsv2", "subject": MACHINE, "owner": "ada", "reason": "old agent", "ticket": "CORE-1"}


def report(
    *changes: tuple[str, Any], hosts: dict[str, Any] | None = None, tried: tuple[str, ...] = (), **expected: Any
) -> dict[str, Any]:
    found = changed(FOUND, *changes)
    whole = EXPECTED | expected
    policy = Policy(Node(whole["rules"], ("rules",)), Node(whole["exceptions"], ("exceptions",)), "prod", TODAY)
    world = World(policy, NOW, whole, found, HOSTS if hosts is None else hosts, frozenset({*HOSTS, *tried}))
    return _rules_report.make(world, [])


def state(made: dict[str, Any], rule: str) -> str:
    return next(one["state"] for one in made["rules"] if one["id"] == rule)


def suite(made: dict[str, Any]) -> Xml.Element:
    root = Xml.fromstring(_rules_report.junit(made))  # noqa: S314 our own text
    assert (root.tag, len(root)) == ("testsuites", 1)
    return root[0]


# -- what it says


def test_nothing_wrong_is_all_good() -> None:
    made = report()
    assert made["counts"] == {"refuse": 0, "warn": 0, "excepted": 0, "rules": 18, "resources": 7, "hosts": 2}
    assert {one["state"] for one in made["rules"] if one["id"] not in ("flow_expired", "exception_current")} == {"ok"}
    assert (made["gaps"], made["findings"]) == ([], [])
    assert "0 refused, 0 warnings, 0 excepted; 18 rules on 7 resources and the inside of 2 hosts" in made_summary(made)


def made_summary(made: dict[str, Any]) -> str:
    return _rules_report.table(made)[-1]


def test_states_and_counts() -> None:
    granted = [GRANTED | {"expires": "2027-01-25"}]
    severities = rules(naming="warn", encryption="off")
    made = report(
        TOKENS, ("instances/0/Tags/Name", "box"), ("instances/0/Tags/Owner", "eve"), ("volumes/1/Encrypted", False),
        rules=severities, exceptions=[*granted, granted[0] | {"subject": "i-00000001"}], hosts={},
    )  # fmt: skip
    assert [(one["rule"], one["severity"], bool(one["exception"])) for one in made["findings"]] == [
        ("owner_member", "refuse", False),
        ("naming", "warn", False),
        ("imdsv2", "warn", True),
    ]
    assert [one["covers"] for one in made["exceptions"]] == [0, 1], "the instance has another name than its machine"
    assert (made["counts"]["refuse"], made["counts"]["warn"], made["counts"]["excepted"]) == (1, 1, 1)
    assert [state(made, rule) for rule in ("owner_member", "naming", "imdsv2", "encryption", "image_marker")] == [
        "refuse", "warn", "warn", "off", "unseen",
    ]  # fmt: skip


def test_exceptions_say_how_long_and_for_what() -> None:
    made = report(
        TOKENS,
        exceptions=[
            GRANTED | {"expires": "2027-01-25"},
            GRANTED | {"rule": "naming", "ticket": "CORE-2", "expires": "2027-01-14"},
            GRANTED | {"rule": "naming", "ticket": "CORE-3", "subject": "i-0000beef", "expires": "2027-01-15"},
        ],
    )
    assert [(one["state"], one["days_left"], one["covers"]) for one in made["exceptions"]] == [
        ("live", 10, 1), ("expired", -1, 0), ("unknown", 0, 0),
    ]  # fmt: skip
    assert [one["subject"] for one in made["findings"] if one["rule"] == "exception_current"] == ["i-0000beef", MACHINE]


def test_what_hardens_later_is_told_with_what_it_would_meet() -> None:
    ladder = {"lab": "off", "dev": "warn", "preprod": "warn", "prod": "warn"}
    hardens = {"2027-01-15": {"preprod": "refuse"}, "2027-03-01": {"prod": "refuse"}, "2027-02-01": {"dev": "refuse"}}
    naming = rules()["naming"] | {"severity": ladder, "hardens": hardens}
    made = report(("instances/0/Tags/Name", "box"), rules=rules() | {"naming": naming}, hosts={})
    assert [(one["from"], one["environment"], one["severity"]) for one in made["ahead"]] == [
        ("2027-02-01", "dev", "refuse"), ("2027-03-01", "prod", "refuse"),
    ]  # fmt: skip
    assert made["ahead"][1]["now"] == 1
    (shown,) = [one for one in made["rules"] if one["id"] == "naming"]
    assert shown["severity"] == ladder | {"preprod": "refuse"}, "what has hardened already is part of the ladder"


def test_findings_on_the_data_come_along_and_exceptions_are_judged_once() -> None:
    told = {"subject": "alpha", "id": "", "wrong": "w", "remedy": "r", "place": "projects[0].backup", "exception": None}
    on_data = [
        told | {"rule": "backup_present", "severity": "warn"},
        told | {"rule": "exception_current", "severity": "warn"},
    ]
    made = report(findings=on_data)
    assert [one["rule"] for one in made["findings"]] == ["backup_present"]
    assert state(made, "backup_present") == "warn"


@pytest.mark.parametrize(
    ("changes", "tried", "why"),
    [
        ([], (), "it was not asked"),
        ([("instances/0/State/Name", "stopped")], (), "it is stopped"),
        ([("instances/0/Tags/aws:cloudformation:stack-name", None)], (), "made by hand"),
    ],
)
def test_a_host_that_told_nothing_is_a_gap(changes: Any, tried: tuple[str, ...], why: str) -> None:
    found = changed(FOUND, *changes)
    policy = Policy(Node(EXPECTED["rules"]), Node([]), "prod", TODAY)
    world = World(policy, NOW, EXPECTED, found, {BASTION: HOSTS[BASTION]}, frozenset({BASTION, *tried}))
    gaps = _rules_report.make(world, [])["gaps"]
    assert len(gaps) == 1
    assert why in gaps[0]["why"]


# -- the table


def test_the_table_says_everything_and_wraps() -> None:
    made = report(TOKENS, ("instances/0/Tags/Owner", "eve"), exceptions=[GRANTED | {"expires": "2027-01-25"}])
    lines = _rules_report.table(made, 120)
    text = " ".join(" ".join(lines).split())
    for words in (
        "rule severity subject",
        "owner_member refuse",
        "imdsv2 excepted",
        MACHINE,
        "belongs to eve",
        "CORE-1",
    ):
        assert words in text, text
    assert max(map(len, lines)) <= 130


def test_a_long_table_is_cut_and_says_so() -> None:
    made = report(TOKENS)
    made["findings"] *= 300
    lines = _rules_report.table(made)
    assert "... and 100 more, in the report" in lines


def test_the_refusal_counts_by_rule() -> None:
    made = report(TOKENS, ("instances/0/Tags/Owner", "eve"), ("volumes/1/Tags/Owner", "eve"))
    said = _rules_report.refusal(made, ["r/prod.json", "r/prod.html"])
    assert "3 refused" in said
    assert "owner_member 2, imdsv2 1" in said
    assert "r/prod.html" in said


# -- JUnit


def test_junit_reads_back() -> None:
    granted = [GRANTED | {"expires": "2027-01-25"}]
    made = report(
        TOKENS, ("instances/0/Tags/Owner", "eve"), ("instances/0/Tags/Role", "toy"),
        rules=rules(tag_values="warn", encryption="off"), exceptions=granted, hosts={},
    )  # fmt: skip
    made["gaps"] = [{"what": "databases (RDS)", "why": "AccessDenied"}]
    cases = {case.get("classname"): case for case in suite(made)}
    assert set(cases) == {f"rules.{name}" for name in (*RULES, "gaps")}
    outcome = {name: [child.tag for child in case] for name, case in cases.items()}
    assert outcome["rules.owner_member"] == ["failure"]
    assert outcome["rules.imdsv2"] == ["system-out"], "an exception is seen, and fails nothing"
    assert outcome["rules.tag_values"] == ["system-out"]
    assert outcome["rules.encryption"] == ["skipped"]
    assert outcome["rules.image_marker"] == ["skipped"], "nobody looked inside a host"
    assert outcome["rules.gaps"] == ["skipped"]
    assert outcome["rules.public_address"] == []
    failure = cases["rules.owner_member"][0]
    assert "belongs to eve" in (failure.get("message") or "")
    assert "write another owner" in (failure.text or "")
    counts = {key: suite(made).get(key) for key in ("tests", "failures", "skipped", "errors")}
    skipped = sum("skipped" in tags for tags in outcome.values())
    assert counts == {"tests": str(len(cases)), "failures": "1", "skipped": str(skipped), "errors": "0"}


# -- hostile names


def hostile() -> dict[str, Any]:
    return report(
        ("instances/0/Tags/Name", HOSTILE), ("instances/0/Tags/Owner", HOSTILE), ("groups/0/Tags/Project", HOSTILE),
        ("interfaces/2/Description", HOSTILE), ("interfaces/2/Association", {"PublicIp": "203.0.113.9"}),
        exceptions=[GRANTED | {"subject": HOSTILE, "reason": HOSTILE, "expires": "2027-01-25"}],
    )  # fmt: skip


def test_a_hostile_name_moves_no_cursor() -> None:
    assert all(line.isprintable() for line in _rules_report.table(hostile()))


def test_a_hostile_name_is_text_in_junit() -> None:
    names = [case.get("name") or "" for case in suite(hostile())]
    assert any("<script>alert(1)</script>\"'&?[2J?]]>" in name for name in names)


class Page(HTMLParser):
    """The tags, the addresses they name, the ids, and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.named, self.ids, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.named += [value for key, value in attrs if key in ("href", "src", "action", "data", "srcset")]
        self.ids += [value for key, value in attrs if key == "id"]
        assert not [key for key, _ in attrs if key.startswith("on")], "no handlers"

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_hostile_name_is_text_on_the_page() -> None:
    page = Page(action.page(hostile()))
    assert "script" not in page.tags
    assert page.text.count("<script>alert(1)</script>") >= 4


@pytest.mark.parametrize("made", [report(), hostile(), report(hosts={}, rules=rules(**dict.fromkeys(RULES, "off")))])
def test_the_page_needs_nothing_and_its_links_lead_somewhere(made: dict[str, Any]) -> None:
    text = action.page(made)
    page = Page(text)
    assert {tag for tag in page.tags if tag in ("script", "link", "img", "iframe", "object", "form")} == set()
    assert all(name.startswith("#") and name[1:] in page.ids for name in page.named)
    assert not re.search(r"url\(|@import|https?:", text)
    assert len(page.ids) == len(set(page.ids))


def test_the_page_shows_ladder_exceptions_and_what_is_to_come() -> None:
    patch_age = rules()["patch_age"] | {
        "severity": {"lab": "off", "dev": "warn", "preprod": "warn", "prod": "warn"},
        "hardens": {"2027-07-01": {"prod": "refuse"}},
    }
    granted = [GRANTED | {"expires": "2027-01-25"}]
    text = " ".join(
        Page(action.page(report(TOKENS, rules=rules() | {"patch_age": patch_age}, exceptions=granted))).text.split()
    )
    for words in (
        "About patch_age.",
        "refuse from2027-07-01",
        "nothing is refused",
        "CORE-1 of ada until 2027-01-25",
        f"imdsv2{MACHINE}live102027-01-25CORE-1ada",
    ):
        assert words in text, text


def test_the_files_are_written_again_over_the_old_ones(tmp_path: Any) -> None:
    for _ in range(2):
        files = action.write(report(TOKENS), tmp_path / "deep" / "rules")
    assert [name.rpartition("/")[2] for name in files] == ["prod.json", "prod.xml", "prod.html"]
    assert all((tmp_path / "deep/rules" / name.rpartition("/")[2]).stat().st_size > 1000 for name in files)
