"""Who may pass the bastion, and where to."""

from __future__ import annotations

DOCUMENTATION = r"""
name: bastion_members
short_description: Who may pass the bastion, and where to
version_added: "0.3.0"
description:
  - Takes C(datalab.access) and returns the option C(members) of M(atelier.datalab.ssh_access) - each member of a
    project once, with the permitted ports of the machines of all their projects, by address and by name.
positional: machines, addresses
options:
  _input:
    description: C(datalab.access).
    type: dict
    required: true
  machines:
    description: C(datalab.machines).
    type: list
    elements: dict
    required: true
  addresses:
    description: Private addresses by name, as far as the inventory knows them; else the one of the data counts.
    type: dict
    required: true
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Say where members may go
  ansible.builtin.debug:
    msg: "{{ datalab.access | atelier.datalab.bastion_members(datalab.machines, addresses) }}"
"""

RETURN = r"""
_value:
  description: The option C(members).
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping
from typing import Any


def bastion_members(
    access: Mapping[str, Any], machines: list[dict[str, Any]], addresses: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the members."""
    found = []
    for member in access["members"]:
        mine = [one for one in machines if one["project"] in member["projects"]]
        hosts = [host for one in mine for host in (addresses.get(one["name"]) or one["address"], one["fqdn"]) if host]
        entry = {key: member[key] for key in ("login", "uid", "name", "ssh_keys")}
        found.append({**entry, "opens": [f"{host}:{port}" for host in hosts for port in access["ports"]]})
    return found


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names under which Ansible finds them."""
        return {"bastion_members": bastion_members}
