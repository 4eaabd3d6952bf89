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
    description: Projects with C(name), C(group) and C(environments) (C(name), C(prefix), C(variables)).
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
  description: Lists C(directories) and C(files).
  type: dict
"""

import json
from collections.abc import Callable
from typing import Any


def kernel_spec(project: str, environment: dict[str, Any], root: str) -> str:
    """Text of a kernel.json; the server adds the generation in service to the display name."""
    name, prefix = environment["name"], environment["prefix"]
    argv = [f"{root}/bin/in-environment", prefix, "python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {
        "argv": argv,
        "display_name": f"{project} · {name}",
        # Jupyter replaces ${NAME} in these values; what is data stays as it is written.
        "env": {key: str(value).replace("$", "$$") for key, value in (environment.get("variables") or {}).items()}
        | {"DATALAB_KERNEL": f"{project}-{name}"},
        "language": "python",
        "metadata": {
            "debugger": True,
            "atelier": {"project": project, "environment": name, "prefix": prefix},
        },
    }
    return json.dumps(spec, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def kernel_tree(projects: list[dict[str, Any]], root: str) -> dict[str, list[Any]]:
    """Directories (exclusive where we own every entry) and files for all projects."""
    directories: list[dict[str, Any]] = [
        {"path": root},
        {"path": f"{root}/bin", "exclusive": True},
        {"path": f"{root}/spark", "exclusive": True},
        {"path": f"{root}/lib"},
        {"path": f"{root}/projects", "mode": "0711", "exclusive": True},
        {"path": "/etc/jupyter"},
        {"path": "/etc/jupyter/labconfig"},
        {"path": "/etc/ipython"},
        {"path": "/etc/ipython/startup"},
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
            text = kernel_spec(name, environment, root)
            files.append({"path": f"{kernel}/kernel.json", "group": group, "mode": "0640", "content": text})
    return {"directories": directories, "files": files}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names under which Ansible finds them."""
        return {"kernel_tree": kernel_tree}
