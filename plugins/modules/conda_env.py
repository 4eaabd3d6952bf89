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
  - A live generation in which a file is missing is built again; V(verified) finds altered ones too.
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
      pip:
        description:
          - Requirements as pip writes them, for what the channels do not have. Locked with hashes by C(uv), which
            joins the environment; only wheels are taken, and what O(environments[].packages) brings is not replaced.
        type: list
        elements: str
        default: []
      imports:
        description: Modules that must import, as an unprivileged user, before the environment goes into service.
        type: list
        elements: str
        default: []
      lock:
        description:
          - Text of a lock to build instead of solving, as this module or C(pixi) writes it.
          - One that this module wrote for another spec is refused.
        type: str
      state:
        description:
          - V(present) builds and switches.
          - V(locked) solves and returns the lock; nothing is built. With O(locks) it is written there, unless the one
            that is there answers the same spec.
          - V(rolled_back) puts an earlier generation back into service at once. Later runs with the same data keep it
            and warn; a new lock or spec, or rolling back to where it came from, ends that.
          - V(verified) compares the content of every file of the generation in service with what was installed, and
            builds it again beside where one is missing or differs. Needs the channel for what was altered.
          - V(absent) takes the environment out of service. Its generations stay, V(present) puts it back.
        type: str
        choices: [present, locked, rolled_back, verified, absent]
        default: present
      generation:
        description: Name of the generation that V(rolled_back) puts into service; the previous one by default.
        type: str
      reason:
        description: Why; kept with the rollback and part of the warning of later runs.
        type: str
  root:
    description: Folder of everything conda on the host.
    type: path
    default: /opt/atelier/conda
  engine:
    description:
      - Folder of the unpacked py-rattler, or its wheel, which is then unpacked below O(root).
      - By default the newest one below C(engine) in O(root).
    type: path
  mirrors:
    description:
      - Where the packages of a channel come from, by the channel's name or address, tried in their order.
      - Specs and locks keep naming the channel.
      - C(file:///path) is a directory on the host that holds the whole channel; then nothing else is contacted for it.
    type: dict
    default: {}
  credentials:
    description:
      - What to present to the hosts of private channels and mirrors, one entry a host.
      - Each entry has either O(credentials[].username) and O(credentials[].password), or one of
        O(credentials[].token) and O(credentials[].conda_token).
    type: list
    elements: dict
    default: []
    suboptions:
      host: {description: "Name of the host, or C(*.example.com); no scheme, port or path.", type: str, required: true}
      username: {description: Account for basic authentication., type: str}
      password: {description: Its password., type: str}
      token: {description: "Token sent as C(Authorization: Bearer).", type: str}
      conda_token: {description: Token that becomes C(/t/TOKEN) at the beginning of the path., type: str}
      source: {description: "Where the secret is kept, in words; errors say what to check.", type: str}
  proxies:
    description:
      - Proxies on the way to the channels. Without them, those of the environment in which the module runs count.
    type: dict
    suboptions:
      http: {description: "Address of the proxy for C(http://), without credentials.", type: str}
      https: {description: "Address of the proxy for C(https://), without credentials.", type: str}
      no_proxy: {description: "Hosts, domains and addresses reached directly.", type: list, elements: str, default: []}
      username: {description: Account at the proxies., type: str}
      password: {description: Its password., type: str}
  ca_certificates:
    description: Certificates (PEM) of authorities to trust besides those that the host trusts.
    type: str
  locks:
    description: Folder in which V(locked) keeps one file C(NAME.lock) for each environment.
    type: path
  solve:
    description: Whether an environment without a lock may be solved here. Otherwise it is refused.
    type: bool
    default: true
  virtual_packages:
    description:
      - What the solver takes for granted of the hosts, by the name of conda's virtual package.
      - The machine on which the solver runs does not count.
    type: dict
    default: {__glibc: "2.36", __linux: "5.10", __unix: "0"}
  refresh:
    description: Whether to solve again although the spec is unchanged, and to take the newest versions.
    type: bool
    default: false
  keep:
    description: How many generations of an environment to keep, the live one among them.
    type: int
    default: 3
  command:
    description:
      - Where to write the command C(atelier-conda), which lists environments, compares generations and tells which
        one a process runs. The same facts are in C(report.json) below O(root). Both follow what changes.
    type: path
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

- name: Build from a private channel behind the company's proxy and its own certificate authority
  atelier.datalab.conda_env:
    credentials:
      - host: conda.example.com
        token: "{{ secrets.conda_token }}"
        source: SSM parameter /atelier/prod/conda/credentials
    proxies: {https: "http://proxy.example.com:3128", no_proxy: [.example.com]}
    ca_certificates: "{{ company_ca }}"
    environments:
      - {name: beta-base, channels: ["https://conda.example.com/team", conda-forge], packages: [python=3.12, ourlib]}

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
    held:
      description:
        - The rollback that keeps the environment where it is, with C(generation), C(from), C(reason) and C(at); null
          when there is none.
      type: dict
    damaged: {description: Files that V(verified) found missing or altered., type: list, elements: str}
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
            "pip": {"type": "list", "elements": "str", "default": []},
            "imports": {"type": "list", "elements": "str", "default": []},
            "lock": {"type": "str"},
            "state": {
                "type": "str",
                "choices": ["present", "locked", "rolled_back", "verified", "absent"],
                "default": "present",
            },
            "generation": {"type": "str"},
            "reason": {"type": "str"},
        },
    },
    "root": {"type": "path", "default": "/opt/atelier/conda"},
    "engine": {"type": "path"},
    "mirrors": {"type": "dict", "default": {}},
    "credentials": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "host": {"type": "str", "required": True},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "token": {"type": "str", "no_log": True},
            "conda_token": {"type": "str", "no_log": True},
            "source": {"type": "str"},
        },
    },
    "proxies": {
        "type": "dict",
        "options": {
            "http": {"type": "str"},
            "https": {"type": "str"},
            "no_proxy": {"type": "list", "elements": "str", "default": []},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
        },
    },
    "ca_certificates": {"type": "str"},
    "locks": {"type": "path"},
    "solve": {"type": "bool", "default": True},
    "virtual_packages": {"type": "dict", "default": {"__glibc": "2.36", "__linux": "5.10", "__unix": "0"}},
    "refresh": {"type": "bool", "default": False},
    "keep": {"type": "int", "default": 3},
    "command": {"type": "path"},
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
