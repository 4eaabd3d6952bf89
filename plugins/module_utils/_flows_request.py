"""The flow matrix against what AWS holds: what core IT is asked to open or close, and what drifted. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.atelier.datalab.plugins.module_utils import _flows
from ansible_collections.atelier.datalab.plugins.module_utils._tables import printable

UNKNOWN = "not known"
_OURS = re.compile(r"(bastion|network|project)-(?:(.+)-)?(Endpoint)?SecurityGroupId")
Report = dict[str, Any]


class Rule(NamedTuple):
    """One rule of a group. AWS holds no two that are equal in all of this, so that a rule is known by it.

    `group` is an end of a flow; `peer` too, or else a network, a prefix list or a group of somebody else's.
    """

    group: str
    egress: bool
    protocol: str
    low: int
    high: int
    peer: str

    @property
    def ends(self) -> tuple[str, str]:
        """Source and destination."""
        return (self.group, self.peer) if self.egress else (self.peer, self.group)

    @property
    def ports(self) -> str:
        """`443`, `8000-8010`, `all`."""
        if self.low < 0:
            return "all"
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


# What the platform's groups are made with instead of AWS's "allow all"; it permits nothing.
CLOSED = (True, "-1", -1, -1, "127.0.0.1/32")


def end_of(environment: str, export: str) -> str | None:
    """The end of a flow whose group is exported under this name; None for every other export."""
    found = _OURS.fullmatch(export.removeprefix(f"{environment}-"))
    if not export.startswith(f"{environment}-") or found is None:
        return None
    ends = {"bastion": "bastion", "network": "endpoints", "project": f"project:{found[2]}"}
    return ends[found[1]]


def of_template(environment: str, template: Mapping[str, Any], made: Iterable[str] | None = None) -> dict[Rule, str]:
    """The rules of a template of the stack `<environment>-flows` and their descriptions.

    made: logical ids of the resources that are there; None for all.
    """
    found = {}
    for name, resource in (template.get("Resources") or {}).items():
        kind = resource["Type"].removeprefix("AWS::EC2::SecurityGroup")
        if kind not in ("Ingress", "Egress") or (made is not None and name not in made):
            continue
        own = resource["Properties"]
        peer = own.get("CidrIp") or own.get("SourceSecurityGroupId") or own.get("DestinationSecurityGroupId")
        low, high = int(own["FromPort"]), int(own["ToPort"])
        ends = [_imported(environment, one) for one in (own["GroupId"], peer)]
        found[Rule(ends[0], kind == "Egress", str(own["IpProtocol"]), low, high, ends[1])] = own.get("Description", "")
    return found


def _imported(environment: str, value: Any) -> str:
    name = value.get("Fn::ImportValue", "") if isinstance(value, Mapping) else str(value)
    return end_of(environment, name) or name


def of_aws(raw: Iterable[Mapping[str, Any]], groups: Mapping[str, str]) -> dict[Rule, Mapping[str, Any]]:
    """The rules that DescribeSecurityGroupRules tells, but for the one that permits nothing. groups: id to end."""
    found = {}
    for one in raw:
        group = (one.get("ReferencedGroupInfo") or {}).get("GroupId", "")
        peer = one.get("CidrIpv4") or one.get("CidrIpv6") or one.get("PrefixListId") or groups.get(group, group)
        ports = one.get("FromPort", -1), one.get("ToPort", -1)
        rule = Rule(groups[one["GroupId"]], bool(one["IsEgress"]), one["IpProtocol"], *ports, peer)
        if rule[1:] != CLOSED:
            found[rule] = one
    return found


class Flow(NamedTuple):
    """What a rule is for, as the matrix or the rule's description says."""

    name: str
    owner: str
    ticket: str
    expires: str
    reason: str


