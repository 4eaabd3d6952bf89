#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Members' servers that still run an older generation of their environment."""

from __future__ import annotations

DOCUMENTATION = r"""
module: outdated_servers
short_description: List the running servers that began on an older generation of their environment
version_added: "0.2.0"
description:
  - A server keeps the generation it was started with until it is restarted. This lists those that are behind, so that
    their users can be told.
  - Changes nothing.
options:
  environment:
    description: Link to the live generation of the environment that the servers run.
    type: path
    required: true
  pattern:
    description: Names of the servers' units. What the first star stands for is the user.
    type: str
    default: jupyter-*-singleuser.service
attributes:
  check_mode: {support: full, description: Only reads.}
  diff_mode: {support: none, description: Only reads.}
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Look for servers on an older JupyterLab
  atelier.datalab.outdated_servers:
    environment: /opt/atelier/conda/envs/jupyter/current
  register: behind
"""

RETURN = r"""
live:
  description: The live generation; empty when there is none yet.
  returned: always
  type: str
servers:
  description: The servers that are behind.
  returned: always
  type: list
  elements: dict
  contains:
    user: {description: Whose server it is., type: str}
    unit: {description: Name of the unit., type: str}
    generation: {description: Folder of the generation it runs., type: str}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.atelier.datalab.plugins.module_utils._hosts import HostError, run
from ansible_collections.atelier.datalab.plugins.module_utils._servers import outdated
from ansible_collections.atelier.datalab.plugins.module_utils._units import read_states

ARGUMENTS = {
    "environment": {"type": "path", "required": True},
    "pattern": {"type": "str", "default": "jupyter-*-singleuser.service"},
}


def program(pid: int) -> str:
    """Path of a process's program, "" when it is gone."""
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return ""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    link, pattern = Path(module.params["environment"]), module.params["pattern"]
    live = str(link.resolve()) if link.exists() else ""
    before, _, after = pattern.partition("*")
    try:
        _, text = run(module, ["systemctl", "show", "--property", "Id,MainPID", "--state=running", pattern])
    except HostError as error:
        module.fail_json(msg=str(error))
    servers = outdated(read_states(text), live, program) if live and text.strip() else []
    for server in servers:
        server["user"] = server["unit"].removeprefix(before).removesuffix(after)
    module.exit_json(changed=False, live=live, servers=servers)


if __name__ == "__main__":
    main()
