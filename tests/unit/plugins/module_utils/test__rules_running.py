"""Every rule on what runs: what breaks it is found under each severity, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _rules_running
from ansible_collections.atelier.datalab.plugins.module_utils._model_node import Node
from ansible_collections.atelier.datalab.plugins.module_utils._rules import Finding, Policy
from ansible_collections.atelier.datalab.plugins.module_utils._rules_world import World

from tests.rules_world import BASTION, EXPECTED, FOUND, HOSTS, MACHINE, NOW, TODAY, changed, rules

TAG = "instances/0/Tags/"
STACK = "aws:cloudformation:stack-name"
CREATED = "found/images/ami-00000001/CreationDate"
LAUNCH = "found/launch_templates/0/LaunchTemplateData"
GRANTED = {"rule": "imdsv2", "owner": "ada", "reason": "x", "ticket": "T-1", "expires": "2027-01-15"}
BY_HAND = {"InstanceId": "i-00000009", "State": {"Name": "running"}}
PUBLIC = {"PublicIp": "203.0.113.9"}
ATTACHED, AT_MACHINE = "found/interfaces/2/Attachment", {"InstanceId": "i-00000001"}


def opened(key: str, **rule: Any) -> tuple[str, Any]:
    return f"found/groups/0/{key}", [{"IpProtocol": "tcp", **rule}]


def certificate(ends: str) -> tuple[str, Any]:
    return f"hosts/{MACHINE}/certificates", [{"path": "/etc/x.pem", "ends": ends}]


def patched(when: str) -> tuple[str, Any]:
    return f"hosts/{MACHINE}/patched", {"when": when, "source": "dpkg.log"}


# rule: [(what is changed, what the subject is called, words of the message)]; paths begin with found or hosts.
BREACHES: dict[str, list[tuple[list[tuple[str, Any]], str, str]]] = {
    "approved_image": [
        ([("found/images/ami-00000001/OwnerId", "1")], MACHINE, "owner is 1, must be 210987654321"),
        ([("found/images/ami-00000001/Tags/CoreIT", "pending")], MACHINE, "tag CoreIT is pending"),
        ([("found/instances/0/ImageId", "ami-0000dead")], MACHINE, "ami-0000dead, which AWS shows"),
    ],
    "image_age": [
        ([(CREATED, "2026-10-16T12:00:00Z")], MACHINE, "91 days old, 90 are allowed"),
        ([(CREATED, "")], MACHINE, "of unknown age"),
    ],
    "image_marker": [
        ([(f"hosts/{MACHINE}/marker", {})], MACHINE, "carries no marker"),
        ([(f"hosts/{MACHINE}/marker/approved", False)], MACHINE, "does not approve it"),
        ([(f"hosts/{MACHINE}/marker", "hello")], MACHINE, "does not approve it: hello"),
        ([(f"hosts/{MACHINE}/marker/image_id", "ami-0000beef")], MACHINE, "image ami-0000beef, AWS says ami-00000001"),
        ([(f"hosts/{BASTION}/marker/name", "core-it-11")], BASTION, "image core-it-11, AWS says core-it-12"),
        ([(f"hosts/{BASTION}/marker", {"approved": True})], BASTION, "names no image"),
    ],
    "patch_age": [
        ([patched("2026-11-30T00:00:00+00:00"), (CREATED, "2026-11-01T00:00:00Z")], MACHINE, "46 days ago (dpkg.log)"),
        ([(CREATED, "2026-11-30T00:00:00Z")], BASTION, "(its image was built)"),
        ([(CREATED, "")], BASTION, "does not tell"),
    ],
    "mandatory_tags": [
        ([(f"found/{TAG}Owner", None), (f"found/{TAG}Backup", "")], MACHINE, "instance lacks Owner, Backup"),
        ([(f"found/{TAG}DataClass", None)], MACHINE, "lacks DataClass"),
        ([("found/volumes/1/Tags/Project", None)], f"{MACHINE}-data", "volume lacks Project"),
        ([("found/groups/0/Tags/Name", None)], "sg-00000001", "security group lacks Name"),
        ([("found/addresses/0/Tags/Role", None)], BASTION, "address lacks Role"),
        ([("found/databases/0/TagList/CostCenter", None)], "hub", "database lacks CostCenter"),
    ],
    "tag_values": [
        ([(f"found/{TAG}{key}", "nonsense")], MACHINE, f"has {key}=nonsense, which is not known")
        for key in ("Project", "Environment", "Role", "CostCenter", "Schedule", "Backup", "ManagedBy")
    ],
    "owner_member": [
        ([(f"found/{TAG}Owner", "eve")], MACHINE, "belongs to eve, who is no member"),
        ([(f"found/{TAG}Owner", "bob")], MACHINE, "belongs to bob, who is not in project alpha"),
        ([("found/volumes/1/Tags/Owner", "eve")], f"{MACHINE}-data", "volume belongs to eve"),
    ],
    "naming": [
        ([(f"found/{TAG}Name", "bobs-box")], "bobs-box", "is named bobs-box"),
        ([(f"found/{TAG}Name", None)], "i-00000001", "is named (nothing)"),
        ([(f"found/{TAG}Name", "prod-beta-workstation-01")], "prod-beta-workstation-01", "does not match prod-(alpha"),
    ],
    "stack_managed": [
        ([(f"found/{TAG}{STACK}", None)], MACHINE, "instance was made by hand"),
        ([(f"found/volumes/1/Tags/{STACK}", None)], f"{MACHINE}-data", "volume was made by hand"),
        ([(f"found/{TAG}{STACK}", "trial")], MACHINE, "belongs to stack trial"),
        ([("found/interfaces/2/Groups", [{"GroupId": "sg-00000002"}])], "sg-00000002", "group was made by hand"),
    ],
    "public_address": [
        ([("found/instances/0/PublicIpAddress", "203.0.113.9")], MACHINE, "the public address 203.0.113.9"),
        # Somebody who gives a machine of his own the bastion's name.
        ([(f"found/instances/1/Tags/{STACK}", None)], BASTION, "public address 203.0.113.1"),
        ([("found/interfaces/2/Association", PUBLIC)], "eni-00000003", "(ELB app/x) has"),
        # An instance's second address does not show in its own description.
        ([("found/interfaces/2/Association", PUBLIC), (ATTACHED, AT_MACHINE)], "eni-00000003", "203.0.113.9"),
        (
            [("found/interfaces/2/PrivateIpAddresses", [{"Association": PUBLIC}]), (ATTACHED, AT_MACHINE)],
            "eni-00000003",
            "203.0.113.9",
        ),
        ([("found/databases/0/PubliclyAccessible", True)], "hub", "can be reached from the Internet"),
    ],
    "open_world": [
        ([opened("IpPermissions", FromPort=22, IpRanges=[{"CidrIp": "0.0.0.0/0"}])], "prod-alpha", "0.0.0.0/0 tcp/22"),
        ([opened("IpPermissions", Ipv6Ranges=[{"CidrIpv6": "::/0"}])], "prod-alpha", "in ::/0 all ports"),
        ([opened("IpPermissionsEgress", IpRanges=[{"CidrIp": "128.0.0.0/1"}])], "prod-alpha", "out 128.0.0.0/1"),
        ([("found/interfaces/2/Groups", [{"GroupId": "sg-00000002"}])], "sg-00000002", "out 0.0.0.0/0"),
    ],
    "imdsv2": [
        ([("found/instances/0/MetadataOptions/HttpTokens", "optional")], MACHINE, "without a token"),
        ([(f"{LAUNCH}/MetadataOptions", {})], "machine", "launch template answers"),
    ],
    "encryption": [
        ([("found/volumes/1/Encrypted", False)], f"{MACHINE}-data", "volume is not encrypted"),
        ([("found/databases/0/StorageEncrypted", False)], "hub", "database is not encrypted"),
        ([(f"{LAUNCH}/BlockDeviceMappings/0/Ebs/Encrypted", False)], "machine", "/dev/xvda"),
    ],
    "certificate_expiry": [
        ([certificate("2027-02-05T11:00:00+00:00")], MACHINE, "(/etc/x.pem) ends in 20 days, on 2027-02-05; 21"),
        ([certificate("2027-01-15T11:00:00+00:00")], MACHINE, "ended on 2027-01-15"),
        ([certificate("not a certificate")], MACHINE, "cannot be read"),
        ([("found/certificates/0/NotAfter", "2027-01-20")], "x.example.com", "ends in 4 days"),
        ([("found/databases/0/CertificateDetails/ValidTill", NOW)], "hub", "server certificate"),
    ],
    "backup_present": [
        ([(f"found/{TAG}Backup", "none")], MACHINE, "is not backed up"),
        ([(f"found/{TAG}Backup", None)], MACHINE, "is not backed up"),
        # By hand, and it only says that it is the platform's.
        ([(f"found/instances/1/Tags/{STACK}", None)], BASTION, "is not backed up"),
        ([("found/databases/0/BackupRetentionPeriod", 0)], "hub", "keeps no backups"),
    ],
    "schedule_present": [
        ([(f"found/{TAG}Schedule", "none")], MACHINE, "has no hours"),
        ([(f"found/{TAG}Schedule", None)], MACHINE, "has no hours"),
    ],
}  # fmt: skip
CASES = [
    pytest.param(rule, *case, id=f"{rule}-{n}") for rule, cases in BREACHES.items() for n, case in enumerate(cases)
]
PASSES: list[tuple[str, list[tuple[str, Any]]]] = [
    ("image_age", [(CREATED, "2026-10-17T12:00:00Z")]),
    ("patch_age", [patched("2026-12-01T12:00:00+00:00"), (CREATED, "2026-12-01T12:00:00Z")]),
    ("certificate_expiry", [certificate("2027-02-05T12:00:00+00:00")]),
    ("imdsv2", [("found/instances/0/MetadataOptions", {"HttpTokens": "optional", "HttpEndpoint": "disabled"})]),
    ("open_world", [("found/groups/0/IpPermissions/0/IpRanges", [{"CidrIp": "10.0.0.0/8"}, {"CidrIp": "8.0.0.0/8"}])]),
    ("owner_member", [("found/instances/1/Tags/Owner", "bob")]),
    ("public_address", [("found/interfaces/2/Association", PUBLIC), (ATTACHED, {"InstanceId": "i-00000002"})]),
    ("image_marker", [(f"hosts/{MACHINE}/marker", {"approved": True, "name": "core-it-12"})]),
]  # fmt: skip


def world(*changes: tuple[str, Any], exceptions: list[dict[str, str]] | None = None, **severities: str) -> World:
    data = changed({"found": FOUND, "hosts": HOSTS}, *changes)
    expected = EXPECTED | {"rules": rules(**severities), "exceptions": exceptions or []}
    policy = Policy(Node(expected["rules"], ("rules",)), Node(expected["exceptions"], ("exceptions",)), "prod", TODAY)
    return World(policy, NOW, expected, data["found"], data["hosts"])


def findings(seen: World) -> list[Finding]:
    return seen.policy.settle(_rules_running.judge(seen)[0])


def of(rule: str, seen: World) -> list[Finding]:
    return [one for one in findings(seen) if one.breach.rule == rule]


def test_every_check_has_cases_and_nothing_is_wrong_with_the_account() -> None:
    assert {check.rule for check in _rules_running.CHECKS} == set(BREACHES)
    assert [one.plain() for one in findings(world())] == []


def test_everything_was_asked() -> None:
    _, asked = _rules_running.judge(world())
    assert {rule for rule in BREACHES if not asked[rule]} == set()
    assert asked["mandatory_tags"] == 2 + 2 + 1 + 1 + 1, "the terminated instance and the unused default group are none"


@pytest.mark.parametrize("severity", ["off", "warn", "refuse"])
@pytest.mark.parametrize(("rule", "changes", "subject", "words"), CASES)
def test_what_breaks_a_rule_is_found(rule: str, changes: Any, subject: str, words: str, severity: str) -> None:
    mine = [one for one in of(rule, world(*changes, **{rule: severity})) if one.breach.subjects[0] == subject]
    if severity == "off":
        assert mine == []
    else:
        assert {one.severity for one in mine} == {severity}
        assert [one for one in mine if words in one.breach.wrong], mine
        assert all(one.breach.remedy for one in mine)


@pytest.mark.parametrize(("rule", "changes"), PASSES)
@pytest.mark.parametrize("severity", ["off", "warn", "refuse"])
def test_what_keeps_a_rule_just_so_is_let_alone(rule: str, changes: Any, severity: str) -> None:
    assert of(rule, world(*changes, **{rule: severity})) == []


def test_a_machine_made_by_hand_breaks_what_it_breaks_and_has_no_inside() -> None:
    seen = world()
    seen.found["instances"].append(BY_HAND)
    broken = {one.breach.rule for one in findings(seen)}
    assert broken == {
        "approved_image", "mandatory_tags", "naming", "stack_managed", "imdsv2", "backup_present", "schedule_present",
    }  # fmt: skip
    seen = world((f"found/{TAG}{STACK}", None))
    assert MACHINE not in [one.name for one in seen.inside], "its name is not proof that the host is its own"


@pytest.mark.parametrize("subject", [MACHINE, "i-00000001", "alpha"])
def test_an_exception_may_name_the_machine_its_id_or_its_project(subject: str) -> None:
    granted = GRANTED | {"subject": subject}
    change = ("found/instances/0/MetadataOptions/HttpTokens", "optional")
    (one,) = of("imdsv2", world(change, exceptions=[granted]))
    assert (one.severity, one.exception and one.exception["ticket"]) == ("warn", "T-1")
    (other,) = of("imdsv2", world(change, exceptions=[granted | {"subject": BASTION}]))
    assert (other.severity, other.exception) == ("refuse", None)
    (other,) = of("imdsv2", world(change, exceptions=[granted | {"rule": "naming"}]))
    assert other.severity == "refuse"


def test_an_id_that_aws_does_not_have_is_no_subject() -> None:
    (one,) = findings(world(exceptions=[GRANTED | {"subject": "i-0000beef"}]))
    assert (one.breach.rule, one.breach.subjects, one.breach.path) == (
        "exception_current", ("i-0000beef",), ("exceptions", 0, "subject"),
    )  # fmt: skip


def test_an_instances_own_address_is_told_once() -> None:
    own = [("found/instances/0/PublicIpAddress", "203.0.113.9"), ("found/interfaces/2/Association", PUBLIC)]
    (one,) = of("public_address", world(*own, (ATTACHED, AT_MACHINE)))
    assert one.breach.subjects[0] == MACHINE
