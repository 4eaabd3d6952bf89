"""What core IT is asked: exactly what is new or ended; drift with what is known of it; hostile text stays text."""

from __future__ import annotations

import csv
import datetime
import itertools
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from ansible_collections.atelier.datalab.plugins.action import flow_report as action
from ansible_collections.atelier.datalab.plugins.module_utils import _flows, _flows_api, _flows_diagram
from ansible_collections.atelier.datalab.plugins.module_utils import _flows_request as request
from botocore.exceptions import ClientError

DAY = datetime.date(2027, 1, 15)
CORPORATE = ["10.0.0.0/8", "198.51.100.0/24"]
GROUPS = {"sg-a": "project:alpha", "sg-b": "project:beta", "sg-0": "bastion"}


def flow(name: str = "web", **changes: Any) -> dict[str, Any]:
    one = {
        "name": f"flow-{name}", "source": "corporate", "destination": "project:alpha", "protocol": "tcp", "port": 443,
        "owner": "alice", "ticket": "FLOW-1", "expires": "2028-12-31", "reason": "Notebooks",
    }  # fmt: skip
    return one | changes


def matrix(*flows: dict[str, Any], corporate: list[str] = CORPORATE) -> dict[str, Any]:
    return {
        "flows": list(flows),
        "corporate": corporate,
        "addresses": {
            "corporate": corporate, "bastion": ["10.20.0.10/32"], "endpoints": ["10.20.16.0/24", "10.20.17.0/24"],
            "project:alpha": ["10.20.16.0/24"], "project:beta": ["10.20.17.0/24"],
        },
        "people": {"alice": {"name": "Alice", "email": "alice@example.com"}},
        "warn_days": 30,
    }  # fmt: skip


def made(*flows: dict[str, Any], corporate: list[str] = CORPORATE) -> dict[request.Rule, str]:
    """What the stack of this matrix holds, on a day when nothing had expired."""
    openings = [
        _flows.Opening(**{**one, "expires": datetime.date.fromisoformat(one["expires"]) if one["expires"] else None})
        for one in flows
    ]
    return request.of_template("prod", _flows.render("prod", openings, corporate, datetime.date(2020, 1, 1))[0])


def in_aws(rules: Any) -> list[dict[str, Any]]:
    """As DescribeSecurityGroupRules tells them."""
    ids = {end: group for group, end in GROUPS.items()}
    found = []
    for number, rule in enumerate(rules):
        raw = {
            "SecurityGroupRuleId": f"sgr-{number:x}", "GroupId": ids[rule.group], "IsEgress": rule.egress,
            "IpProtocol": rule.protocol, "FromPort": rule.low, "ToPort": rule.high,
        }  # fmt: skip
        peer = {"ReferencedGroupInfo": {"GroupId": ids[rule.peer]}} if rule.peer in ids else {"CidrIpv4": rule.peer}
        found.append(raw | peer)
    return found


def report(wanted: dict[str, Any], held: Any, live: Any = None, day: datetime.date = DAY, **more: Any) -> Any:
    raw = in_aws(held) if live is None else live
    found = request.Comparison("prod", wanted, day, held, request.of_aws(raw, GROUPS))
    return found.report(more.get("makers", {}), more.get("gaps", []))


def changes(found: Any) -> list[tuple[Any, ...]]:
    keys = ("change", "flow", "source_addresses", "destination_addresses", "port", "why")
    return sorted(tuple(one[key] for key in keys) for one in found["changes"])


BETWEEN = flow("lake", source="project:alpha", destination="project:beta", port=9000)
OUT = flow("mirror", source="project:beta", destination="192.0.2.1/32", protocol="udp", port=53)
ALPHA, BETA = ["10.20.16.0/24"], ["10.20.17.0/24"]


def test_nothing_to_ask_for_where_aws_is_as_the_matrix() -> None:
    found = report(matrix(flow(), BETWEEN, OUT), made(flow(), BETWEEN, OUT))
    assert (found["changes"], found["by_hand"], found["missing"], found["ending"]) == ([], [], [], [])
    assert [one["state"] for one in found["matrix"]] == ["in AWS"] * 3


