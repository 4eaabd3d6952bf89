#!/usr/bin/python
"""Converge a list of CloudFormation stacks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stacks
short_description: Converge a list of CloudFormation stacks, in waves
description:
  - Compares every stack with what is there (one listing) and touches only those that differ.
  - Existing stacks change through a change set, which is refused when it would replace or remove an instance,
    a volume or a database; stacks of one wave run side by side, waves one after the other.
  - In check mode the change sets are made, shown and deleted again; nothing else is written.
  - A failure names the first resource that failed, why, and what to do.
  - Stacks that the data no longer names are reported, never deleted.
options:
  stacks:
    description: The stacks.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Name of the stack., type: str, required: true}
      wave: {description: Stacks of a lower wave come first., type: int, default: 0}
      template: {description: Path of the template., type: path}
      template_body: {description: Text of the template., type: str}
      parameters: {description: Values of the template's parameters., type: dict, default: {}}
      late_parameters:
        description: Parameters whose value is only known at run time, and the key of O(late_values) that holds it.
        type: dict
        default: {}
      keep_parameters:
        description: Parameters that an existing stack keeps, unless it is named in O(refresh).
        type: list
        elements: str
        default: []
      tags: {description: Tags of the stack and of everything in it., type: dict, default: {}}
      termination_protection: {description: Refuse to delete the stack., type: bool, default: false}
  late_values:
    description: Values for C(late_parameters).
    type: dict
    default: {}
  refresh:
    description: Stacks that take new values of parameters they would otherwise keep.
    type: list
    elements: str
    default: []
  allow_replacement:
    description: Stacks in which an instance, a volume or a database may be replaced or removed.
    type: list
    elements: str
    default: []
  environment:
    description: Value of the tag C(Environment); RV(orphans) are looked for among its stacks.
    type: str
    required: true
  account:
    description: Number of the AWS account this is meant for; with credentials of another one nothing is done.
    type: str
  known:
    description: More stacks that the data names, when O(stacks) holds a part of them; these are no RV(orphans).
    type: list
    elements: str
    default: []
  parallel:
    description: How many stacks are worked on at once.
    type: int
    default: 8
  timeout:
    description: Seconds to wait for one stack.
    type: int
    default: 1800
  cache:
    description:
      - File that remembers the templates of existing stacks between runs, so that a run with nothing to do needs
        one listing. An entry counts only until the stack is next updated, by whomever.
    type: path
  progress:
    description: File to which progress is written while it runs.
    type: path
extends_documentation_fragment:
  - atelier.datalab.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author: [Atelier Datalab]
"""

EXAMPLES = r"""
- name: Converge the network, then a machine that keeps its image
  atelier.datalab.stacks:
    region: eu-west-1
    environment: preprod
    stacks:
      - name: preprod-network
        template: roles/network/files/network.cfn.yml
        parameters: {Environment: preprod, VpcCidr: 10.20.0.0/16}
      - name: preprod-machine-alpha-workstation-01
        wave: 2
        template: roles/machine/files/machine.cfn.yml
        late_parameters: {ImageId: image.debian-12}
        keep_parameters: [ImageId]
    late_values: {image.debian-12: ami-0123456789abcdef0}
"""

RETURN = r"""
stacks:
  description: >-
    One entry per stack: C(name), C(action) (none, create, update, protect), C(changed), C(status), C(seconds),
    C(changes) (one line per resource), C(kept) (parameters kept while another value was offered), C(outputs).
  type: list
  elements: dict
  returned: always
summary:
  description: The same in a few lines for people.
  type: list
  elements: str
  returned: always
orphans:
  description: Stacks of this environment that the data no longer names. They are left alone.
  type: list
  elements: str
  returned: always
"""

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.atelier.datalab.plugins.module_utils import _aws, _stacks, _stacks_api, _stacks_run

_STACK = {
    "name": {"type": "str", "required": True},
    "wave": {"type": "int", "default": 0},
    "template": {"type": "path"},
    "template_body": {"type": "str"},
    "parameters": {"type": "dict", "default": {}},
    "late_parameters": {"type": "dict", "default": {}},
    "keep_parameters": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "tags": {"type": "dict", "default": {}},
    "termination_protection": {"type": "bool", "default": False},
}
_SPEC = {
    "stacks": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": _STACK,
        "mutually_exclusive": [("template", "template_body")],
        "required_one_of": [("template", "template_body")],
    },
    "late_values": {"type": "dict", "default": {}},
    "refresh": {"type": "list", "elements": "str", "default": []},
    "allow_replacement": {"type": "list", "elements": "str", "default": []},
    "environment": {"type": "str", "required": True},
    "account": {"type": "str"},
    "known": {"type": "list", "elements": "str", "default": []},
    "parallel": {"type": "int", "default": 8},
    "timeout": {"type": "int", "default": 1800},
    "cache": {"type": "path"},
    "progress": {"type": "path"},
}


def converge(module: AnsibleAWSModule) -> dict:
    """Do it; the module's result, with `failed` and `msg` when a stack has a fault."""
    params = module.params
    wanted = _stacks.read_entries(params["stacks"], params["late_values"])
    if params["account"]:
        _stacks_api.require_account(_aws.client(module, "sts"), params["account"], params["environment"])
    cache = _stacks_api.TemplateCache(params["cache"])
    api = _stacks_api.StackApi(_aws.client(module, "cloudformation"), cache, params["timeout"])
    existing = api.existing()
    settings = _stacks_run.Settings(
        check=module.check_mode,
        refresh=frozenset(params["refresh"]),
        allow_replacement=frozenset(params["allow_replacement"]),
        parallel=params["parallel"],
        say=_stacks_run.progress_log(params["progress"]),
    )
    outcomes = _stacks_run.Converger(api, settings).run(wanted, dict(existing))
    if not module.check_mode:
        cache.save()
    named = {*params["known"], *(stack.name for stack in wanted)}
    orphans = _stacks.orphans(existing.values(), named, params["environment"])
    return _stacks_run.result(outcomes, orphans, len(wanted) - len(outcomes), check=module.check_mode)


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=_SPEC, supports_check_mode=True)
    try:
        result = converge(module)
    except _stacks.StacksError as error:
        module.fail_json(msg=str(error), stacks=[], orphans=[], summary=[])
    except _aws.AWS_ERRORS as error:
        module.fail_json(msg=f"The stacks cannot be listed: {_aws.sentence(error)}", stacks=[], orphans=[], summary=[])
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
