#!/usr/bin/python
"""Judge what runs by core IT's rules."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rules_report
short_description: Judges what runs by core IT's rules, and writes a report
version_added: "0.3.0"
description:
  - Reads instances, volumes, addresses, network interfaces, security groups, the images in use, launch templates,
    databases and certificates of one region, page by page, and compares them and what the hosts say about themselves
    with the rules of the data.
  - Fails when something breaks a rule that refuses in this environment; everything else is a warning.
  - Shows a table, and writes C(<environment>.json), C(.xml) (JUnit) and C(.html) (one page, prints, needs nothing from
    outside) into O(destination). Changes nothing else, neither in AWS nor on a host.
  - What could not be read is listed as not looked at, in every output; only without the instances there is no report.
options:
  environment:
    description: Name of the environment.
    type: str
    required: true
  account:
    description: Number of the AWS account this is about; with credentials of another one nothing is judged.
    type: str
    required: true
  expected:
    description: What the data expects, C(datalab.expected) of M(atelier.datalab.model).
    type: dict
    required: true
  hosts:
    description:
      - By machine name, what M(atelier.datalab.host_evidence) returned.
      - Where there is no C(evidence) in it, C(msg) tells why.
    type: dict
    default: {}
  today:
    description: The day that rules, exceptions and ages are judged for, as C(2027-03-31). Today where it is left out.
    type: str
  destination:
    description: Folder for the files. Made when it is not there; nothing is written in check mode.
    type: path
    required: true
extends_documentation_fragment:
  - atelier.datalab.attributes.read_only
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author: [Atelier Datalab]
"""

EXAMPLES = r"""
- name: Judge what runs
  atelier.datalab.rules_report:
    region: "{{ datalab.region }}"
    environment: "{{ datalab.environment }}"
    account: "{{ datalab.account }}"
    expected: "{{ datalab.expected }}"
    destination: reports/rules

- name: Judge it as of the day on which a rule hardens
  atelier.datalab.rules_report:
    region: "{{ datalab.region }}"
    environment: "{{ datalab.environment }}"
    account: "{{ datalab.account }}"
    expected: "{{ datalab.expected }}"
    destination: reports/rules
    today: "2027-07-01"
"""

RETURN = r"""
msg:
  description: The counts in one line; what is refused, when something is.
  returned: always
  type: str
  sample: "prod on 2027-01-15: 2 refused, 1 warning, 0 excepted; 18 rules on 12 resources and the inside of 2 hosts"
counts:
  description: How many findings are C(refuse), C(warn) and C(excepted), and how much was looked at.
  returned: success, or when something is refused
  type: dict
files:
  description: The files written.
  returned: success, or when something is refused
  type: list
  elements: str
"""

import datetime
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.atelier.datalab.plugins.module_utils import (
    _aws,
    _rules_aws,
    _rules_report,
    _stacks,
    _stacks_api,
)
from ansible_collections.atelier.datalab.plugins.module_utils._model_node import Node
from ansible_collections.atelier.datalab.plugins.module_utils._rules import Policy
from ansible_collections.atelier.datalab.plugins.module_utils._rules_world import World

ARGUMENTS = {
    "environment": {"type": "str", "required": True},
    "account": {"type": "str", "required": True},
    "expected": {"type": "dict", "required": True},
    "hosts": {"type": "dict", "default": {}},
    "today": {"type": "str"},
    "destination": {"type": "path", "required": True},
}


def judged(module: AnsibleAWSModule, now: datetime.datetime) -> dict[str, Any]:
    """The report."""
    params = module.params
    _stacks_api.require_account(_aws.client(module, "sts"), params["account"], params["environment"])
    found, gaps = _rules_aws.gather(lambda service: _aws.client(module, service))
    expected, hosts = params["expected"], params["hosts"]
    told = {name: one["evidence"] for name, one in hosts.items() if "evidence" in one}
    gaps += [
        {"what": f"the inside of {name}", "why": " ".join(str(one.get("msg") or "it was not asked").split())}
        for name, one in sorted(hosts.items())
        if name not in told
    ]
    rules, exceptions = Node(expected["rules"], ("rules",)), Node(expected["exceptions"], ("exceptions",))
    policy = Policy(rules, exceptions, params["environment"], now.date())
    return _rules_report.make(World(policy, now, expected, found, told, frozenset(hosts)), gaps)


def moment(module: AnsibleAWSModule) -> datetime.datetime:
    """Now, or this time of the day that was asked for."""
    now, today = datetime.datetime.now(tz=datetime.UTC), module.params["today"]
    try:
        return datetime.datetime.combine(datetime.date.fromisoformat(today), now.timetz()) if today else now
    except ValueError:
        module.fail_json(msg=f"today: {today!r} is not a date, write it as 2027-03-31")


def main() -> None:
    """Entry point; the action plugin shows and writes the report."""
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        report = judged(module, moment(module))
    except _stacks.StacksError as error:
        module.fail_json(msg=str(error))
    except _aws.AWS_ERRORS as error:
        module.fail_json(msg=f"What runs cannot be read: {_aws.sentence(error)}")
    module.exit_json(changed=False, report=report)


if __name__ == "__main__":
    main()
