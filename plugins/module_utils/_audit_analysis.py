"""Joins what was gathered into resources, dossiers, findings, costs and scores. Pure but for reading the store.

For internal use of this collection. The result is plain data in a fixed order: the same input gives the same bytes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from ansible_collections.atelier.datalab.plugins.module_utils import _audit_clues as clues
from ansible_collections.atelier.datalab.plugins.module_utils import _audit_costs as costs
from ansible_collections.atelier.datalab.plugins.module_utils import _audit_rules as rules
from ansible_collections.atelier.datalab.plugins.module_utils._audit_facts import facts_of
from ansible_collections.atelier.datalab.plugins.module_utils._audit_records import STACK_TAG

Record = dict[str, Any]
Place = tuple[str, str]  # account, region

# In the order of the report.
KINDS = ("instance", "database", "bucket", "volume", "snapshot", "address", "nat", "group", "interface")
# Tags that AWS writes on machines that something else started: their values are ids in the stack that holds it.
STARTED_BY = ("aws:autoscaling:groupName", "aws:elasticmapreduce:job-flow-id", "aws:eks:cluster-name")
PROPOSED = ("instance", "database", "bucket")
UNKNOWN = "unknown"
WITH_STACK, WITH_HAND = "with a stack's machine", "with a machine made by hand"


class Records(Protocol):
    """Where records come from: a store, or a test's own."""

    def read(self, kind: str) -> Iterator[Record]:
        """The records of a kind."""


@dataclass(frozen=True)
class Settings:
    """All that is not the account itself."""

    judge: clues.Judge
    facts: rules.Facts
    prices: costs.Prices
    weights: Mapping[str, int]


class Analysis:
    """What exists, judged. `resources` by kind, `scores`, `gaps`; everything sorted."""

    def __init__(self, store: Records, evidence: Mapping[str, Record], settings: Settings) -> None:
        self._settings = settings
        self._store = store
        self.gaps = sorted(store.read("gap"), key=lambda one: tuple(one.values()))
        self.scopes = list(store.read("scope"))
        self.resources: dict[str, list[Record]] = {kind: _sorted(store.read(kind)) for kind in KINDS}
        self.evidence_of = evidence
        self._join()
        self._judge()
        self.gaps += _silent(self.resources["instance"], evidence)

    def every(self) -> Iterator[Record]:
        """Every resource, kind by kind."""
        for kind in KINDS:
            yield from self.resources[kind]

    def _join(self) -> None:
        members = {(one["account"], one["region"], one["id"]): one["stack"] for one in self._store.read("member")}
        makers = {(one["account"], one["id"]): one for one in self._store.read("creation")}
        self._unread = _unread(self.gaps)
        self._asked = {(scope["account"], region) for scope in self.scopes for region in scope["regions"]}
        for one in self.every():
            one["stack"] = one["tags"].get(STACK_TAG, "")
            # An address is listed by its ip; a machine of a group or a cluster by what started it.
            ids = [one["id"], one.get("public_ip", ""), *(one["tags"].get(tag, "") for tag in STARTED_BY)]
            found = (members.get((one["account"], one["region"], each)) for each in ids if each)
            held = next((stack for stack in found if stack), None)
            one["managed"] = self._managed(one, held)
            one["stack"] = held or one["stack"]
            one["trail"] = "creation" not in self._unread[(one["account"], one["region"])]
            if maker := makers.get((one["account"], one["id"])):
                one["creator"] = {key: maker[key] for key in ("by", "at", "event")}
        self._join_volumes()
        self._join_names()

    def _managed(self, one: Record, held: str | None) -> str:
        """`stack` when a stack holds it, `hand` when none does, `unknown` where CloudFormation did not say.

        A bucket may be of a region that nobody asked for.
        """
        place = (one["account"], one["region"])
        if held:
            return "stack"
        return UNKNOWN if place not in self._asked or "stack" in self._unread[place] else "hand"

    def _join_volumes(self) -> None:
        instances = {one["id"]: one for one in self.resources["instance"]}
        for volume in self.resources["volume"]:
            owners = [instances[one] for one in volume["attached_to"] if one in instances]
            # The disks an instance was started with are in no stack of their own; they stand and fall with it, and
            # what is to be said about a machine made by hand is said once.
            if volume["managed"] == "hand" and owners:
                held = any(one["managed"] == "stack" for one in owners)
                volume["managed"] = WITH_STACK if held else WITH_HAND
            volume["machines"] = [one["name"] or one["id"] for one in owners]
        by_id = {one["id"]: one for one in self.resources["volume"]}
        last: dict[str, str] = {}
        for snapshot in self.resources["snapshot"]:
            last[snapshot["volume"]] = max(last.get(snapshot["volume"], ""), snapshot["created"])
        for one in self.resources["instance"]:
            one["disks"] = [by_id[disk] for disk in one["volumes"] if disk in by_id]
            taken = [last[disk] for disk in one["volumes"] if disk in last]
            one["last_snapshot"] = max(taken, default="")

    def _join_names(self) -> None:
        subnets = {one["id"]: one["name"] for one in self._store.read("subnet")}
        names: dict[str, set[str]] = defaultdict(set)
        for record in self._store.read("record"):
            for target in record["targets"]:
                names[target].add(record["name"])
        elastic: dict[str, list[str]] = defaultdict(list)
        gateways = {address: one["id"] for one in self.resources["nat"] for address in one["addresses"]}
        for address in self.resources["address"]:
            address["associated"] = address["associated"] or address["id"] in gateways
            elastic[address["instance"]].append(address["public_ip"])
        for one in self.resources["instance"]:
            one["subnet_name"] = subnets.get(one["subnet"], "")
            one["elastic_ips"] = sorted(elastic.get(one["id"], []))
            one["dns"] = sorted(set().union(*(names.get(ip, set()) for ip in [one["private_ip"], *one["public_ips"]])))
            one["evidence"] = self.evidence_of.get(one["id"]) or {}
        for one in self.resources["database"]:
            one["dns"] = sorted(names.get(one["endpoint"], set()))

    def _judge(self) -> None:
        peers = {one["private_ip"]: one for one in self.resources["instance"] if one["private_ip"]}
        facts = {place: self._facts(place) for place in {(one["account"], one["region"]) for one in self.every()}}
        for one in self.every():
            place = (one["account"], one["region"])
            if one["kind"] in PROPOSED:
                one["proposals"] = clues.propose(facts_of(one, peers), one["tags"], self._settings.judge)
            unread = self._unread[place] | (set() if one.get("tags_known", True) else {"tags"})
            verdict = rules.judge(one, facts[place], self._settings.weights, frozenset(unread))
            one["asked"], one["findings"] = verdict.asked, verdict.findings
            one["cost"] = self._settings.prices.cost(one)
        self._share()

    def _share(self) -> None:
        """Give what a machine uses to the machine's project, and its price to the machine's total."""
        instances = {one["id"]: one for one in self.resources["instance"]}
        for one in self.every():
            one["project"] = _own_project(one)
        volumes = {one["id"]: one for one in self.resources["volume"]}
        for volume in volumes.values():
            _inherit(volume, (instances.get(owner) for owner in volume["attached_to"]))
        for address in self.resources["address"]:
            _inherit(address, [instances.get(address["instance"])])
        for snapshot in self.resources["snapshot"]:
            _inherit(snapshot, [volumes.get(snapshot["volume"])])
        used = defaultdict(list)
        for address in self.resources["address"]:
            used[address["instance"]].append(address["cost"])
        for one in instances.values():
            one["total"] = costs.add(one["cost"], *(disk["cost"] for disk in one["disks"]), *used[one["id"]])

    def _facts(self, place: Place) -> rules.Facts:
        here = [one for one in self.resources["interface"] if (one["account"], one["region"]) == place]
        used = {group for one in here for group in one["groups"]}
        for one in self.resources["instance"]:
            used |= {group[0] for group in one["groups"]}
        for one in self.resources["group"]:
            named = {peer for rule in one["ingress"] + one["egress"] for peer in rule["peers"]}
            used |= named - {one["id"]}
        images = {one["id"]: one for one in self._store.read("image") if (one["account"], one["region"]) == place}
        return replace(self._settings.facts, images=images, groups_in_use=frozenset(used))

    def scores(self) -> list[Record]:
        """Per environment: weight of the checks that hold, of all that were asked, in percent."""
        held: Counter[str] = Counter()
        asked: Counter[str] = Counter()
        count: Counter[str] = Counter()
        for one in self.every():
            key = f"{one['environment']} ({one['account']})"
            broken = {finding.rule for finding in one["findings"]}
            asked[key] += sum(self._settings.weights[rule] for rule in one["asked"])
            held[key] += sum(self._settings.weights[rule] for rule in one["asked"] if rule not in broken)
            count[key] += len(one["findings"])
        names = sorted({f"{one['environment']} ({one['account']})" for one in self.scopes} | set(asked))
        return [
            {
                "name": name,
                "score": round(100 * held[name] / asked[name]) if asked[name] else None,
                "held": held[name],
                "asked": asked[name],
                "findings": count[name],
            }
            for name in names
        ]