def test_before_there_is_a_stack_everything_is_new_a_row_per_flow() -> None:
    found = report(matrix(flow(), BETWEEN, OUT), {})
    assert changes(found) == [
        ("new", "lake", ALPHA, BETA, "9000", "new in the matrix"),
        ("new", "mirror", BETA, ["192.0.2.1/32"], "53", "new in the matrix"),
        ("new", "web", CORPORATE, ALPHA, "443", "new in the matrix"),
    ]
    assert found["missing"] == [], "what was never made is not missing"


def test_what_left_the_matrix_is_told_by_the_rules_description() -> None:
    gone = flow("old", owner="eve", ticket="FLOW-9", source="project:gone")
    found = report(matrix(flow()), made(flow(), OUT) | made(gone), in_aws(made(flow(), OUT)))
    assert changes(found) == [
        ("ended", "mirror", BETA, ["192.0.2.1/32"], "53", "no longer in the matrix"),
        ("ended", "old", ["10.20.16.0/24", "10.20.17.0/24"], ALPHA, "443", "no longer in the matrix"),
    ]
    told = {one["flow"]: (one["owner"], one["email"], one["ticket"], one["reason"]) for one in found["changes"]}
    assert told == {
        "mirror": ("alice", "alice@example.com", "FLOW-1", "not known"),
        "old": ("eve", "not known", "FLOW-9", "not known"),
    }


def test_a_description_of_somebody_elses_is_not_read_into_anything() -> None:
    rule = next(iter(made(OUT)))
    (row,) = report(matrix(), {rule: "temporary"})["changes"]
    assert [row[key] for key in ("flow", "owner", "email", "ticket", "reason")] == ["not known"] * 5


@pytest.mark.parametrize(
    ("expires", "ended", "ending"),
    [
        ("2027-01-14", [("ended", "web", CORPORATE, ALPHA, "443", "expired on 2027-01-14")], []),
        ("2027-01-15", [], [0]),
        ("2027-02-14", [], [30]),
        ("2027-02-15", [], []),
        ("", [], []),
    ],
)
def test_a_flow_ends_after_its_last_day_and_is_warned_of_before(expires: str, ended: Any, ending: Any) -> None:
    found = report(matrix(flow(expires=expires)), made(flow(expires=expires)))
    assert changes(found) == ended
    assert [one["days"] for one in found["ending"]] == ending


def test_a_changed_flow_ends_as_it_was_and_is_new_as_it_is() -> None:
    found = report(matrix(flow(port=8443)), made(flow()))
    assert changes(found) == [
        ("ended", "web", CORPORATE, ALPHA, "443", "changed in the matrix"),
        ("new", "web", CORPORATE, ALPHA, "8443", "changed in the matrix"),
    ]


def test_a_network_that_the_company_adds_is_asked_for_alone() -> None:
    found = report(matrix(flow(), corporate=[*CORPORATE, "192.0.2.0/24"]), made(flow()))
    assert changes(found) == [("new", "web", ["192.0.2.0/24"], ALPHA, "443", "new in the matrix")]


def test_another_date_or_owner_opens_and_closes_nothing() -> None:
    assert report(matrix(flow(expires="2029-12-31", owner="bob")), made(flow()))["changes"] == []


def test_a_rule_made_by_hand_is_told_with_who_and_since_when_only_where_known() -> None:
    hand = [
        {"SecurityGroupRuleId": "sgr-aa", "GroupId": "sg-a", "IsEgress": False, "IpProtocol": "-1", "CidrIpv6": "::/0"},
        {"SecurityGroupRuleId": "sgr-bb", "GroupId": "sg-b", "IsEgress": True, "IpProtocol": "tcp", "FromPort": 1,
         "ToPort": 9, "ReferencedGroupInfo": {"GroupId": "sg-else"}, "Description": "test"},
    ]  # fmt: skip
    closed = {"SecurityGroupRuleId": "sgr-cc", "GroupId": "sg-a", "IsEgress": True, "IpProtocol": "-1", "FromPort": -1,
              "ToPort": -1, "CidrIpv4": "127.0.0.1/32"}  # fmt: skip
    makers = {"sgr-aa": {"by": "eve", "at": "2027-01-01T10:00:00Z"}}
    found = report(matrix(flow()), made(flow()), [*in_aws(made(flow())), *hand, closed], makers=makers)
    keys = ("id", "of", "direction", "source", "destination", "protocol", "port", "by", "at")
    assert [tuple(one[key] for key in keys) for one in found["by_hand"]] == [
        ("sgr-aa", "project:alpha", "ingress", "::/0", "project:alpha", "all", "all", "eve", "2027-01-01T10:00:00Z"),
        ("sgr-bb", "project:beta", "egress", "project:beta", "sg-else", "tcp", "1-9", "not known", "not known"),
    ]
    assert found["changes"] == []


