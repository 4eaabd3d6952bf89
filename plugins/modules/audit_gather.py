#!/usr/bin/python
"""List what exists in AWS accounts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: audit_gather
short_description: List what exists in AWS accounts, into files
description:
  - Reads instances, volumes, snapshots, addresses, network interfaces, security groups, subnets, databases, buckets,
    DNS records, the images in use, the stacks with what they hold, and from CloudTrail who made what.
  - Reads only. Page by page into JSON lines in O(folder), so that memory does not grow with the accounts.
  - What an account or a region refuses is returned in RV(gaps), and the rest is read all the same.
options:
  accounts:
    description: The accounts to read.
    type: list
    elements: dict
    required: true
    suboptions:
      account: {description: Number of the account., type: str, required: true}
      environment: {description: What to call it in the report., type: str, required: true}
      regions: {description: Where to look., type: list, elements: str, required: true}
      role_arn: {description: Role to assume; without it the module's own credentials are used., type: str}
      external_id: {description: External id that the role asks for., type: str}
  folder:
    description: Where the files go. Files of an earlier audit are replaced.
    type: path
    required: true
  cloudtrail:
    description: Whether to ask CloudTrail who made what. It answers two questions a second at most.
    type: bool
    default: true
extends_documentation_fragment:
  - atelier.datalab.attributes.read_only
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: List what two accounts hold
  atelier.datalab.audit_gather:
    region: eu-west-1
    folder: reports/audit/prod/data
    accounts:
      - {account: "456789012345", environment: prod, regions: [eu-west-1, eu-west-3]}
      - account: "123456789012"
        environment: dev
        regions: [eu-west-1]
        role_arn: arn:aws:iam::123456789012:role/datalab-audit
"""

RETURN = r"""
counts:
  description: How many records of each kind were written.
  type: dict
  returned: always
gaps:
  description: "What could not be read: C(account), C(environment), C(region), C(kind), C(reason)."
  type: list
  elements: dict
  returned: always
machines:
  description: "Instances that run: C(id), C(name), C(address), C(account), C(environment), C(region)."
  type: list
  elements: dict
  returned: always
"""

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.atelier.datalab.plugins.module_utils import _audit_accounts, _audit_api, _aws
from ansible_collections.atelier.datalab.plugins.module_utils._audit_store import Store


def gather(module: AnsibleAWSModule, store: Store) -> _audit_api.Gatherer:
    """Read every account in turn."""
    gatherer = _audit_api.Gatherer(store, cloudtrail=module.params["cloudtrail"])
    for entry in module.params["accounts"]:
        scope = _audit_api.Scope(entry["account"], entry["environment"], tuple(entry["regions"]))
        try:
            clients = _audit_accounts.clients(module, entry, "datalab-audit")
        except _aws.AWS_ERRORS as error:
            gatherer.gap(scope, "all", "all", _aws.sentence(error))
            continue
        gatherer.account(scope, clients)
    store.write("gap", gatherer.gaps)
    store.write(
        "scope",
        ({key: entry[key] for key in ("account", "environment", "regions")} for entry in module.params["accounts"]),
    )
    return gatherer


def machines(store: Store) -> list[dict[str, str]]:
    """Instances that run and have an address."""
    return [
        {"address": one["private_ip"], **{key: one[key] for key in ("id", "name", "account", "environment", "region")}}
        for one in store.read("instance")
        if one["state"] == "running" and one["private_ip"]
    ]


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(
        argument_spec={
            "accounts": {"type": "list", "elements": "dict", "required": True, "options": _audit_accounts.OPTIONS},
            "folder": {"type": "path", "required": True},
            "cloudtrail": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    if empty := [entry["account"] for entry in module.params["accounts"] if not entry["regions"]]:
        module.fail_json(msg=f"accounts: {', '.join(empty)}: regions is empty; name at least one region")
    store = Store(module.params["folder"])
    try:
        store.begin()
        gatherer = gather(module, store)
    except OSError as error:
        module.fail_json(msg=f"{module.params['folder']}: {error.strerror}; choose another folder")
    finally:
        store.close()
    module.exit_json(changed=False, counts=store.counts, gaps=gatherer.gaps, machines=machines(store))


if __name__ == "__main__":
    main()
