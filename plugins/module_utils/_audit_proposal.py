"""The file that people review after an audit, and that `normalise` reads. Pure.

For internal use of this collection.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import yaml
from ansible_collections.atelier.datalab.plugins.module_utils import _names
from ansible_collections.atelier.datalab.plugins.module_utils._audit_analysis import Analysis, Record

_HEAD = """\
# What the audit proposes. Nothing is done with it until you say yes: set apply to true, entry by entry, and correct the
# tags where you know better. Then: ansible-playbook playbooks/normalise.yml -i inventories/<environment> --check --diff
# `adopt: true` hands a machine over to CloudFormation as it stands (docs/howto/normalise.md).
# `seen` is what was there at the audit; an entry whose tags were changed since is refused.
"""


def proposal(analysis: Analysis, audited: str, cost_centers: Mapping[str, str]) -> str:
    """The YAML of every machine made by hand. cost_centers: of projects, by their names."""
    taken = {one["name"] for one in analysis.resources["instance"]}
    entries = [_entry(one, taken, cost_centers) for one in analysis.resources["instance"] if one["managed"] == "hand"]
    text = yaml.safe_dump({"entries": entries}, sort_keys=False, width=118, allow_unicode=True)
    return f"---\n{_HEAD}audited: {audited}\n{text}"


def _entry(one: Record, taken: set[str], cost_centers: Mapping[str, str]) -> Record:
    values = {name: p.value for name, p in one["proposals"].items()}
    tags = {name: value for name, value in values.items() if value and not one["proposals"][name].stated}
    known = {"Environment": one["environment"], "CostCenter": cost_centers.get(values["Project"] or "")}
    tags |= {key: value for key, value in known.items() if value and not one["tags"].get(key)}
    return {
        "id": one["id"],
        "apply": False,
        "adopt": False,
        "account": one["account"],
        "region": one["region"],
        "tags": tags,
        "rename": _rename(one, values["Project"], values["Role"], taken),
        "seen": {key: value for key, value in one["tags"].items() if not key.startswith("aws:")},
        "why": {name: _why(p) for name, p in one["proposals"].items() if not p.stated},
    }


def _rename(one: Record, project: str | None, role: str | None, taken: set[str]) -> str:
    """The first free name of the pattern; empty when the name follows it, or when project or role are unknown."""
    if not project or not role or not any(finding.rule == "naming" for finding in one["findings"]):
        return ""
    names = (_names.machine_name(one["environment"], project, role, number) for number in itertools.count(1))
    free = next(name for name in names if name not in taken)
    taken.add(free)
    return free


def _why(proposal_: Any) -> list[str]:
    said = [f"{vote.value} {vote.confidence} %: {proof}" for vote in proposal_.votes for proof in vote.proofs]
    return [proposal_.why, *said]
