"""Which of core IT's rules a resource breaks, told from what AWS says about it. Pure.

For internal use of this collection. A rule is one function from a resource to the reason it breaks the rule; it is
asked only about the kinds it is for, and only where everything it needs could be read: what is not known is no finding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _images
from ansible_collections.atelier.datalab.plugins.module_utils._rules import is_world

Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """One broken rule: which, on what, why, and what to do about it."""

    rule: str
    subject: str
    text: str
    remedy: str


@dataclass(frozen=True)
class Facts:
    """What rules compare with. `groups_in_use` and the like hold for one account and region."""

    now: datetime
    mandatory: tuple[str, ...]
    criteria: tuple[_images.Criteria, ...] = ()
    name_pattern: re.Pattern[str] = re.compile(".*")
    stopped_days: int = 30
    images: Mapping[str, Resource] = field(default_factory=dict)
    groups_in_use: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Rule:
    """A rule as the report lists it; `title` names the fault."""

    id: str
    title: str
    kinds: tuple[str, ...]
    broken: Callable[[Resource, Facts], str]
    remedy: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What was asked of one resource, and what it breaks."""

    asked: tuple[str, ...]
    findings: tuple[Finding, ...]


def judge(resource: Resource, facts: Facts, weights: Mapping[str, int], unread: frozenset[str]) -> Verdict:
    """Ask every rule that has a weight. unread: kinds that could not be read in this account and region."""
    asked, findings = [], []
    for rule in RULES:
        if resource["kind"] not in rule.kinds or not weights.get(rule.id) or unread & set(rule.needs):
            continue
        asked.append(rule.id)
        if text := rule.broken(resource, facts):
            findings.append(Finding(rule.id, resource["id"], text, rule.remedy))
    return Verdict(tuple(asked), tuple(findings))


def _tags_missing(resource: Resource, facts: Facts) -> str:
    missing = [key for key in facts.mandatory if not resource["tags"].get(key, "").strip()]
    return f"without {', '.join(missing)}" if missing else ""


def _public(resource: Resource, _facts: Facts) -> str:
    if resource["kind"] == "database":
        return "may be reached from the internet (PubliclyAccessible)" if resource["public"] else ""
    # A tag alone makes no bastion: anybody can write one.
    bastion = resource["tags"].get("Role") == "bastion" and resource["managed"] == "stack"
    return f"has {', '.join(resource['public_ips'])}" if resource["public_ips"] and not bastion else ""


def ports(rule: Resource) -> str:
    """`tcp 22`, `tcp 8000-8010`, `all`."""
    if rule["protocol"] == "all" or rule["from"] == -1:
        return str(rule["protocol"])
    span = str(rule["from"]) if rule["from"] == rule["to"] else f"{rule['from']}-{rule['to']}"
    return f"{rule['protocol']} {span}"


def _open(resource: Resource, _facts: Facts) -> str:
    found = [f"{ports(rule)} to {peer}" for rule in resource["ingress"] for peer in rule["peers"] if is_world(peer)]
    return f"opens {', '.join(found)}" if found else ""


def _image(resource: Resource, facts: Facts) -> str:
    if not facts.criteria:
        return ""
    image = facts.images.get(resource["image"])
    if image is None:
        return f"{resource['image']} is gone, or not shared with this account, so nobody can say that it was approved"
    against = {one.key: _images.objections(image["raw"], one, facts.now) for one in facts.criteria}
    if not all(against.values()):
        return ""
    key = min(against, key=lambda one: (len(against[one]), one))
    return f"{resource['image']} ({image['name'] or 'no name'}) is not approved: {'; '.join(against[key])} ({key})"


def _backup(resource: Resource, _facts: Facts) -> str:
    if resource["kind"] == "database":
        return "keeps no automatic backup (retention of 0 days)" if not resource["retention"] else ""
    return "" if resource["tags"].get("Backup", "").strip() else "no tag Backup: nobody said whether it is backed up"


def _stopped(resource: Resource, facts: Facts) -> str:
    days = days_since(resource["stopped_since"], facts.now)
    if days is None or days <= facts.stopped_days:
        return ""
    return f"stopped for {days} days, since {resource['stopped_since'][:10]}; its disks are paid all the same"


