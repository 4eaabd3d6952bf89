#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A secret that is made on the host, once, and never leaves it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: generated_secret
short_description: Generate a secret on the host once
version_added: "0.1.0"
description:
  - Writes a random value to a file that only its owner can read. A file that holds a value is kept.
  - The value is made on the host and is never returned.
options:
  path: {description: File that holds the secret., type: path, required: true}
  prefix:
    description: Text before the value, for files that a program reads as C(NAME=value).
    type: str
    default: ""
  bytes: {description: Random bytes; they are written in hexadecimal., type: int, default: 32}
  owner: {description: Account that owns the file., type: str, default: root}
  group: {description: Group that owns the file., type: str, default: root}
  mode: {description: "Octal mode, as a string.", type: str, default: "0600"}
attributes:
  check_mode: {support: full, description: Says whether the file would be made or corrected.}
  diff_mode: {support: none, description: The content is secret.}
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Token between hub and proxy
  atelier.datalab.generated_secret:
    path: /etc/jupyterhub/secrets/proxy.env
    prefix: CONFIGPROXY_AUTH_TOKEN=
"""

RETURN = r"""
changes:
  description: What was changed, in words.
  returned: always
  type: list
  elements: str
"""

import os
import secrets
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.atelier.datalab.plugins.module_utils._hosts import HostError, gid_of, settle, uid_of

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "prefix": {"type": "str", "default": ""},
    "bytes": {"type": "int", "default": 32},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str", "default": "0600"},
}


def holds_value(path: Path, prefix: str, size: int) -> bool:
    """Whether the file holds the prefix and a value that is long enough."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return False
    return text.startswith(prefix) and len(text) - len(prefix) >= size


def converge(module: AnsibleModule) -> list[str]:
    """Make or keep the secret; return the changes in words."""
    p, path = module.params, Path(module.params["path"])
    uid, gid = uid_of(p["owner"]), gid_of(p["group"])
    if uid is None or gid is None:
        raise HostError(f"{path}: there is no account {p['owner']} or no group {p['group']} on this host")
    mode = int(p["mode"], 8)
    if holds_value(path, p["prefix"], p["bytes"]):
        return [f"{path}: {change}" for change in settle(path, uid, gid, mode, module.check_mode)]
    if not module.check_mode:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.new")
        scratch.unlink(missing_ok=True)
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(f"{p['prefix']}{secrets.token_hex(p['bytes'])}\n")
        os.chown(scratch, uid, gid)
        scratch.chmod(mode)
        scratch.replace(path)
    return [f"{path}: generated"]


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    os.umask(0o077)
    try:
        said = converge(module)
    except (HostError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(said), changes=said)


if __name__ == "__main__":
    main()
