"""The path under which a host sees its data volume."""

from __future__ import annotations

DOCUMENTATION = r"""
name: data_device
short_description: The path under which a host sees its data volume
version_added: "0.1.0"
description:
  - Takes an instance as the inventory describes it and returns the path of the one volume that is not its root disk.
  - The path is the link that EC2's NVMe driver makes from the volume's id, which does not change between boots.
positional: root_device_name
options:
  _input:
    description: The host variable C(block_device_mappings).
    type: list
    elements: dict
    required: true
  root_device_name:
    description: The host variable C(root_device_name).
    type: str
    required: true
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Mount the data volume
  ansible.builtin.include_role:
    name: atelier.datalab.storage
  vars:
    storage_device: "{{ block_device_mappings | atelier.datalab.data_device(root_device_name) }}"
"""

RETURN = r"""
_value:
  description: The path, empty when the instance has its root disk only.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

BY_ID = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"


def data_device(mappings: list[dict[str, Any]], root_device_name: str) -> str:
    """Return the path of the data volume.

    Raises:
        AnsibleFilterError: more than one volume beside the root disk, so that any choice would be a guess.
    """
    volumes = [m["ebs"]["volume_id"] for m in mappings if m["device_name"] != root_device_name]
    if len(volumes) > 1:
        raise AnsibleFilterError(f"{len(volumes)} data volumes ({', '.join(volumes)}); a machine has one at most")
    return BY_ID + volumes[0].replace("-", "") if volumes else ""


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names under which Ansible finds them."""
        return {"data_device": data_device}
