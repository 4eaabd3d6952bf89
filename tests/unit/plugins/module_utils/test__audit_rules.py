"""Each rule broken and kept; what is not known is no finding."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _audit_clues, _audit_rules, _images

NOW = datetime(2027, 1, 31, 12, tzinfo=UTC)
CRITERIA = _images.Criteria("debian-12", "210987654321", {"CoreIT": "approved"}, "x86_64", timedelta(days=9999), False)
GOOD_IMAGE = {
    "name": "d12",
    "raw": {
        "ImageId": "ami-1", "OwnerId": "210987654321", "Architecture": "x86_64",
        "CreationDate": "2026-01-01T00:00:00Z", "Tags": [{"Key": "CoreIT", "Value": "approved"}],
    },
}  # fmt: skip
BAD_IMAGE = {"name": "own", "raw": GOOD_IMAGE["raw"] | {"OwnerId": "1"}}
TAGS = {"Project": "alpha", "Owner": "alice", "Backup": "daily", "Schedule": "office", "Role": "workstation"}
FACTS = _audit_rules.Facts(
    now=NOW,
    mandatory=tuple(TAGS),
    criteria=(CRITERIA,),
    name_pattern=re.compile(r"prod-[a-z]+-[a-z]+-\d\d"),
    images={"ami-1": GOOD_IMAGE, "ami-2": BAD_IMAGE},
    groups_in_use=frozenset({"sg-used"}),
)
KNOWN = {"Owner": _audit_clues.Proposal("Owner", "alice", 100, True, "")}
UNKNOWN = {"Owner": _audit_clues.Proposal("Owner", None, 0, False, "no clue")}
WEIGHTS = {rule.id: 1 for rule in _audit_rules.RULES}

INSTANCE = {
    "kind": "instance", "id": "i-1", "name": "prod-alpha-workstation-01", "tags": TAGS, "managed": "stack",
    "stack": "s", "public_ips": [], "imdsv1": False, "image": "ami-1", "stopped_since": "", "proposals": KNOWN,
}  # fmt: skip
GROUP = {"kind": "group", "id": "sg-used", "name": "g", "tags": {}, "managed": "stack", "stack": "s", "ingress": []}
VOLUME = {
    "kind": "volume", "id": "vol-1", "name": "", "tags": TAGS, "managed": "stack", "stack": "s", "encrypted": True,
    "attached_to": ["i-1"],
}  # fmt: skip
DATABASE = {
    "kind": "database", "id": "db", "name": "db", "tags": TAGS, "managed": "stack", "stack": "s", "encrypted": True,
    "public": False, "retention": 7, "proposals": KNOWN,
}  # fmt: skip
ADDRESS = {"kind": "address", "id": "e", "name": "", "tags": {}, "managed": "stack", "stack": "s", "associated": True}


def broken(
    resource: dict[str, Any], unread: set[str] | None = None, weights: dict[str, int] | None = None
) -> list[str]:
    verdict = _audit_rules.judge(resource, FACTS, weights or WEIGHTS, frozenset(unread or ()))
    return [finding.rule for finding in verdict.findings]


def opened(peer: str) -> dict[str, Any]:
    return GROUP | {"ingress": [{"protocol": "tcp", "from": 22, "to": 22, "peers": [peer]}]}


@pytest.mark.parametrize("resource", [INSTANCE, GROUP, VOLUME, DATABASE, ADDRESS], ids=lambda one: one["kind"])
def test_nothing_is_invented_about_what_is_right(resource: dict[str, Any]) -> None:
    assert broken(resource) == []


@pytest.mark.parametrize(
    ("resource", "rule"),
    [
        (INSTANCE | {"tags": TAGS | {"Project": " "}}, "mandatory_tags"),
        (INSTANCE | {"public_ips": ["203.0.113.5"]}, "public_address"),
        (DATABASE | {"public": True}, "public_address"),
        (opened("0.0.0.0/0"), "open_world"),
        (opened("::/0"), "open_world"),
        (opened("128.0.0.0/1"), "open_world"),
        (VOLUME | {"encrypted": False}, "encryption"),
        (DATABASE | {"encrypted": False}, "encryption"),
        (INSTANCE | {"imdsv1": True}, "imdsv2"),
        (INSTANCE | {"image": "ami-2"}, "approved_image"),
        (INSTANCE | {"image": "ami-gone"}, "approved_image"),
        (DATABASE | {"retention": 0}, "backup_present"),
        (INSTANCE | {"managed": "hand"}, "stack_managed"),
        (INSTANCE | {"stopped_since": "2026-12-31T11:00:00Z"}, "stopped_long"),
        (VOLUME | {"attached_to": []}, "volume_unattached"),
        (ADDRESS | {"associated": False}, "address_unassociated"),
        (GROUP | {"id": "sg-unused"}, "group_unused"),
        (INSTANCE | {"name": "My Server"}, "naming"),
        (INSTANCE | {"name": ""}, "naming"),
        (INSTANCE | {"proposals": UNKNOWN}, "owner_known"),
    ],
)
def test_each_rule_broken_alone(resource: dict[str, Any], rule: str) -> None:
    assert broken(resource) == [rule]


@pytest.mark.parametrize("rule", ["backup_present", "schedule_present"])
def test_a_tag_that_a_rule_of_its_own_asks_for(rule: str) -> None:
    key = rule.split("_", maxsplit=1)[0].capitalize()
    assert broken(INSTANCE | {"tags": {k: v for k, v in TAGS.items() if k != key}}) == ["mandatory_tags", rule]


def test_only_a_bastion_of_a_stack_may_have_a_public_address() -> None:
    bastion = INSTANCE | {"public_ips": ["203.0.113.5"], "tags": TAGS | {"Role": "bastion"}}
    assert broken(bastion) == []
    assert broken(bastion | {"managed": "hand"}) == ["public_address", "stack_managed"]


@pytest.mark.parametrize("peer", ["10.0.0.0/8", "sg-2", "pl-1", "fd00::/8", "64.0.0.0/8"])
def test_sources_that_are_not_the_world(peer: str) -> None:
    assert broken(opened(peer)) == []


def test_days_stopped_are_counted_to_the_moment_of_the_audit() -> None:
    assert broken(INSTANCE | {"stopped_since": "2027-01-01T11:00:00Z"}) == [], "30 days, and more than 30 are asked"
    assert broken(INSTANCE | {"stopped_since": ""}) == [], "since when is not known"


def test_default_groups_cannot_be_deleted_and_are_left_alone() -> None:
    assert broken(GROUP | {"id": "sg-0", "name": "default", "managed": "hand"}) == []


def test_what_could_not_be_read_is_no_finding() -> None:
    lost = INSTANCE | {"managed": "unknown", "image": "ami-gone"}
    assert broken(lost, {"stack", "image"}) == []
    assert broken(GROUP | {"id": "sg-unused"}, {"interface"}) == []
    assert "mandatory_tags" not in broken(INSTANCE | {"tags": {}}, {"tags"})


def test_a_rule_without_weight_is_not_asked() -> None:
    verdict = _audit_rules.judge(INSTANCE | {"imdsv1": True}, FACTS, {"naming": 1}, frozenset())
    assert (verdict.asked, verdict.findings) == (("naming",), ())
