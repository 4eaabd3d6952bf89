#!/usr/bin/python
"""Compare the flow matrix with AWS, and write the request to core IT."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flow_report
short_description: Compares the flow matrix with AWS and writes what core IT has to open and close
version_added: "0.3.0"
description:
  - Reads the rules of the environment's security groups, and which of them its stack C(<environment>-flows) made.
  - New is what the matrix has and the stack does not, ended is what the stack has and the matrix does not have any
    more, or whose last day has passed. Drift is a rule in the environment's groups that the stack did not make, and
    one that it made and that is gone.
  - Writes C(<environment>-request.csv) and C(.html) (one page, prints, needs nothing from outside) and
    C(<environment>-matrix.md) into O(destination). Changes nothing else.
options:
  environment:
    description: Name of the environment.
    type: str
    required: true
  account:
    description: Number of the AWS account this is about; with credentials of another one nothing is compared.
    type: str
    required: true
  matrix:
    description: The matrix, C(datalab.matrix) of M(atelier.datalab.model).
    type: dict
    required: true
  today:
    description: The day that flows are compared with, as C(2027-03-31). Today where it is left out.
    type: str
  strict:
    description: Fail, after writing, where rules were made by hand. Otherwise they are warnings.
    type: bool
    default: false
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
- name: Write the request of an environment
  atelier.datalab.flow_report:
    region: "{{ datalab.region }}"
    environment: "{{ datalab.environment }}"
    account: "{{ datalab.account }}"
    matrix: "{{ datalab.matrix }}"
    destination: reports/flows

- name: Fail where somebody opened something by hand
  atelier.datalab.flow_report:
    region: "{{ datalab.region }}"
    environment: "{{ datalab.environment }}"
    account: "{{ datalab.account }}"
    matrix: "{{ datalab.matrix }}"
    destination: reports/flows
    strict: true
"""

RETURN = r"""
msg:
  description: The counts in one line; each rule made by hand, where that fails.
  returned: always
  type: str
  sample: "prod on 2027-01-15: 1 new, 0 ended; 0 rules made by hand, 0 missing; 2 flows end within 30 days"
counts:
  description: How many C(new), C(ended), C(by_hand), C(missing) and C(ending) there are.
  returned: success, or when rules were made by hand
  type: dict
files:
  description: The files written.
  returned: success, or when rules were made by hand
  type: list
  elements: str
"""

import datetime
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.atelier.datalab.plugins.module_utils import (
    _aws,
    _flows_api,
    _flows_request,
    _stacks,
    _stacks_api,
)

ARGUMENTS = {
    "environment": {"type": "str", "required": True},
    "account": {"type": "str", "required": True},
    "matrix": {"type": "dict", "required": True},
    "today": {"type": "str"},
    "strict": {"type": "bool", "default": False},
    "destination": {"type": "path", "required": True},
}


def compared(module: AnsibleAWSModule, today: datetime.date) -> dict[str, Any]:
    """The report."""
    environment, matrix = module.params["environment"], module.params["matrix"]
    _stacks_api.require_account(_aws.client(module, "sts"), module.params["account"], environment)
    cloudformation = _aws.client(module, "cloudformation")
    groups = _flows_api.groups(cloudformation, environment)
    live = _flows_request.of_aws(_flows_api.rules(_aws.client(module, "ec2"), groups), groups)
    held = _flows_api.held(cloudformation, environment)
    comparison = _flows_request.Comparison(environment, matrix, today, held, live)
    planted = {live[rule]["SecurityGroupRuleId"] for rule in comparison.by_hand()}
    makers, gaps = {}, []
    if planted:
        try:
            makers = _flows_api.makers(_aws.client(module, "cloudtrail"), planted)
        except _aws.AWS_ERRORS as error:  # a role that may not: told in the report, and who it was stays unknown
            gaps = [{"what": "who made rules by hand (CloudTrail)", "why": _aws.sentence(error)}]
    return comparison.report(makers, gaps)


def main() -> None:
    """Entry point; the action plugin shows and writes the report."""
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    day = module.params["today"]
    try:
        today = datetime.date.fromisoformat(day) if day else datetime.datetime.now(tz=datetime.UTC).date()
    except ValueError:
        module.fail_json(msg=f"today: {day!r} is not a date, write it as 2027-03-31")
    try:
        report = compared(module, today)
    except _stacks.StacksError as error:
        module.fail_json(msg=str(error))
    except _aws.AWS_ERRORS as error:
        module.fail_json(msg=f"The rules in AWS cannot be read: {_aws.sentence(error)}")
    # With `strict` as a boolean: the action, which has to know, has it as it was written.
    module.exit_json(changed=False, report=report | {"strict": module.params["strict"]})


if __name__ == "__main__":
    main()
