#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Converge conda environments: spec to lock to generation to the link that is switched."""

from __future__ import annotations

DOCUMENTATION = r"""
module: conda_env
short_description: Keep conda environments as immutable generations behind a link
version_added: "0.1.0"
description:
  - Solves each environment's spec into a lock (exact builds with their hashes), builds the lock as a generation, a
    folder named by the hash of the lock, compiles and verifies it, then switches the link C(current) to it.
  - An environment is in service as a whole or not at all. Whatever fails or is killed, the live generation stays as
    it was, and the next run completes the work.
  - An unchanged spec is not solved again, so a new release in the channel changes nothing until O(refresh) or a
    change of the spec asks for it. A changed spec keeps the versions it can keep.
  - A live generation in which a file is missing or has another size is built again.
  - A generation that a process uses is never removed.
options:
  environments:
    description: The environments. All are solved before the first one is built.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the environment, the folder below C(envs).
        type: str
        required: true
      packages:
        description: Match specs, such as C(python=3.12) or C(numpy>=2).
        type: list
        elements: str
        default: []
      channels:
        description: Channels by name or address, the first one preferred.
        type: list
        elements: str
        default: [conda-forge]
      lock:
        description: Text of a lock to build instead of solving, as this module or C(pixi) writes it.
        type: str
      state:
        description:
          - V(present) builds and switches.
          - V(locked) solves and returns the lock; nothing is built.
          - V(absent) takes the environment out of service. Its generations stay, V(present) puts it back.
        type: str
        choices: [present, locked, absent]
        default: present
  root:
    description: Folder of everything conda on the host.
    type: path
    default: /opt/atelier/conda
  engine:
    description: Folder of the unpacked py-rattler. By default the newest one below C(engine) in O(root).
    type: path
  mirrors:
    description:
      - Where the packages of a channel come from, by the channel's name or address, tried in their order.
      - Specs and locks keep naming the channel.
    type: dict
    default: {}
  refresh:
    description: Whether to solve again although the spec is unchanged, and to take the newest versions.
    type: bool
    default: false
  keep:
    description: How many generations of an environment to keep, the live one among them.
    type: int
    default: 3
attributes:
  check_mode:
    support: full
    description: Solves and tells what would change; writes nothing below O(root).
  diff_mode:
    support: full
    description: The packages added, removed and changed, with versions and builds.
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Build the environments of this host, from the company's mirror
  atelier.datalab.conda_env:
    mirrors:
      conda-forge: ["http://mirror.example.com/conda-forge/"]
    environments:
      - name: hub
        packages: [python=3.12, jupyterhub=6]
      - name: alpha-base
        packages: [python=3.12, numpy, pandas, ipykernel]

- name: Take the newest versions of one environment
  atelier.datalab.conda_env:
    refresh: true
    environments:
      - {name: alpha-base, packages: [python=3.12, numpy, pandas, ipykernel]}

- name: Take an environment out of service
  atelier.datalab.conda_env:
    environments: [{name: alpha-old, state: absent}]
"""

RETURN = r"""
environments:
  description: One entry for each environment asked for, in that order.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Name of the environment., type: str}
    changed: {description: Whether it was changed., type: bool}
    generation: {description: Generation in service afterwards; null when there is none., type: str}
    previous: {description: Generation in service before; null when there was none., type: str}
    path: {description: The link to the live generation., type: str}
    packages:
      description: Packages of the generation, each with name, version, build, subdir, url, sha256 and size.
      type: list
      elements: dict
    lock:
      description: The lock. Only when the environment changed or its state is V(locked), since it is long.
      type: str
    removed: {description: Old generations that were removed., type: list, elements: str}
"""

import sys
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.atelier.datalab.plugins.module_utils._conda import CondaError, Spec
from ansible_collections.atelier.datalab.plugins.module_utils._conda_converge import Converger

ARGUMENTS = {
    "environments": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "packages": {"type": "list", "elements": "str", "default": []},
            "channels": {"type": "list", "elements": "str", "default": ["conda-forge"]},
            "lock": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "locked", "absent"], "default": "present"},
        },
    },
    "root": {"type": "path", "default": "/opt/atelier/conda"},
    "engine": {"type": "path"},
    "mirrors": {"type": "dict", "default": {}},
    "refresh": {"type": "bool", "default": False},
    "keep": {"type": "int", "default": 3},
}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if sys.version_info < (3, 10):  # noqa: UP036 - what runs on the host is the host's Python
        module.fail_json(msg=f"Python 3.10 or newer is needed on the host, not {sys.version.split()[0]}")
    converger = Converger(module.params, module.check_mode, Path(module.tmpdir))
    try:
        plans = converger.run([Spec.from_options(options) for options in module.params["environments"]])
    except (CondaError, OSError) as error:
        module.fail_json(msg=str(error))
    for warning in converger.warnings:
        module.warn(warning)
    changed = [plan for plan in plans if plan.changed]
    module.exit_json(
        changed=bool(changed),
        environments=[plan.result() for plan in plans],
        diff=[plan.diff() for plan in changed],
    )


if __name__ == "__main__":
    main()