def days_since(when: str, now: datetime) -> int | None:
    """Whole days from a moment in text to now; None when the moment is unknown."""
    return (now - datetime.fromisoformat(when)).days if when else None


def _group_unused(resource: Resource, facts: Facts) -> str:
    # The default group of a network cannot be deleted.
    if resource["name"] == "default" or resource["id"] in facts.groups_in_use:
        return ""
    return "no network interface has it and no other group names it"


def _named(resource: Resource, facts: Facts) -> str:
    if not resource["name"]:
        return "has no name"
    return "" if facts.name_pattern.fullmatch(resource["name"]) else f"{resource['name']} does not follow the pattern"


def _owner(resource: Resource, _facts: Facts) -> str:
    owner = resource["proposals"]["Owner"]
    if owner.value:
        return ""
    tag = resource["tags"].get("Owner", "")
    return f"tag Owner is {tag}, who is nobody in the directory" if tag else f"no tag Owner; {owner.why}"


def _by_hand(resource: Resource, _facts: Facts) -> str:
    if resource["managed"] != "hand" or (resource.get("name") == "default" and resource["kind"] == "group"):
        return ""
    who = resource.get("creator") or {}
    made = f", made by {who['by']} on {who['at'][:10]}" if who else ""
    return f"in no stack{made}" + (
        f"; its tag names {resource['stack']}, which does not hold it" if resource["stack"] else ""
    )


def _yes(key: str, text: str) -> Callable[[Resource, Facts], str]:
    return lambda resource, _facts: text if resource[key] else ""


def _no(key: str, text: str) -> Callable[[Resource, Facts], str]:
    return lambda resource, _facts: "" if resource[key] else text


_OWNED = ("instance", "database", "bucket")
RULES = (
    Rule(
        "mandatory_tags", "Mandatory tags missing", (*_OWNED, "volume"), _tags_missing,
        "say yes to the proposed tags in proposal.yml, then run playbooks/normalise.yml", ("tags",),
    ),
    Rule(
        "public_address", "Public address", ("instance", "database"), _public,
        "take the address away; people come in through the bastion",
    ),
    Rule(
        "open_world", "Open to the world", ("group",), _open,
        "name the networks that need it, as a flow with a ticket",
    ),
    Rule(
        "encryption", "Not encrypted", ("volume", "database"), _no("encrypted", "is not encrypted"),
        "copy a snapshot with encryption and put the copy in its place",
    ),
    Rule(
        "imdsv2", "IMDSv1 answers", ("instance",), _yes("imdsv1", "answers IMDSv1"),
        "aws ec2 modify-instance-metadata-options --http-tokens required, once nothing on it uses IMDSv1",
    ),
    Rule(
        "approved_image", "Image not approved", ("instance",), _image,
        "move what it serves to a machine of an approved image", ("image",),
    ),
    Rule(
        "backup_present", "No backup said", ("instance", "database"), _backup,
        "give it the tag Backup with a class of corporate.backup_classes (a database: a retention)",
    ),
    Rule(
        "schedule_present", "No schedule", ("instance",),
        lambda resource, _: "" if resource["tags"].get("Schedule", "").strip() else "no tag Schedule: it never stops",
        "give it the tag Schedule with a name of corporate.schedules",
    ),
    Rule(
        "stack_managed", "Made by hand", (*_OWNED, "volume", "group", "address"), _by_hand,
        "adopt it into a stack (docs/howto/normalise.md)", ("stack",),
    ),
    Rule(
        "stopped_long", "Stopped for long", ("instance",), _stopped,
        "ask its owner; keep a snapshot and terminate it",
    ),
    Rule(
        "volume_unattached", "Volume unattached", ("volume",), _no("attached_to", "attached to nothing"),
        "ask its owner; keep a snapshot and delete it",
    ),
    Rule(
        "address_unassociated", "Address unused", ("address",), _no("associated", "serves nothing, and is paid"),
        "release it",
    ),
    Rule(
        "group_unused", "Security group unused", ("group",), _group_unused,
        "delete it", ("interface", "group"),
    ),
    Rule(
        "naming", "Name off the pattern", ("instance",), _named,
        "say yes to a new name in proposal.yml",
    ),
    Rule(
        "owner_known", "Owner unknown", _OWNED, _owner,
        "ask those whom the dossier names, then write the tag Owner",
    ),
)  # fmt: skip
