#!/usr/bin/python
"""Apply the tags and names that people said yes to."""

from __future__ import annotations

DOCUMENTATION = r"""
module: normalise
short_description: Apply the tags and names of a reviewed audit proposal
description:
  - Reads the C(proposal.yml) of M(atelier.datalab.audit_report) after people reviewed it, and writes the tags and names
    of the entries with C(apply=true), no others.
  - One message names every offender (an unknown instance, a tag outside the vocabulary, a machine that was changed
    since the audit, a name that is taken), and then nothing is written.
  - A second run changes nothing. Names are tags; the host's own name is not touched.
options:
  file: {description: The reviewed file., type: path, required: true}
  accounts:
    description: The accounts of the entries, as in M(atelier.datalab.audit_gather); their roles must allow CreateTags.
    type: list
    elements: dict
    required: true
    suboptions:
      account: {description: Number of the account., type: str, required: true}
      environment: {description: What it is called., type: str, required: true}
      regions: {description: Its regions., type: list, elements: str, required: true}
      role_arn: {description: Role to assume; without it the module's own credentials are used., type: str}
      external_id: {description: External id that the role asks for., type: str}
  vocabulary:
    description: Tag to the values it may have. Tags that are not here are refused.
    type: dict
    required: true
  name_pattern: {description: Regular expression that a new name must match as a whole., type: str, required: true}
extends_documentation_fragment:
  - atelier.datalab.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Write the tags that were agreed on
  atelier.datalab.normalise:
    region: eu-west-1
    file: reports/audit/prod/proposal.yml
    accounts: [{account: "456789012345", environment: prod, regions: [eu-west-1]}]
    vocabulary: {Project: [alpha, beta], Owner: [alice, carol], Role: [workstation, database]}
    name_pattern: "prod-[a-z0-9-]+-(workstation|database)-[0-9]{2}"
"""

RETURN = r"""
changes:
  description: Per machine C(id) and C(tags), each with C(before) and C(after).
  type: list
  elements: dict
  returned: success
summary: {description: How many entries were applied, left and already as wanted., type: str, returned: success}
"""

import re
from pathlib import Path
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.atelier.datalab.plugins.module_utils import _audit_accounts, _aws, _normalise

_GONE = ["shutting-down", "terminated"]


def clients(module: AnsibleAWSModule, entries: list[_normalise.Entry]) -> dict[tuple[str, str], Any]:
    """One EC2 client for each account and region among the entries."""
    accounts = {one["account"]: one for one in module.params["accounts"]}
    places = sorted({(entry.account, entry.region) for entry in entries})
    if strange := sorted({account for account, _ in places} - set(accounts)):
        fault = f"account {', '.join(strange)} is not among the accounts given; add it, or remove its entries"
        raise _normalise.refusal(module.params["file"], [fault])
    found = {}
    for account, region in places:
        client = _audit_accounts.clients(module, accounts[account], "datalab-normalise")
        caller = client("sts", region).get_caller_identity()["Account"]
        if caller != account:
            raise _normalise.refusal(module.params["file"], [f"the credentials given for {account} are of {caller}"])
        found[(account, region)] = client("ec2", region)
    return found


def existing(ec2: Any, **wanted: list[str]) -> dict[str, dict[str, str]]:
    """Tags by id of the instances with these ids or names. By filter: an unknown id is for us to tell."""
    found = {}
    for name, values in wanted.items():
        for start in range(0, len(values), 150):
            filters = [{"Name": name.replace("_", "-").replace("tag-", "tag:"), "Values": values[start : start + 150]}]
            for page in ec2.get_paginator("describe_instances").paginate(Filters=filters):
                for one in (one for held in page["Reservations"] for one in held["Instances"]):
                    if one["State"]["Name"] not in _GONE:
                        found[one["InstanceId"]] = {tag["Key"]: tag["Value"] for tag in one.get("Tags") or []}
    return found


def normalise(module: AnsibleAWSModule) -> dict[str, Any]:
    """Check everything, then write; the module's result."""
    params = module.params
    file = Path(params["file"])
    entries = _normalise.read(file.read_text(encoding="utf-8"), file.name)
    chosen = [entry for entry in entries if entry.apply]
    places = clients(module, chosen)
    current: dict[str, dict[str, str]] = {}
    names: dict[str, str] = {}
    for place, ec2 in places.items():
        here = [entry for entry in chosen if (entry.account, entry.region) == place]
        current |= existing(ec2, instance_id=[entry.id for entry in here])
        renames = [entry.rename for entry in here if entry.rename]
        names |= {tags["Name"]: one for one, tags in existing(ec2, tag_Name=renames).items()}
    vocabulary = _normalise.Vocabulary(
        {key: frozenset(map(str, values)) for key, values in params["vocabulary"].items()},
        re.compile(params["name_pattern"]),
    )
    changes = [one for one in _normalise.plan(entries, current, names, vocabulary, file.name) if one.tags]
    for change in changes if not module.check_mode else ():
        written = [{"Key": key, "Value": new} for key, (_, new) in sorted(change.tags.items())]
        places[(change.entry.account, change.entry.region)].create_tags(Resources=[change.entry.id], Tags=written)
    return {
        "changed": bool(changes),
        "changes": [
            {"id": one.entry.id, "tags": {key: {"before": a, "after": b} for key, (a, b) in one.tags.items()}}
            for one in changes
        ],
        "diff": [_normalise.diff(one) for one in changes],
        "summary": f"{len(changes)} machines {'to change' if module.check_mode else 'changed'}, "
        f"{len(chosen) - len(changes)} as wanted, {len(entries) - len(chosen)} left alone (apply is false)",
    }


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(
        argument_spec={
            "file": {"type": "path", "required": True},
            "accounts": {"type": "list", "elements": "dict", "required": True, "options": _audit_accounts.OPTIONS},
            "vocabulary": {"type": "dict", "required": True},
            "name_pattern": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        result = normalise(module)
    except _normalise.NormaliseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{module.params['file']}: {error.strerror}; run playbooks/audit.yml first")
    except _aws.AWS_ERRORS as error:
        module.fail_json(msg=f"{_aws.sentence(error)}. Run again: what is written already stays, the rest follows.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