def _sorted(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda one: (one["account"], one["region"], one["name"], one["id"]))


def _unread(gaps: Iterable[Record]) -> dict[Place, set[str]]:
    found: dict[Place, set[str]] = defaultdict(set)
    for gap in gaps:
        found[(gap["account"], gap["region"])].add(gap["kind"])
    return found


def _silent(instances: Iterable[Record], evidence: Mapping[str, Record]) -> list[Record]:
    """A gap for every running machine that nobody could look into, and for every question it did not answer."""
    gaps = []
    untried: Counter[tuple[str, ...]] = Counter()
    for one in instances:
        inside = evidence.get(one["id"])
        reasons = [f"{gap['probe']}: {gap['reason']}" for gap in (inside or {}).get("gaps") or []]
        if one["state"] == "running" and inside is None:
            untried[(one["account"], one["environment"], one["region"])] += 1
        elif inside and inside.get("unreachable"):
            reasons = [inside["unreachable"]]
        where = {key: one[key] for key in ("account", "environment", "region")}
        gaps += [where | {"kind": f"inside of {one['name'] or one['id']}", "reason": reason} for reason in reasons]
    places = ("account", "environment", "region")
    return gaps + [
        dict(zip(places, place, strict=True)) | {"kind": f"inside of {count} running machines", "reason": "not tried"}
        for place, count in sorted(untried.items())
    ]


def _own_project(one: Record) -> str:
    if "proposals" in one:
        return one["proposals"]["Project"].value or UNKNOWN
    return one["tags"].get("Project") or UNKNOWN


def _inherit(one: Record, users: Iterable[Record | None]) -> None:
    if one["project"] == UNKNOWN:
        one["project"] = next((user["project"] for user in users if user), UNKNOWN)


def plain(resource: Record) -> Record:
    """A resource as JSON holds it."""
    shown = {key: value for key, value in resource.items() if key not in ("disks", "asked")}
    shown["findings"] = [asdict(finding) for finding in resource["findings"]]
    for key in ("cost", "total"):
        if key in resource:
            shown[key] = asdict(resource[key]) | {"amount": round(resource[key].amount, 2)}
    if "proposals" in resource:
        shown["proposals"] = {name: asdict(one) for name, one in resource["proposals"].items()}
    return shown