def test_a_rule_by_hand_that_a_new_flow_would_make_is_told_to_be_in_the_way() -> None:
    found = report(matrix(OUT), {}, in_aws(made(OUT)))
    assert [one["flow"] for one in found["changes"]] == ["mirror"], "core IT has not opened it yet"
    assert "flow mirror permits it, and the stack cannot make" in found["by_hand"][0]["remedy"]


def test_a_rule_that_the_stack_made_and_somebody_removed_is_missing_and_not_asked_for_again() -> None:
    held = made(BETWEEN)
    found = report(matrix(BETWEEN), held, in_aws([rule for rule in held if rule.egress]))
    assert (found["changes"], [one["flow"] for one in found["missing"]]) == ([], ["lake"])
    assert found["matrix"][0]["state"] == "missing"
    assert "flow lake: project:alpha to project:beta tcp 9000 is missing in AWS" in request.drift(found)[0]


def test_exports_of_others_are_not_taken_for_ours() -> None:
    ends = {
        "prod-bastion-SecurityGroupId": "bastion", "prod-network-EndpointSecurityGroupId": "endpoints",
        "prod-project-a-b-SecurityGroupId": "project:a-b", "prod-network-VpcId": None,
        "preprod-bastion-SecurityGroupId": None, "bastion-SecurityGroupId": None,
    }  # fmt: skip
    assert {name: request.end_of("prod", name) for name in ends} == ends


@pytest.mark.parametrize("expires", [None, datetime.date(2027, 3, 31)])
def test_a_description_is_read_back_as_it_was_written(expires: datetime.date | None) -> None:
    one = _flows.Opening("flow-web", "corporate", "bastion", "tcp", 22, "alice", "FLOW-1", expires)
    told = next(iter(_flows.render("prod", [one], CORPORATE, DAY)[0]["Resources"].values()))["Properties"]
    assert _flows.described(told["Description"]) == {
        "ticket": "FLOW-1", "name": "flow-web", "owner": "alice", "expires": expires.isoformat() if expires else "",
    }  # fmt: skip


# -- what the stack holds


class Stack:
    """CloudFormation with a stack that got half way; `error` where there is none to be had."""

    def __init__(self, template: dict[str, Any], failed: int = 0, error: str = "") -> None:
        self.template, self.failed, self.error = template, failed, error

    def get_template(self, StackName: str) -> dict[str, Any]:  # noqa: N803 boto3's
        if self.error:
            code, _, message = self.error.partition(": ")
            raise ClientError({"Error": {"Code": code, "Message": message}}, "GetTemplate")
        return {"TemplateBody": self.template if StackName == "prod-flows" else {}}

    def get_paginator(self, _operation: str) -> Stack:
        return self

    def paginate(self, StackName: str) -> Any:  # noqa: N803 boto3's
        for number, name in enumerate(self.template["Resources"] if StackName == "prod-flows" else []):
            status = "CREATE_FAILED" if number < self.failed else "CREATE_COMPLETE"
            yield {"StackResourceSummaries": [{"LogicalResourceId": name, "ResourceStatus": status}]}


def test_the_stack_holds_what_it_made_and_not_what_it_tried() -> None:
    opening = _flows.Opening("flow-web", "corporate", "project:alpha", "tcp", 443, "alice", "FLOW-1")
    template = _flows.render("prod", [opening], CORPORATE, DAY)[0]
    assert _flows_api.held(Stack(template), "prod") == request.of_template("prod", template)
    assert len(_flows_api.held(Stack(template, failed=1), "prod")) == 1


def test_no_stack_holds_nothing_and_every_other_answer_is_an_error() -> None:
    none = "ValidationError: Stack with id prod-flows does not exist"
    assert _flows_api.held(Stack({}, error=none), "prod") == {}
    with pytest.raises(ClientError):
        _flows_api.held(Stack({}, error="AccessDenied: not yours"), "prod")


# -- who, by CloudTrail


