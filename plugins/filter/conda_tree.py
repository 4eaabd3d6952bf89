"""Files that give the people of a host conda's commands and tell these where packages come from."""

from __future__ import annotations

DOCUMENTATION = r"""
name: conda_tree
short_description: Commands of environments for everybody, and the system-wide condarc
version_added: "0.2.0"
description:
  - Turns the commands to offer and the sources of packages into what M(atelier.datalab.host_files) takes.
positional: root
options:
  _input:
    description: Commands with C(name), C(environment) and C(state).
    type: list
    elements: dict
    required: true
  root:
    description: Folder of everything conda on the host.
    type: str
    required: true
  channels:
    description: Channels of the people's own environments, the first one preferred.
    type: list
    elements: str
    required: true
  mirrors:
    description: Channel to addresses; the first one counts, since conda knows no second.
    type: dict
    default: {}
  proxies:
    description: Addresses C(http) and C(https).
    type: dict
    default: {}
  ca_certificates:
    description: Certificates (PEM) of the authorities of the channels.
    type: str
    default: ""
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Offer conda
  atelier.datalab.host_files:
    directories: "{{ tree.directories }}"
    files: "{{ tree.files }}"
    absent: "{{ tree.absent }}"
  vars:
    tree: >-
      {{ [{'name': 'conda', 'environment': 'commands'}]
         | atelier.datalab.conda_tree('/opt/atelier/conda', channels=['conda-forge']) }}
"""

RETURN = r"""
_value:
  description: Lists C(directories), C(files) and C(absent).
  type: dict
"""

import json
from collections.abc import Callable
from typing import Any

CONDARC = "/etc/conda/.condarc"
AUTHORITIES = "/etc/conda/authorities.pem"
HOOK = "/etc/profile.d/datalab-conda.sh"


def _wrapper(environment: str, name: str, root: str) -> str:
    return (
        "#!/bin/sh\n"
        f"# A command of the environment {environment}, of the generation that is in service.\n"
        f"prefix=$(readlink -e {root}/envs/{environment}/current) || exit 127\n"
        # Scripts find their interpreter (node, perl) by PATH.
        f'PATH="$prefix/bin:$PATH" exec "$prefix/bin/{name}" "$@"\n'
    )


def condarc(channels: list[str], mirrors: dict[str, list[str]], proxies: dict[str, str], trusted: bool) -> str:
    """Text of the system-wide condarc; people's own ~/.condarc is read after it."""
    named = {channel: urls for channel, urls in mirrors.items() if "://" not in channel and channel != "pypi"}
    served = {channel: [urls[0].rstrip("/")] for channel, urls in named.items() if urls}
    settings: dict[str, Any] = {
        "channels": channels,
        # `defaults` is a channel with a licence of its own; here it means the company's.
        "default_channels": [
            served.get(c, [c if "://" in c else f"https://conda.anaconda.org/{c}"])[0] for c in channels
        ],
        "channel_priority": "strict",
        "custom_multichannels": served,
        "envs_dirs": ["~/.conda/envs"],
        "pkgs_dirs": ["~/.conda/pkgs"],
        "auto_update_conda": False,
        "notify_outdated_conda": False,
        "report_errors": False,
    }
    addresses = {scheme: proxies[scheme] for scheme in ("http", "https") if proxies.get(scheme)}
    if addresses:
        settings["proxy_servers"] = addresses
    if trusted:
        settings["ssl_verify"] = AUTHORITIES
    # JSON is YAML, and leaves no doubt about what a text is.
    return json.dumps(settings, indent=2, sort_keys=True) + "\n"


def conda_tree(
    commands: list[dict[str, Any]],
    root: str,
    *,
    channels: list[str],
    mirrors: dict[str, list[str]] | None = None,
    proxies: dict[str, str] | None = None,
    ca_certificates: str = "",
) -> dict[str, list[Any]]:
    """Directories, files and absent files; a proxy's account and password are never part of them."""
    wanted = {c["name"]: c["environment"] for c in commands if c.get("state") != "absent"}
    files: list[dict[str, Any]] = [
        {"path": f"/usr/local/bin/{name}", "mode": "0755", "content": _wrapper(environment, name, root)}
        for name, environment in wanted.items()
    ]
    files.append({"path": CONDARC, "content": condarc(channels, mirrors or {}, proxies or {}, bool(ca_certificates))})
    absent = [f"/usr/local/bin/{c['name']}" for c in commands if c["name"] not in wanted]
    if "conda" in wanted:
        hook = f"{root}/envs/{wanted['conda']}/current/etc/profile.d/conda.sh"
        files.append({"path": HOOK, "content": f"# conda activate\n[ ! -r {hook} ] || . {hook}\n"})
    else:
        absent.append(HOOK)
    if ca_certificates:
        files.append({"path": AUTHORITIES, "content": ca_certificates.rstrip("\n") + "\n"})
    else:
        absent.append(AUTHORITIES)
    return {"directories": [{"path": "/etc/conda"}], "files": files, "absent": absent}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names under which Ansible finds them."""
        return {"conda_tree": conda_tree}
