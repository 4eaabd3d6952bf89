#!/usr/bin/python
"""Take machines made by hand over into CloudFormation."""

from __future__ import annotations

DOCUMENTATION = r"""
module: adopt
short_description: Take machines made by hand over into CloudFormation, as they are
description:
  - For each entry of a reviewed C(proposal.yml) with C(apply=true) and C(adopt=true), writes the template (everything
    retained) and the list of resources to import, for the machine, its addresses and the volumes that outlive it.
  - Only with O(execute=true) a change set of type IMPORT is made and, when it does nothing but import, executed.
    Nothing is replaced, stopped or changed by that.
  - A machine that a stack holds already is passed over.
options:
  file: {description: The reviewed file., type: path, required: true}
  folder: {description: Where templates and lists are written., type: path, required: true}
  accounts:
    description: The accounts of the entries, as in M(atelier.datalab.normalise).
    type: list
    elements: dict
    required: true
    suboptions:
      account: {description: Number of the account., type: str, required: true}
      environment: {description: Begin of the stacks' names., type: str, required: true}
      regions: {description: Its regions., type: list, elements: str, required: true}
      role_arn: {description: Role to assume., type: str}
      external_id: {description: External id that the role asks for., type: str}
  execute: {description: Whether to import., type: bool, default: false}
  timeout: {description: Seconds to wait for one stack., type: int, default: 600}
extends_documentation_fragment:
  - atelier.datalab.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Write what CloudFormation would be told
  atelier.datalab.adopt:
    region: eu-west-1
    file: reports/audit/prod/proposal.yml
    folder: reports/audit/prod/adopt
    accounts: [{account: "456789012345", environment: prod, regions: [eu-west-1]}]
"""

RETURN = r"""
stacks:
  description: "Per machine: C(id), C(name) of the stack, C(template) and C(resources) (files), C(status)."
  type: list
  elements: dict
  returned: success
"""

from pathlib import Path
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.atelier.datalab.plugins.module_utils import (
    _adopt,
    _adopt_api,
    _audit_accounts,
    _aws,
    _normalise,
)


def write(path: Path, text: str, check: bool) -> dict[str, str] | None:
    """Write a file where it differs; the difference, or None."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if before == text:
        return None
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return {"before_header": path.name, "after_header": path.name, "before": before, "after": text}


def adopt(module: AnsibleAWSModule) -> dict[str, Any]:
    """Every chosen machine in turn; the module's result."""
    params, file = module.params, Path(module.params["file"])
    chosen = [one for one in _normalise.read(file.read_text(encoding="utf-8"), file.name) if one.apply and one.adopt]
    accounts = {one["account"]: one for one in params["accounts"]}
    if strange := sorted({one.account for one in chosen} - set(accounts)):
        raise _normalise.refusal(file.name, [f"account {', '.join(strange)} is not among the accounts given; add it"])
    machines = []
    for entry in chosen:
        clients = _audit_accounts.clients(module, accounts[entry.account], "datalab-adopt")
        machines.append((entry, _adopt_api.Machine(clients, entry.region, entry.id)))
    if faults := [fault for _, one in machines if (fault := one.fault())]:
        raise _normalise.refusal(file.name, faults)
    stacks, diffs, changed = [], [], False
    for entry, machine in machines:
        name = _adopt.stack_name(accounts[entry.account]["environment"], entry.id)
        place = Path(params["folder"]) / name
        if machine.stack:
            stacks.append({"id": entry.id, "name": machine.stack, "status": "held by it already"})
            continue
        parts = {".template.json": machine.template(), ".resources.json": machine.identifiers()}
        files = {ending: place.with_name(name + ending) for ending in parts}
        diffs += [write(files[ending], _adopt.text(data), module.check_mode) for ending, data in parts.items()]
        status = "written"
        if params["execute"]:
            changed, status = True, "to import"
            if not module.check_mode:
                status = _adopt_api.execute(machine, name, params["timeout"])
        paths = {"template": str(files[".template.json"]), "resources": str(files[".resources.json"])}
        stacks.append({"id": entry.id, "name": name, "status": status, **paths})
    diffs = [one for one in diffs if one]
    return {"changed": changed or bool(diffs), "stacks": stacks, "diff": diffs}


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(
        argument_spec={
            "file": {"type": "path", "required": True},
            "folder": {"type": "path", "required": True},
            "accounts": {"type": "list", "elements": "dict", "required": True, "options": _audit_accounts.OPTIONS},
            "execute": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    try:
        result = adopt(module)
    except (_normalise.NormaliseError, _adopt.AdoptError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; run playbooks/audit.yml first")
    except _aws.AWS_ERRORS as error:
        module.fail_json(msg=f"{_aws.sentence(error)}. What was imported stays so; run again for the rest.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
