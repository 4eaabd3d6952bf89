"""The report's figures, charts, tables and dossiers, as the template wants them. Pure.

For internal use of this collection.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _audit_charts as charts
from ansible_collections.atelier.datalab.plugins.module_utils import _audit_rules as rules
from ansible_collections.atelier.datalab.plugins.module_utils._audit_analysis import (
    UNKNOWN,
    WITH_HAND,
    WITH_STACK,
    Analysis,
    Record,
)

TITLES = {rule.id: rule.title for rule in rules.RULES}
_WORDS = {
    "instance": "machines",
    "database": "databases",
    "bucket": "buckets",
    "volume": "volumes",
    "address": "addresses",
    "group": "security groups",
}
_PLURAL = {"snapshot": "snapshots", "nat": "NAT gateways", "interface": "network interfaces", **_WORDS}
_BARS = 12  # of a chart; the rest is one bar


def context(analysis: Analysis, *, audited: str, title: str, currency: str, source: str) -> dict[str, Any]:
    """Everything the template reads."""
    everything = list(analysis.every())
    findings = [(one, finding) for one in everything for finding in one["findings"]]
    instances = analysis.resources["instance"]
    return {
        "title": title,
        "audited": audited,
        "currency": currency,
        "prices_from": source,
        "scores": [row | {"ring": charts.ring(row["score"], row["name"])} for row in analysis.scores()],
        "figures": _figures(analysis, everything, findings),
        "cost_chart": charts.bars("Cost a month by project", _cost_rows(everything, currency)),
        "managed_chart": charts.bars("By a stack and by hand", _managed_rows(analysis)),
        "rule_chart": charts.bars("Findings by rule", _rule_rows(findings), width=1100),
        "missing_prices": sorted({price for one in everything for price in one["cost"].missing}),
        "machines": [_machine(one) for one in instances],
        "others": _others(everything),
        "gaps": analysis.gaps,
        "titles": TITLES,
        "rules": [_rule(rule) for rule in rules.RULES],
    }


def _rule(rule: rules.Rule) -> tuple[str, str, str, str]:
    return rule.title, rule.id, ", ".join(_PLURAL[kind] for kind in rule.kinds), rule.remedy


def money(amount: float) -> str:
    """`1 234`: whole units, thousands apart."""
    return f"{amount:,.0f}".replace(",", "\u202f")


def _figures(analysis: Analysis, everything: list[Record], findings: list[Any]) -> list[tuple[str, str, str]]:
    instances = analysis.resources["instance"]
    by_hand = [one for one in instances if one["managed"] == "hand"]
    known = [one for one in instances if one["proposals"]["Owner"].value]
    looked = [one for one in instances if one["evidence"] and not one["evidence"].get("unreachable")]
    lost = sum(one["cost"].amount for one in everything if _is_waste(one))
    total = sum(one["cost"].amount for one in everything)
    return [
        (str(len(instances)), "machines", f"{sum(one['state'] == 'running' for one in instances)} running"),
        (str(len(by_hand)), "made by hand", f"{len(instances) - len(by_hand)} held by a stack"),
        (f"{len(known)}/{len(instances)}", "with an owner", "by tag, or by clues that agree"),
        (f"{len(looked)}", "looked into", "by ssh, from inside"),
        (str(len(findings)), "findings", f"on {len({id(one) for one, _ in findings})} resources"),
        (money(total), "a month at list prices", f"{money(lost)} of it serve nothing"),
    ]


def _is_waste(one: Record) -> bool:
    return any(
        finding.rule in ("volume_unattached", "address_unassociated", "stopped_long") for finding in one["findings"]
    )


def _cost_rows(everything: Iterable[Record], currency: str) -> list[charts.Bar]:
    sums: Counter[str] = Counter()
    for one in everything:
        sums[one["project"]] += one["cost"].amount
    named = sorted(((amount, name) for name, amount in sums.items() if name != UNKNOWN), key=lambda x: (-x[0], x[1]))
    rows = [(name, amount, "one") for amount, name in named[:_BARS] if amount]
    if rest := sum(amount for amount, _ in named[_BARS:]):
        rows.append((f"{len(named) - _BARS} others", rest, "two"))
    rows.append((UNKNOWN, sums[UNKNOWN], "bad"))
    return [
        charts.Bar(name, [charts.Part(amount, style)], f"{money(amount)} {currency}") for name, amount, style in rows
    ]


def _managed_rows(analysis: Analysis) -> list[charts.Bar]:
    rows = []
    for kind, word in _WORDS.items():
        counts = Counter(one["managed"] for one in analysis.resources[kind])
        held, hand, unsure = counts["stack"] + counts[WITH_STACK], counts["hand"] + counts[WITH_HAND], counts[UNKNOWN]
        parts = [
            charts.Part(held, "one", f"{held} {word} by a stack"),
            charts.Part(hand, "bad", f"{hand} {word} by hand"),
            charts.Part(unsure, "muted", f"{unsure} {word}: CloudFormation did not say"),
        ]
        rows.append(charts.Bar(word, parts, f"{held} / {hand}" + (f" / {unsure} ?" if unsure else "")))
    return rows


def _rule_rows(findings: Iterable[tuple[Record, rules.Finding]]) -> list[charts.Bar]:
    counts = Counter(finding.rule for _, finding in findings)
    order = sorted(TITLES, key=lambda rule: (-counts[rule], TITLES[rule]))
    return [charts.Bar(TITLES[rule], [charts.Part(counts[rule], "bad")], str(counts[rule])) for rule in order]


def _machine(one: Record) -> dict[str, Any]:
    """A row of the table and its dossier."""
    evidence = one["evidence"]
    return {
        "id": one["id"],
        "name": one["name"] or one["id"],
        "one": one,
        "managed": {"stack": f"stack {one['stack']}", "hand": "by hand"}.get(one["managed"], one["managed"]),
        "proposals": one["proposals"],
        "purpose": purpose(one),
        "origin": origin(one),
        "unsure": any(not proposal.value for proposal in one["proposals"].values()),
        "looked": bool(evidence) and not evidence.get("unreachable"),
        "unreachable": evidence.get("unreachable", ""),
        "evidence": evidence,
        "last_use": last_use(one),
        "backups": backups(one),
        "findings": one["findings"],
        "cost": one["total"],
        "peers": _peers(evidence),
    }


def purpose(one: Record) -> str:
    """In words, with how sure it is: `workstation of alpha (94 %)`, `unknown`."""
    role, project = one["proposals"]["Role"], one["proposals"]["Project"]
    if not role.value and not project.value:
        return UNKNOWN
    sure = min(proposal.confidence for proposal in (role, project) if proposal.value)
    return f"{role.value or 'unknown role'} of {project.value or 'unknown project'} ({sure} %)"


def last_use(one: Record) -> tuple[str, str]:
    """The latest sign of use, as a day and in words; empty when nothing is known."""
    signs = [(use["at"], use["what"]) for use in one["evidence"].get("last_use") or []]
    if one["stopped_since"]:
        signs.append((one["stopped_since"], "was stopped"))
    at, what = max(signs, default=("", ""))
    return at[:10], what


def backups(one: Record) -> str:
    """What is known of a machine's backups."""
    tag = one["tags"].get("Backup", "")
    said = f"tag Backup is {tag}" if tag else "no tag Backup"
    last = (
        f"last snapshot of a disk on {one['last_snapshot'][:10]}"
        if one["last_snapshot"]
        else "no snapshot of its disks"
    )
    return f"{said}; {last}"


def origin(one: Record) -> str:
    """By a stack or by hand, by whom and when; says so when CloudTrail could not be asked."""
    made = {"stack": f"stack {one['stack']}", "hand": "by hand"}.get(one["managed"], one["managed"])
    if creator := one.get("creator"):
        return f"{made}; {creator['by']} made it by {creator['event']} on {creator['at'][:10]}"
    return f"{made}; " + ("not in CloudTrail's 90 days" if one["trail"] else "CloudTrail not available")


def _peers(evidence: Record) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for peer in evidence.get("peers") or []:
        found[peer["direction"]].append(peer)
    return dict(found)


def _others(everything: Iterable[Record]) -> list[tuple[str, list[Record]]]:
    """Resources with findings that are no machine, by kind."""
    found: dict[str, list[Record]] = defaultdict(list)
    for one in everything:
        if one["kind"] != "instance" and one["findings"]:
            found[_PLURAL[one["kind"]]].append(one)
    return list(found.items())
