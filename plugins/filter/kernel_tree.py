"""Directories and files of the project kernels."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kernel_tree
short_description: Directories and files of the project kernels
version_added: "0.1.0"
description:
  - Turns projects and their conda environments into what M(atelier.datalab.host_files) takes.
positional: root
options:
  _input:
    description: Projects with C(name), C(group) and C(environments) (C(name), C(prefix)).
    type: list
    elements: dict
    required: true
  root:
    description: Directory for kernels and the launcher.
    type: str
    required: true
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Write the kernels
  atelier.datalab.host_files:
    directories: "{{ tree.directories }}"
    files: "{{ tree.files }}"
  vars:
    tree: "{{ projects | atelier.datalab.kernel_tree('/opt/atelier/jupyter') }}"
"""

RETURN = r"""
_value:
  description: Lists C(directories), C(files) and C(kernels), the names of the kernels.
  type: dict
"""

import json
from collections.abc import Callable
from typing import Any


def kernel_spec(project: str, environment: str, prefix: str, root: str) -> str:
    """Text of a kernel.json; the display name says project and environment."""
    argv = [f"{root}/bin/in-environment", prefix, "python"]
    spec = {
        "argv": [*argv, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"{project} · {environment}",
        "language": "python",
        "metadata": {"debugger": True, "atelier": {"project": project, "environment": environment}},
    }
    return json.dumps(spec, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def kernel_tree(projects: list[dict[str, Any]], root: str) -> dict[str, list[Any]]:
    """Directories (exclusive where we own every entry) and files for all projects."""
    directories: list[dict[str, Any]] = [
        {"path": root},
        {"path": f"{root}/bin", "exclusive": True},
        {"path": f"{root}/projects", "mode": "0711", "exclusive": True},
        {"path": "/etc/jupyter"},
        {"path": "/etc/jupyter/labconfig"},
    ]
    files = []
    for project in projects:
        name, group = project["name"], project["group"]
        base = f"{root}/projects/{name}"
        closed = {"group": group, "mode": "0750"}
        directories += [{"path": base, **closed}, {"path": f"{base}/kernels", "exclusive": True, **closed}]
        for environment in project["environments"]:
            kernel = f"{base}/kernels/{name}-{environment['name']}"
            directories.append({"path": kernel, **closed})
            text = kernel_spec(name, environment["name"], environment["prefix"], root)
            files.append({"path": f"{kernel}/kernel.json", "group": group, "mode": "0640", "content": text})
    kernels = sorted(f"{p['name']}-{e['name']}" for p in projects for e in p["environments"])
    return {"directories": directories, "files": files, "kernels": kernels}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names under which Ansible finds them."""
        return {"kernel_tree": kernel_tree}
