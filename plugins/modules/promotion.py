#!/usr/bin/python
"""Judge and record the promotion of an artefact to the next rung."""

from __future__ import annotations

DOCUMENTATION = r"""
module: promotion
short_description: Judges and records the promotion of an artefact to the next environment
version_added: "0.3.0"
description:
  - Lets the artefact that the checkout is go one rung up only when every proof that O(policy) demands of O(environment)
    is there for exactly it. One message names each that is missing, failed, too old, about another artefact or
    tampered with, and what to type to get it.
  - Shows a table, writes C(<environment>-<to>.json) into O(destination), and stores a signed record.
  - An emergency goes without proofs until it expires. From then on nothing leaves O(environment) before those proofs
    are there.
options:
  to: {description: The environment above., type: str, required: true, choices: [dev, preprod, prod]}
  emergency:
    description: Go without the proofs that are not there.
    type: dict
    suboptions:
      names: {description: Two of C(policy.emergency_approvers)., type: list, elements: str, required: true}
      reason: {description: Why it cannot wait., type: str, required: true}
      ticket: {description: Where it is followed., type: str, required: true}
      hours: {description: "When it ends, up to C(policy.emergency_max_hours).", type: float, required: true}
  destination:
    description: Folder for the report. Made when it is not there; nothing is written in check mode.
    type: path
    required: true
  state:
    description: Records are only ever added.
    type: str
    choices: [present]
    default: present
extends_documentation_fragment:
  - atelier.datalab.promotion
  - atelier.datalab.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author: [Atelier Datalab]
"""

EXAMPLES = r"""
- name: Promote what is proved in preprod
  atelier.datalab.promotion: &promotion
    environment: preprod
    to: prod
    policy: "{{ promotion }}"
    members: "{{ members | map(attribute='login') }}"
    images: {debian-12: ami-0123456789abcdef0}
    checkout: "{{ playbook_dir }}/.."
    destination: reports/promotion

- name: Promote a fix that cannot wait
  atelier.datalab.promotion:
    <<: *promotion
    emergency: {names: [alice, dave], reason: Logins fail for everybody, ticket: OPS-7, hours: 24}
"""

RETURN = r"""
msg:
  description: The verdict in one line; everything that is wrong, when it is refused.
  type: str
  returned: always
  sample: "lab -> dev, commit 0123456789ab, artefact 89abcdef0123: promoted"
record:
  description: Name of the record in the store; empty when it is refused.
  type: str
  returned: when it was judged
verdict:
  description: >-
    C(promoted), C(promoted already), C(promoted as an emergency until ...), C(would be promoted) or C(refused).
  type: str
  returned: when it was judged
files:
  description: The report.
  type: list
  elements: str
  returned: when it was judged
"""

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.atelier.datalab.plugins.module_utils import _promotion_run

ARGUMENTS = {
    "to": {"type": "str", "required": True, "choices": ["dev", "preprod", "prod"]},
    "emergency": {
        "type": "dict",
        "options": {
            "names": {"type": "list", "elements": "str", "required": True},
            "reason": {"type": "str", "required": True},
            "ticket": {"type": "str", "required": True},
            "hours": {"type": "float", "required": True},
        },
    },
    "destination": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["present"], "default": "present"},
    **_promotion_run.ARGUMENTS,
}


def main() -> None:
    """Entry point; the action plugin shows and writes the report, and fails where it is refused."""
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        changed, report = _promotion_run.promote(module, _promotion_run.now())
    except _promotion_run.ERRORS as error:
        module.fail_json(msg=_promotion_run.words(error))
    diff = {"before": "", "after": f"{report['record']}\n"} if changed else {"before": "", "after": ""}
    module.exit_json(changed=changed, report=report, diff=diff)


if __name__ == "__main__":
    main()
