"""Records, CloudTrail, costs, joining and writing."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import (
    _audit_analysis,
    _audit_clues,
    _audit_costs,
    _audit_page,
    _audit_records,
    _audit_rules,
    _audit_trail,
    _tables,
)
from ansible_collections.atelier.datalab.plugins.plugin_utils import reports

ROOT = Path(__file__).resolve().parents[4]
PLACE = {"account": "1", "environment": "prod", "region": "eu-west-1"}

SCOPE = {"account": "1", "environment": "prod", "regions": ["eu-west-1"]}

# -- records


@pytest.mark.parametrize(
    ("reason", "since"),
    [
        ("User initiated (2026-08-01 07:12:44 GMT)", "2026-08-01T07:12:44Z"),
        ("Server.ScheduledStop: Stopped due to scheduled retirement (2026-08-01 07:12:44 GMT)", "2026-08-01T07:12:44Z"),
        ("User initiated", ""),
        ("", ""),
    ],
)
def test_since_when_an_instance_is_stopped(reason: str, since: str) -> None:
    assert _audit_records.stopped_since(reason) == since


def raw_instance(**more: Any) -> dict[str, Any]:
    return {"InstanceId": "i-1", "State": {"Name": "running"}, "InstanceType": "m5.large", "ImageId": "ami-1"} | more


def instance(**more: Any) -> dict[str, Any]:
    return next(_audit_records.instances({"Reservations": [{"Instances": [raw_instance(**more)]}]}))


def test_addresses_of_every_interface_count_as_public() -> None:
    interfaces = [{"Association": {"PublicIp": "203.0.113.9"}}, {"Ipv6Addresses": [{"Ipv6Address": "2001:db8::1"}]}]
    found = instance(PublicIpAddress="203.0.113.5", NetworkInterfaces=interfaces)
    assert found["public_ips"] == ["203.0.113.5", "203.0.113.9"]


@pytest.mark.parametrize(
    ("options", "open_"),
    [
        ({"HttpTokens": "required", "HttpEndpoint": "enabled"}, False),
        ({"HttpTokens": "optional", "HttpEndpoint": "enabled"}, True),
        ({"HttpTokens": "optional", "HttpEndpoint": "disabled"}, False),
        ({}, True),
    ],
)
def test_who_answers_imdsv1(options: dict[str, str], open_: bool) -> None:
    assert instance(MetadataOptions=options)["imdsv1"] is open_


def test_terminated_instances_are_gone() -> None:
    page = {"Reservations": [{"Instances": [raw_instance(State={"Name": "terminated"})]}]}
    assert list(_audit_records.instances(page)) == []


# -- CloudTrail, as its reference words events


def event(name: str, identity: dict[str, Any], resources: list[str], **detail: Any) -> dict[str, Any]:
    return {
        "EventName": name,
        "EventTime": datetime(2026, 10, 1, 8, tzinfo=UTC),
        "Username": "as-listed",
        "Resources": [{"ResourceType": "AWS::EC2::Instance", "ResourceName": one} for one in resources],
        "CloudTrailEvent": json.dumps({"userIdentity": identity} | detail),
    }


PERSON = {"type": "AssumedRole", "principalId": "AROAEXAMPLE:alice@example.com"}


def test_who_made_what() -> None:
    answer = {"instancesSet": {"items": [{"instanceId": "i-2"}]}}
    page = {"Events": [event("RunInstances", PERSON, ["i-1", "subnet-1", "vol-1"], responseElements=answer)]}
    found = list(_audit_trail.creations(page))
    assert [(one["id"], one["by"], one["at"]) for one in found] == [
        (one, "alice@example.com", "2026-10-01T08:00:00Z") for one in ("i-1", "i-2", "vol-1")
    ]


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        (PERSON, "alice@example.com"),
        ({"type": "IAMUser", "userName": "bob"}, "bob"),
        ({"type": "Root"}, "as-listed"),
        ({"type": "AssumedRole", "invokedBy": "autoscaling.amazonaws.com"}, "autoscaling.amazonaws.com"),
    ],
)
def test_whose_name_it_is(identity: dict[str, Any], name: str) -> None:
    found = list(_audit_trail.creations({"Events": [event("RunInstances", identity, ["i-1"])]}))
    assert [one["by"] for one in found] == [name]


def test_what_was_refused_made_nothing() -> None:
    page = {"Events": [event("RunInstances", PERSON, ["i-1"], errorCode="Client.UnauthorizedOperation")]}
    assert list(_audit_trail.creations(page)) == []


def test_an_event_that_cannot_be_read_is_passed_over() -> None:
    broken = event("RunInstances", PERSON, ["i-1"]) | {"CloudTrailEvent": "{half"}
    assert [one["by"] for one in _audit_trail.creations({"Events": [broken]})] == ["as-listed"]


# -- costs

OFFICE = {
    "name": "office",
    "periods": [{"days": ["mon", "tue", "wed", "thu", "fri"], "begin": "09:00", "end": "18:00"}],
}
ALWAYS = {"name": "always", "periods": [{"days": ["mon-sun"], "begin": "00:00", "end": "24:00"}]}
NIGHT = {"name": "night", "periods": [{"days": ["sun"], "begin": "22:00", "end": "04:00"}]}


@pytest.mark.parametrize(("schedule", "hours"), [(OFFICE, 45), (ALWAYS, 168), (NIGHT, 6)])
def test_hours_of_schedules(schedule: dict[str, Any], hours: int) -> None:
    assert _audit_costs.monthly_hours(schedule) == pytest.approx(730 * hours / 168, abs=0.05)


PRICES = {
    "regions": {
        "eu-west-1": {
            "instances": {"m5.large": 0.1}, "volumes": {"gp3": 0.08}, "snapshot": 0.05, "address": 0.005,
            "databases": {"postgres db.m5.large": 0.2}, "database_storage": {"gp3": 0.1},
        }
    }
}  # fmt: skip
LIST = _audit_costs.Prices(PRICES, [OFFICE])
MACHINE = PLACE | {
    "kind": "instance", "state": "running", "type": "m5.large", "tags": {}, "platform": "Linux/UNIX", "public_ips": [],
    "elastic_ips": [],
}  # fmt: skip
BASE = PLACE | {"kind": "database", "type": "db.m5.large", "engine": "postgres", "size": 100, "storage": "gp3"}


@pytest.mark.parametrize(
    ("resource", "amount"),
    [
        (MACHINE, 73.0),
        (MACHINE | {"tags": {"Schedule": "office"}}, 0.1 * 195.5),
        (MACHINE | {"tags": {"Schedule": "unheard-of"}}, 73.0),
        (MACHINE | {"state": "stopped"}, 0.0),
        (MACHINE | {"public_ips": ["203.0.113.5"]}, 73.0 + 3.65),
        (MACHINE | {"public_ips": ["203.0.113.5"], "elastic_ips": ["203.0.113.5"]}, 73.0),
        (PLACE | {"kind": "volume", "type": "gp3", "size": 100}, 8.0),
        (PLACE | {"kind": "address"}, 3.65),
        (BASE | {"multi_az": False, "state": "available"}, 146.0 + 10.0),
        (BASE | {"multi_az": True, "state": "available"}, 312.0),
        (BASE | {"multi_az": False, "state": "stopped"}, 10.0),
        (PLACE | {"kind": "group"}, 0.0),
    ],
)
def test_what_a_month_costs(resource: dict[str, Any], amount: float) -> None:
    found = LIST.cost(resource)
    assert found.amount == pytest.approx(amount, abs=0.01)
    assert found.missing == ()


@pytest.mark.parametrize(
    ("resource", "missing"),
    [
        (MACHINE | {"type": "m9.huge"}, "eu-west-1: instances m9.huge"),
        (MACHINE | {"platform": "Windows"}, "eu-west-1: instances m5.large windows"),
        (MACHINE | {"region": "eu-west-3"}, "eu-west-3: instances m5.large"),
        (PLACE | {"kind": "volume", "type": "io2", "size": 1}, "eu-west-1: volumes io2"),
    ],
)
def test_a_missing_price_is_named_never_nothing(resource: dict[str, Any], missing: str) -> None:
    assert LIST.cost(resource).missing == (missing,)


# -- joining


class Held:
    """A store in memory."""

    def __init__(self, **kinds: list[dict[str, Any]]) -> None:
        self.kinds = kinds

    def read(self, kind: str) -> Iterator[dict[str, Any]]:
        return (dict(one) for one in self.kinds.get(kind, []))


SETTINGS = _audit_analysis.Settings(
    _audit_clues.Judge((), {"Project": frozenset({"alpha"}), "Owner": frozenset(), "Role": frozenset()}),
    _audit_rules.Facts(now=datetime(2027, 1, 1, tzinfo=UTC), mandatory=()),
    _audit_costs.Prices(PRICES),
    {"stack_managed": 3, "imdsv2": 1},
)


def analysed(evidence: dict[str, Any] | None = None, **kinds: list[dict[str, Any]]) -> _audit_analysis.Analysis:
    return _audit_analysis.Analysis(Held(scope=[SCOPE], **kinds), evidence or {}, SETTINGS)


def machine(tag: str = "", **more: Any) -> dict[str, Any]:
    tags = [{"Key": "aws:cloudformation:stack-name", "Value": tag}] if tag else []
    return instance(Tags=tags, MetadataOptions={"HttpTokens": "required"}) | PLACE | more


MEMBER = {"kind": "member", "id": "i-1", "stack": "one"} | PLACE
REFUSED = {"kind": "stack", "reason": "no"} | PLACE


@pytest.mark.parametrize(
    ("tag", "kinds", "managed", "stack"),
    [
        ("one", {"member": [MEMBER]}, "stack", "one"),
        ("", {"member": [MEMBER]}, "stack", "one"),
        ("gone", {}, "hand", "gone"),
        ("", {}, "hand", ""),
        ("one", {"gap": [REFUSED]}, "unknown", "one"),
    ],
)
def test_a_stack_holds_what_it_lists_not_what_a_tag_says(tag: str, kinds: dict, managed: str, stack: str) -> None:
    found = analysed(instance=[machine(tag)], **kinds).resources["instance"][0]
    assert (found["managed"], found["stack"]) == (managed, stack)
    assert [one.rule for one in found["findings"]] == (["stack_managed"] if managed == "hand" else [])


def test_a_machine_that_a_group_of_a_stack_started_is_held_by_it() -> None:
    one = machine() | {"tags": {"aws:autoscaling:groupName": "workers"}}
    group_ = MEMBER | {"id": "workers", "type": "AWS::AutoScaling::AutoScalingGroup"}
    assert analysed(instance=[one], member=[group_]).resources["instance"][0]["managed"] == "stack"
    assert analysed(instance=[one]).resources["instance"][0]["managed"] == "hand"


def test_a_bucket_of_a_region_nobody_asked_for_is_not_said_to_be_by_hand() -> None:
    bucket = (
        {"kind": "bucket", "id": "b", "name": "b", "tags": {}, "tags_known": True} | PLACE | {"region": "us-east-1"}
    )
    found = analysed(bucket=[bucket]).resources["bucket"][0]
    assert (found["managed"], found["findings"]) == ("unknown", ())


def test_the_maker_is_told_and_where_cloudtrail_is_silent_so_is_the_report() -> None:
    made = {"id": "i-1", "by": "alice", "at": "2026-10-01T08:00:00Z", "event": "RunInstances"} | PLACE
    told = analysed(instance=[machine()], creation=[made]).resources["instance"][0]
    assert _audit_page.origin(told) == "by hand; alice made it by RunInstances on 2026-10-01"
    assert "made by alice on 2026-10-01" in told["findings"][0].text
    old = analysed(instance=[machine()]).resources["instance"][0]
    assert _audit_page.origin(old) == "by hand; not in CloudTrail's 90 days"
    silent = {"kind": "creation", "reason": "CloudTrail not available: no"} | PLACE
    unsaid = analysed(instance=[machine()], gap=[silent]).resources["instance"][0]
    assert _audit_page.origin(unsaid) == "by hand; CloudTrail not available"


def test_the_score_is_the_weight_of_what_holds() -> None:
    worse = machine() | {"id": "i-2", "imdsv1": True}
    scores = analysed(instance=[machine(), worse], member=[MEMBER]).scores()
    # i-1 keeps both rules (3 + 1), i-2 neither: 4 of 8
    assert scores == [{"name": "prod (1)", "score": 50, "held": 4, "asked": 8, "findings": 2}]


def test_an_account_of_which_nothing_could_be_read_has_no_score() -> None:
    assert analysed().scores()[0]["score"] is None


def test_what_a_machine_uses_goes_to_its_project() -> None:
    tags = {"Project": "alpha"}
    disk = {"kind": "volume", "id": "vol-1", "name": "", "tags": {}, "attached_to": ["i-1"], "size": 10, "type": "gp3"}
    shot = {
        "kind": "snapshot",
        "id": "snap-1",
        "name": "",
        "tags": {},
        "volume": "vol-1",
        "size": 10,
        "created": "2026",
    }
    lone = disk | {"id": "vol-2", "attached_to": []}
    found = analysed(
        instance=[machine() | {"tags": tags, "volumes": ["vol-1"]}],
        volume=[one | PLACE for one in (disk, lone)],
        snapshot=[shot | PLACE],
    )
    projects = {one["id"]: one["project"] for one in found.every()}
    assert projects == {"i-1": "alpha", "vol-1": "alpha", "snap-1": "alpha", "vol-2": "unknown"}
    assert found.resources["instance"][0]["total"].amount == pytest.approx(73 + 0.8)
    assert found.resources["instance"][0]["last_snapshot"] == "2026"


def group(name: str, *peers: str) -> dict[str, Any]:
    rules = [{"protocol": "all", "from": -1, "to": -1, "peers": list(peers)}]
    return {"kind": "group", "id": name, "name": name, "tags": {}, "ingress": rules, "egress": []} | PLACE


def test_which_groups_are_in_use() -> None:
    groups = [group("sg-self", "sg-self"), group("sg-named"), group("sg-worn", "sg-named"), group("sg-eni")]
    worn = machine() | {"groups": [["sg-worn", "worn"]]}
    interface = {"kind": "interface", "id": "eni-1", "name": "", "tags": {}, "groups": ["sg-eni"]} | PLACE
    settings = dataclasses.replace(SETTINGS, weights={"group_unused": 1})
    found = _audit_analysis.Analysis(
        Held(scope=[SCOPE], group=groups, instance=[worn], interface=[interface]), {}, settings
    )
    assert [one["id"] for one in found.resources["group"] if one["findings"]] == ["sg-self"]


# -- writing


def test_what_people_typed_is_text_on_the_page() -> None:
    """Names and tags are written by anybody who may start a machine."""
    nasty = '<script>alert("x")</script>'
    found = analysed(instance=[machine() | {"name": nasty, "tags": {"Backup": nasty}, "key_name": nasty}])
    context = _audit_page.context(found, audited="2027-01-01", title=nasty, currency="USD", source=nasty)
    page = "".join(reports.html(context, ROOT / "playbooks/templates/audit.html.j2"))
    assert "&lt;script&gt;alert(" in page
    assert "<script>alert" not in page
    assert page.count("<script>") == 1


def test_a_table_runs_nothing_in_a_spreadsheet() -> None:
    text = _tables.table(("a",), [["=cmd|'/c calc'!A0"], ["@x"], ["-1"], ["plain"], [-1]])
    assert [row[0] for row in csv.reader(io.StringIO(text))] == ["a", "'=cmd|'/c calc'!A0", "'@x", "'-1", "plain", "-1"]


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**40, "5.0 TiB")])
def test_sizes_for_people(count: int, text: str) -> None:
    assert reports.size(count) == text
