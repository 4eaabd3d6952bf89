"""Flows become security group rules: both ends, stable ids, tickets told, nothing that has expired, nothing else."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _flows as flows
from hypothesis import given, settings
from hypothesis import strategies as st

settings.register_profile("steady", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("steady")

TODAY = datetime.date(2027, 1, 15)
CORPORATE = ["10.0.0.0/8", "198.51.100.0/24"]
BASTION = {"Fn::ImportValue": "preprod-bastion-SecurityGroupId"}
ALPHA = {"Fn::ImportValue": "preprod-project-alpha-SecurityGroupId"}
BETA = {"Fn::ImportValue": "preprod-project-beta-SecurityGroupId"}


def opening(**changes: Any) -> flows.Opening:
    one = flows.Opening("web", "corporate", "project:alpha", "tcp", 443, "alice", "FLOW-1", datetime.date(2027, 12, 31))
    return dataclasses.replace(one, **changes)


def rendered(*openings: flows.Opening) -> dict[str, Any]:
    return flows.render("preprod", openings, CORPORATE, TODAY)[0]["Resources"]


def rules(*openings: flows.Opening) -> list[tuple[Any, ...]]:
    """(type, group, peer) of every rule."""
    found = []
    for one in rendered(*openings).values():
        properties = one["Properties"]
        peers = ("CidrIp", "SourceSecurityGroupId", "DestinationSecurityGroupId")
        peer = next(properties[key] for key in peers if key in properties)
        found.append(
            (one["Type"].removeprefix("AWS::EC2::SecurityGroup"), json.dumps(properties["GroupId"]), str(peer))
        )
    return sorted(found)


def expected(*triples: tuple[str, dict[str, str], Any]) -> list[tuple[Any, ...]]:
    return sorted((direction, json.dumps(group), str(peer)) for direction, group, peer in triples)


@pytest.mark.parametrize(
    ("source", "destination", "wanted"),
    [
        ("corporate", "project:alpha", [("Ingress", ALPHA, network) for network in CORPORATE]),
        ("project:alpha", "corporate", [("Egress", ALPHA, network) for network in CORPORATE]),
        ("project:alpha", "198.51.100.10/32", [("Egress", ALPHA, "198.51.100.10/32")]),
        ("192.0.2.0/24", "bastion", [("Ingress", BASTION, "192.0.2.0/24")]),
        ("bastion", "project:alpha", [("Egress", BASTION, ALPHA), ("Ingress", ALPHA, BASTION)]),
        ("project:alpha", "project:beta", [("Egress", ALPHA, BETA), ("Ingress", BETA, ALPHA)]),
    ],
)
def test_each_end_that_is_ours_is_opened(source: str, destination: str, wanted: list[Any]) -> None:
    assert rules(opening(source=source, destination=destination)) == expected(*wanted)


def test_a_rule_tells_whom_to_ask() -> None:
    properties = next(iter(rendered(opening()).values()))["Properties"]
    assert properties["Description"] == "FLOW-1: web, owner alice, until 2027-12-31"
    assert (properties["IpProtocol"], properties["FromPort"], properties["ToPort"]) == ("tcp", 443, 443)


def test_a_description_is_what_aws_takes() -> None:
    properties = next(iter(rendered(opening(name="é" * 300)).values()))["Properties"]
    assert len(properties["Description"]) == 255
    assert properties["Description"].isascii()


def test_what_has_expired_is_left_out_and_named() -> None:
    last_day, day_after = opening(name="last", expires=TODAY), opening(name="gone", expires=datetime.date(2027, 1, 14))
    template, expired = flows.render("preprod", [last_day, day_after], CORPORATE, TODAY)
    assert expired == ["gone"]
    assert template["Resources"].keys() == rendered(last_day).keys()


def test_without_flows_the_template_is_still_one() -> None:
    assert list(rendered().values()) == [{"Type": "AWS::CloudFormation::WaitConditionHandle"}]


def test_ids_depend_on_name_direction_and_peer_only() -> None:
    before = rendered(opening(), opening(name="other", port=8080))
    extended = rendered(opening(expires=datetime.date(2028, 1, 1), ticket="FLOW-2", port=8443))
    assert set(extended) < set(before)


def test_structure_is_ssh_through_the_bastion_and_aws_endpoints() -> None:
    made = flows.structural(["alpha"], "dave")
    assert [(one.source, one.destination, one.port) for one in made] == [
        ("corporate", "bastion", 22),
        ("bastion", "project:alpha", 22),
        ("bastion", "endpoints", 443),
        ("project:alpha", "endpoints", 443),
    ]


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        ("bastion", "bastion"),
        ("corporate", "corporate"),
        ("project:alpha", "project"),
        ("192.0.2.0/24", "network"),
        ("192.0.2.1", "network"),
        ("project:", None),
        ("internet", None),
        ("", None),
    ],
)
def test_kinds_of_ends(end: str, kind: str | None) -> None:
    assert flows.kind(end) == kind


ends = st.sampled_from(["bastion", "project:alpha", "project:beta"])
peers = st.sampled_from(["bastion", "project:alpha", "project:beta", "corporate", "192.0.2.0/24", "198.51.100.10/32"])
names = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=300)
some = st.lists(
    st.builds(
        flows.Opening,
        name=names,
        source=ends,
        destination=peers,
        protocol=st.sampled_from(["tcp", "udp"]),
        port=st.integers(1, 65535),
        owner=names,
        ticket=st.just("FLOW-1"),
        expires=st.dates(datetime.date(2026, 1, 1), datetime.date(2028, 1, 1)),
    ),
    max_size=5,
    unique_by=lambda one: one.name,
)


@given(some)
def test_a_rule_for_every_flow_that_lives_and_for_none_that_does_not(openings: list[flows.Opening]) -> None:
    template, expired = flows.render("preprod", openings, CORPORATE, TODAY)
    assert set(expired) == {one.name for one in openings if one.expires < TODAY}
    alive = [one for one in openings if one.name not in expired]
    per_flow = [len(rendered(one)) for one in alive]
    assert len(template["Resources"]) == (sum(per_flow) if alive else 1), "ids met"
    for one in template["Resources"].values():
        properties = one.get("Properties", {})
        assert properties.get("CidrIp") != "0.0.0.0/0"
        assert len(properties.get("Description", "")) <= 255
        assert properties.get("Description", "").isascii()


@given(some)
def test_the_order_of_flows_does_not_matter(openings: list[flows.Opening]) -> None:
    one, other = (flows.render("preprod", order, CORPORATE, TODAY)[0] for order in (openings, openings[::-1]))
    assert json.dumps(one) == json.dumps(other)
