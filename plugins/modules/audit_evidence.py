#!/usr/bin/python
"""Look into a host: what it serves, to whom, since when."""

from __future__ import annotations

DOCUMENTATION = r"""
module: audit_evidence
short_description: Look into a host, what it serves and who uses it
description:
  - Reads listening ports with their processes, established peers, running programs, units and timers that are not of
    the distribution's base, crons, mounts, logins, and the sizes of the largest folders of data.
  - Reads only, in one round trip, with Python 3.9 or later and its standard library. Every question is bounded in time;
    what is not answered is in C(gaps) of RV(evidence). Arguments of commands are not read out, they may hold passwords.
  - A host that cannot be reached, or where it cannot run, does not fail the play; RV(evidence) then holds
    C(unreachable), the reason.
options:
  file: {description: File on the controller to which the evidence is written., type: path}
  seconds: {description: For each question., type: float, default: 10}
  size_seconds: {description: For measuring folders; those not finished in time are marked., type: float, default: 20}
  base_units:
    description: More patterns of units that say nothing about what a machine is for.
    type: list
    elements: str
    default: []
extends_documentation_fragment: [atelier.datalab.attributes.read_only]
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Ask the machine what it serves
  atelier.datalab.audit_evidence:
    file: "reports/audit/prod/evidence/{{ instance_id }}.json"
"""

RETURN = r"""
evidence:
  description: >-
    C(hostname), C(listeners), C(peers), C(processes), C(units), C(timers), C(crons), C(mounts), C(logins),
    C(directories), C(last_use), C(system), C(gaps); or C(unreachable) alone.
  type: dict
  returned: always
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.atelier.datalab.plugins.module_utils import _audit_host


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "file": {"type": "path"},
            "seconds": {"type": "float", "default": 10.0},
            "size_seconds": {"type": "float", "default": 20.0},
            "base_units": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    os.nice(10)  # people work on this machine
    params = module.params
    evidence = _audit_host.collect(params["seconds"], params["size_seconds"], tuple(params["base_units"]))
    module.exit_json(changed=False, evidence=evidence)


if __name__ == "__main__":
    main()
