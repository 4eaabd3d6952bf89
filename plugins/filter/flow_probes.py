"""What a host must reach by the flow matrix, and what it must not."""

from __future__ import annotations

DOCUMENTATION = r"""
name: flow_probes
short_description: What a host must reach by the flow matrix, and what it must not
version_added: "0.2.0"
description:
  - Takes the matrix and returns what M(atelier.datalab.flow_probe) asks from a host - every TCP flow that begins there,
    and a sample of what no flow permits - each port of the matrix, ssh and https on every other host, and the addresses
    that others may reach.
positional: host, ends, addresses
options:
  _input:
    description: C(datalab.openings).
    type: list
    elements: dict
    required: true
  host:
    description: Name of the host that asks.
    type: str
    required: true
  ends:
    description: Which end of a flow each host is, by name, C(datalab.ends).
    type: dict
    required: true
  addresses:
    description: Private addresses of the hosts that run, by name.
    type: dict
    required: true
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Ask what the matrix says
  atelier.datalab.flow_probe:
    probes: "{{ datalab.openings | atelier.datalab.flow_probes(inventory_hostname, datalab.ends, addresses) }}"
"""

RETURN = r"""
_value:
  description: The option C(probes) of M(atelier.datalab.flow_probe).
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._flows import Opening
from ansible_collections.atelier.datalab.plugins.module_utils._flows_probes import probes


def flow_probes(
    openings: list[dict[str, Any]], host: str, ends: dict[str, str], addresses: dict[str, str]
) -> list[dict[str, Any]]:
    """Return the probes of one host."""
    return probes([Opening(owner="", ticket="", **one) for one in openings], ends, addresses, host)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names under which Ansible finds them."""
        return {"flow_probes": flow_probes}