class Trail:
    """The events of CloudTrail, by name."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events = events

    def get_paginator(self, _operation: str) -> Trail:
        return self

    def paginate(self, LookupAttributes: list[dict[str, str]]) -> Any:  # noqa: N803 boto3's
        yield {"Events": [one for one in self.events if one["EventName"] == LookupAttributes[0]["AttributeValue"]]}


def event(rule: str, person: str, hour: int, name: str = "AuthorizeSecurityGroupIngress", **more: Any) -> Any:
    detail = {
        "userIdentity": {"type": "IAMUser", "userName": person},
        "responseElements": {"securityGroupRuleSet": {"items": [{"securityGroupRuleId": rule}]}},
        **more,
    }
    at = datetime.datetime(2027, 1, 2, hour, tzinfo=datetime.UTC)
    return {"EventName": name, "EventTime": at, "CloudTrailEvent": json.dumps(detail)}


def test_who_made_a_rule_is_whom_an_event_with_its_id_names_last() -> None:
    trail = Trail(
        event("sgr-aa", "eve", 9),
        event("sgr-aa", "bob", 11, "ModifySecurityGroupRules"),
        event("sgr-bb", "eve", 9),
        event("sgr-bb", "mallory", 12, errorCode="Client.UnauthorizedOperation"),
        event("sgr-aab", "carol", 13),
    )
    found = _flows_api.makers(trail, {"sgr-aa", "sgr-bb", "sgr-cc"})
    assert {rule: (one["by"], one["at"][:13]) for rule, one in found.items()} == {
        "sgr-aa": ("bob", "2027-01-02T11"),
        "sgr-bb": ("eve", "2027-01-02T09"),
    }


# -- outputs

HOSTILE = '<script>alert("x")</script> | =1+1\n& more'


def written(found: Any, folder: Path) -> dict[str, str]:
    return {Path(path).name: Path(path).read_text(encoding="utf-8") for path in action.write(found, folder)}


def test_hostile_text_stays_text_everywhere(tmp_path: Path) -> None:
    hostile = flow("web", reason=HOSTILE, owner=f"={HOSTILE}", ticket=HOSTILE)
    hand = in_aws(made(OUT))[0] | {"Description": HOSTILE}
    makers = {"sgr-0": {"by": HOSTILE, "at": HOSTILE}}
    found = report(matrix(hostile), {}, [hand], makers=makers, gaps=[{"what": HOSTILE, "why": HOSTILE}])
    texts = written(found, tmp_path)
    page = texts["prod-request.html"]
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 5
    (row,) = csv.DictReader(texts["prod-request.csv"].splitlines(keepends=True))
    assert row["owner"].startswith("'="), "a spreadsheet would run it"
    table = texts["prod-matrix.md"].splitlines()
    assert len(table) == 5
    assert table[4].replace("\\|", "").count("|") == 10
    assert "<script" not in table[4]
    assert all(line.isprintable() for line in request.drift(found))


def test_the_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    page = written(report(matrix(flow(), BETWEEN), made(OUT)), tmp_path)["prod-request.html"]
    for outside in ("http:", "https:", "<link", "<img", "url(", "@import"):
        assert outside not in page


def test_the_diagram_has_a_lane_for_each_flow_and_boxes_that_do_not_overlap() -> None:
    flows = [flow(f"f{n}", port=1000 + n, destination=f"192.0.2.{n}/32", source="project:alpha") for n in range(30)]
    found = report(matrix(flow(), BETWEEN, *flows), made(flow(), OUT))
    assert len(_flows_diagram.lanes(found)) == 33, "thirty and two of the matrix, one that has ended"
    drawn = Xml.fromstring(str(_flows_diagram.draw(found)))  # noqa: S314 our own
    boxes = [one for one in drawn.iter("rect") if one.get("class") == "box"]
    assert len(boxes) == 3 + 2 + 30, "sources, projects, and the networks, of which what has ended shares one"
    high = float(drawn.get("viewBox", "").split()[3])
    for x in {one.get("x") for one in boxes}:
        tops = sorted(float(one.get("y", "")) for one in boxes if one.get("x") == x)
        assert all(below - above > 44 for above, below in itertools.pairwise(tops))
        assert tops[0] >= 0
        assert tops[-1] + 44 <= high
    assert sorted({one.get("class") for one in drawn.iter("g") if one.get("class")}) == ["ended", "is", "new"]


def test_an_empty_matrix_has_a_page_too(tmp_path: Path) -> None:
    assert "The matrix is empty." in written(report(matrix(), {}), tmp_path)["prod-request.html"]
