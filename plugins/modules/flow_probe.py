#!/usr/bin/python
"""Asks from a host what the flow matrix says it reaches, and what it says it does not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: flow_probe
short_description: Asks from a host what it reaches, and compares with the flow matrix
version_added: 0.2.0
author: [Atelier Datalab (@atelier)]
description:
  - Opens a TCP connection to each address and port, all at the same time, and closes it at once.
  - A refusal counts as open. Security groups drop without a word, so a refusal comes from the host itself - the way to
    it is open and nothing listens there.
  - Fails with one message that names every probe that is not as expected. Changes nothing.
options:
  probes:
    description: What to ask, as the filter P(atelier.datalab.flow_probes#filter) returns it.
    type: list
    elements: dict
    required: true
    suboptions:
      flow:
        description: Name of the flow that permits it, empty where none does.
        type: str
        default: ""
      target:
        description: Name of what is asked, for people.
        type: str
        required: true
      address:
        description: Its address.
        type: str
        required: true
      port:
        description: Its TCP port.
        type: int
        required: true
      open:
        description: Whether it is to be reached.
        type: bool
        required: true
  timeout:
    description: Seconds after which silence counts as closed.
    type: float
    default: 3
attributes:
  check_mode:
    description: Asks the same; changes nothing in either mode.
    support: full
  diff_mode:
    description: Changes nothing, so there is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Ask what the matrix says
  atelier.datalab.flow_probe:
    probes: "{{ datalab.openings | atelier.datalab.flow_probes(inventory_hostname, ends, addresses) }}"
"""

RETURN = r"""
probes:
  description: What was asked, each with C(found), whether it was open.
  returned: always
  type: list
  elements: dict
"""

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {
    "probes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "flow": {"type": "str", "default": ""},
            "target": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "open": {"type": "bool", "required": True},
        },
    },
    "timeout": {"type": "float", "default": 3},
}
AT_ONCE = 64


def reaches(address: str, port: int, seconds: float) -> bool:
    """Whether something at the address answers, be it by a refusal."""
    try:
        socket.create_connection((address, port), seconds).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


def told(probe: dict[str, Any]) -> str:
    """What is wrong with a probe that is not as expected, and what to do."""
    where = f"{probe['target']} ({probe['address']} tcp/{probe['port']})"
    if probe["open"]:
        return f"{where} does not answer, though flow {probe['flow']} permits it: converge playbooks/provision.yml"
    return f"{where} answers, though no flow permits it: look for rules that are not of the stack of flows"


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    probes, seconds = module.params["probes"], module.params["timeout"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda p: reaches(p["address"], p["port"], seconds), probes))
    asked = [{**probe, "found": answer} for probe, answer in zip(probes, answers, strict=True)]
    wrong = [told(probe) for probe in asked if probe["found"] != probe["open"]]
    if wrong:
        module.fail_json(
            msg=f"{len(wrong)} of {len(asked)} connections are not as the matrix says: {'; '.join(wrong)}", probes=asked
        )
    module.exit_json(changed=False, probes=asked)


if __name__ == "__main__":
    main()