class Comparison:
    """One environment on one day.

    Args:
        environment: its name.
        matrix: the fact `datalab.matrix`.
        today: flows that end before it are not wanted any more.
        held: the rules of the stack, with their descriptions.
        live: the rules in AWS.
    """

    def __init__(
        self,
        environment: str,
        matrix: Mapping[str, Any],
        today: datetime.date,
        held: Mapping[Rule, str],
        live: Mapping[Rule, Mapping[str, Any]],
    ) -> None:
        self.environment, self.matrix, self.today, self.held, self.live = environment, matrix, today, held, live
        self.flows = {one["name"]: one for one in matrix["flows"]}
        self.wanted: dict[Rule, Flow] = {}
        for one in matrix["flows"]:
            for rule in of_template(environment, self._template(one)):
                self.wanted[rule] = _flow(one)

    def _template(self, one: Mapping[str, Any]) -> dict[str, Any]:
        ends = datetime.date.fromisoformat(one["expires"]) if one["expires"] else None
        opening = _flows.Opening(**{**one, "expires": ends})
        return _flows.render(self.environment, [opening], self.matrix["corporate"], self.today)[0]

    def by_hand(self) -> list[Rule]:
        """In AWS, and no stack of ours made it."""
        return [rule for rule in self.live if rule not in self.held]

    def report(self, makers: Mapping[str, Mapping[str, str]], gaps: Iterable[Mapping[str, str]]) -> Report:
        """Everything the outputs show, as plain data. makers: by rule id, `by` and `at`, where CloudTrail knows."""
        new = {rule: flow for rule, flow in self.wanted.items() if rule not in self.held}
        ended = {rule: self._told(text) for rule, text in self.held.items() if rule not in self.wanted}
        before, after = {one.name for one in ended.values()}, {one.name for one in new.values()}
        rows = [
            {**row, "change": "new", "why": "changed in the matrix" if row["flow"] in before else "new in the matrix"}
            for row in self._rows(new)
        ]
        rows += [{**row, "change": "ended", "why": self._why(row["flow"], after)} for row in self._rows(ended)]
        matrix = [self._entry(one) for one in self.matrix["flows"]]
        return {
            "environment": self.environment,
            "day": self.today.isoformat(),
            "warn_days": self.matrix["warn_days"],
            "changes": [_shown(row) for row in rows],
            "by_hand": [self._planted(rule, makers) for rule in sorted(self.by_hand())],
            "missing": [
                _shown(row)
                for row in self._rows(
                    {rule: flow for rule, flow in self.wanted.items() if rule in self.held and rule not in self.live}
                )
            ],
            "matrix": [_shown(row) for row in matrix],
            "ending": [_shown(row) for row in matrix if row["days"] != "" and 0 <= row["days"] <= row["warn"]],
            "gaps": list(gaps),
        }

    def _told(self, description: str) -> Flow:
        """Of a rule that the matrix has no more, what its description tells."""
        told = _flows.described(description)
        name = told.get("name", UNKNOWN)
        known = self.flows.get(name)
        values = (told.get(key) or UNKNOWN for key in ("owner", "ticket"))
        return Flow(name, *values, told.get("expires", ""), known["reason"] if known else UNKNOWN)

    def _why(self, name: str, after: set[str]) -> str:
        known = self.flows.get(name)
        if known is None:
            return "no longer in the matrix"
        if name not in after and known["expires"] and known["expires"] < self.today.isoformat():
            return f"expired on {known['expires']}"
        return "changed in the matrix"

    def _rows(self, rules: Mapping[Rule, Flow]) -> list[dict[str, Any]]:
        """A row per flow: a flow to several networks is several rules, one between two of our groups is two."""
        rows: dict[tuple[Any, ...], tuple[list[str], list[str]]] = {}
        for rule, flow in rules.items():
            for side, end in zip(rows.setdefault((flow, rule.protocol, rule.ports), ([], [])), rule.ends, strict=True):
                if end not in side:
                    side.append(end)
        return [
            self._row(flow, protocol, ports, sources, destinations)
            for (flow, protocol, ports), (sources, destinations) in rows.items()
        ]

    def _row(self, flow: Flow, protocol: str, ports: str, sources: list[str], destinations: list[str]) -> Any:
        return {
            "flow": flow.name,
            "source": self._name(sources),
            "source_addresses": self._addresses(sources),
            "destination": self._name(destinations),
            "destination_addresses": self._addresses(destinations),
            "protocol": "all" if protocol == "-1" else protocol,
            "port": ports,
            "owner": flow.owner,
            "email": (self.matrix["people"].get(flow.owner) or {}).get("email", UNKNOWN),
            "reason": flow.reason,
            "ticket": flow.ticket,
            "expires": flow.expires,
        }

    def _name(self, ends: list[str]) -> str:
        return "corporate" if ends == self.matrix["corporate"] else " ".join(ends)

    def _addresses(self, ends: Iterable[str]) -> list[str]:
        """A project that is gone from the data was where all of them are."""
        known = self.matrix["addresses"]
        found = []
        for end in ends:
            gone = known["endpoints"] if _flows.kind(end) == "project" else [end]
            found += known.get(end, gone)
        return found

    def _entry(self, one: Mapping[str, Any]) -> dict[str, Any]:
        row = self._row(_flow(one), one["protocol"], str(one["port"]), [one["source"]], [one["destination"]])
        days = (datetime.date.fromisoformat(one["expires"]) - self.today).days if one["expires"] else ""
        return {**row, "days": days, "warn": self.matrix["warn_days"], "state": self._state(one["name"], days)}

    def _state(self, name: str, days: int | str) -> str:
        """`in AWS` only where all of its rules are there."""
        if days != "" and int(days) < 0:
            return "expired"
        rules = [rule for rule, flow in self.wanted.items() if flow.name == name]
        if any(rule not in self.held for rule in rules):
            return "new"
        return "in AWS" if all(rule in self.live for rule in rules) else "missing"

    def _planted(self, rule: Rule, makers: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        raw = self.live[rule]
        maker = makers.get(raw.get("SecurityGroupRuleId", ""), {})
        source, destination = rule.ends
        permitted = self.wanted.get(rule)
        remedy = "write a flow for it and get it approved, or remove it"
        if permitted:  # AWS refuses a second rule equal to it
            name = permitted.name.removeprefix("flow-")
            remedy = f"remove it: flow {name} permits it, and the stack cannot make what is there"
        return {
            "id": raw.get("SecurityGroupRuleId") or UNKNOWN,
            "group": raw["GroupId"],
            "of": rule.group,
            "direction": "egress" if rule.egress else "ingress",
            "source": source,
            "destination": destination,
            "protocol": "all" if rule.protocol == "-1" else rule.protocol,
            "port": rule.ports,
            "description": raw.get("Description") or "",
            "by": maker.get("by") or UNKNOWN,
            "at": maker.get("at") or UNKNOWN,
            "remedy": remedy,
        }


def _flow(one: Mapping[str, Any]) -> Flow:
    return Flow(*(one[key] for key in Flow._fields))


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A flow by its name in flows.yml."""
    return {**row, "flow": row["flow"].removeprefix("flow-")}


# -- in words


def summary(report: Report) -> str:
    """`prod on 2027-01-15: 1 new, 0 ended; 1 rule made by hand, 0 missing; 2 flows end within 30 days`."""
    count = {kind: sum(one["change"] == kind for one in report["changes"]) for kind in ("new", "ended")}
    planted, ending = len(report["by_hand"]), len(report["ending"])
    return (
        f"{report['environment']} on {report['day']}: {count['new']} new, {count['ended']} ended; "
        f"{planted} rule{'' if planted == 1 else 's'} made by hand, {len(report['missing'])} missing; "
        f"{ending} flow{'s end' if ending != 1 else ' ends'} within {report['warn_days']} days"
    )


def drift(report: Report) -> list[str]:
    """Each rule that drifted, with its remedy."""
    lines = [
        f"{one['group']} ({one['of']}): {one['direction']} {one['source']} to {one['destination']} {one['protocol']} "
        f"{one['port']} was made by hand (rule {one['id']}, by {one['by']}, since {one['at']}); {one['remedy']}"
        for one in report["by_hand"]
    ]
    lines += [
        f"flow {one['flow']}: {one['source']} to {one['destination']} {one['protocol']} {one['port']} is missing in "
        f"AWS, though the stack {report['environment']}-flows made it; take the flow out of flows.yml, run "
        "provision.yml, write it again and run it again: the stack does not look whether its rules are still there"
        for one in report["missing"]
    ]
    return [printable(line) for line in lines]


COLUMNS = (
    *("change", "flow", "source", "source_addresses", "destination", "destination_addresses", "protocol", "port"),
    *("owner", "email", "reason", "ticket", "expires", "why"),
)


def request_rows(report: Report) -> list[list[str]]:
    """The request as rows of `COLUMNS`."""
    return [
        [" ".join(row[key]) if isinstance(row[key], list) else str(row[key]) for key in COLUMNS]
        for row in report["changes"]
    ]


def markdown(report: Report) -> str:
    """The matrix as a table for documentation."""
    head = ("flow", "source", "destination", "protocol", "port", "owner", "reason", "ticket", "expires")
    lines = [f"# Flows of {report['environment']}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(_cell(str(row[key])) for key in head)} |" for row in report["matrix"]]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", flat)
