# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lookup ``conda_locks``: conda environments with the text of their locks, which lie beside the inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: conda_locks
short_description: Conda environments, each with its lock
version_added: "0.2.0"
description:
  - Adds to each environment the text of its lock, a file on the controller, for M(atelier.datalab.conda_env).
  - An environment without a lock, or whose spec is newer than its lock, is refused; one message names them all.
options:
  _terms:
    description: Lists of environments, as O(atelier.datalab.conda_env#module:environments) takes them.
    type: list
    elements: list
    required: true
  folder:
    description: Folder of the locks on the controller.
    type: path
    required: true
  command:
    description: What to type to renew the locks; part of the message.
    type: str
    default: make lock
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Build what the locks say
  atelier.datalab.conda_env:
    solve: false
    environments: "{{ query('atelier.datalab.conda_locks', my_environments, folder=inventory_dir ~ '/locks') }}"
"""

RETURN = r"""
_raw:
  description: The environments; those that are to be present have C(lock).
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.atelier.datalab.plugins.module_utils._conda import CondaError
from ansible_collections.atelier.datalab.plugins.module_utils._conda_lock import read_locks


class LookupModule(LookupBase):
    """Entry point for Ansible."""

    def run(self, terms: list[list[dict[str, Any]]], variables: Any = None, **options: Any) -> list[dict[str, Any]]:
        """Return the environments of all terms with their locks; AnsibleError when one cannot be had."""
        self.set_options(var_options=variables, direct=options)
        environments = [environment for term in terms for environment in term]
        folder = Path(self.get_option("folder"))
        try:
            locks = read_locks(environments, folder, self.get_option("command"))
        except (CondaError, OSError) as error:
            raise AnsibleError(str(error)) from error
        return [
            {**environment, "lock": locks[environment["name"]]} if environment["name"] in locks else environment
            for environment in environments
        ]
