#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""AWS's library for hosts, made small on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: aws_library
short_description: Make a small zip of AWS's Python library for hosts
version_added: "0.3.0"
description:
  - Takes wheels of botocore and what it needs, and writes one zip with their code and the data of a few services only.
  - It runs on the controller. A zip that is there stays.
options:
  wheels: {description: Folder that holds the wheels; C(make setup) fills it., type: path, required: true}
  versions:
    description: Version by distribution, as the lock file has them.
    type: dict
    required: true
  services:
    description: Names of botocore's folders of data, for instance C(logs) or C(cloudwatch).
    type: list
    elements: str
    required: true
  path: {description: The zip. Its name must tell the versions and services apart., type: path, required: true}
attributes:
  check_mode: {support: full, description: Says whether the zip would be made.}
  diff_mode: {support: none, description: It is one file of code.}
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Make the library small
  atelier.datalab.aws_library:
    wheels: ~/.cache/atelier-datalab/aws
    versions: {botocore: 1.44.5, jmespath: 1.1.0, python-dateutil: 2.9.0.post0, six: 1.17.0, urllib3: 2.8.0}
    services: [logs]
    path: ~/.cache/atelier-datalab/aws/1.44.5-logs.zip
  delegate_to: localhost
"""

RETURN = r"""
path:
  description: The zip.
  returned: always
  type: str
"""

import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.atelier.datalab.plugins.module_utils._aws_library import LibraryError, bundle, choose

ARGUMENTS = {
    "wheels": {"type": "path", "required": True},
    "versions": {"type": "dict", "required": True},
    "services": {"type": "list", "elements": "str", "required": True},
    "path": {"type": "path", "required": True},
}


def converge(parameters: dict[str, Any], check: bool) -> bool:
    """Make the zip unless it is there; say whether it was made."""
    path, folder = Path(parameters["path"]), Path(parameters["wheels"])
    if path.exists():
        return False
    there = [one.name for one in folder.iterdir()] if folder.is_dir() else []
    names = choose(there, {name: str(version) for name, version in parameters["versions"].items()})
    made = bundle([folder / name for name in names], parameters["services"])
    if not check:
        # Several hosts may ask at the same time: each writes a file of its own, the last one stays.
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        scratch.write_bytes(made)
        scratch.replace(path)
    return True


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        changed = converge(module.params, module.check_mode)
    except (LibraryError, OSError) as error:
        module.fail_json(msg=f"{error}: not in {module.params['wheels']} as asked; type: make setup")
    module.exit_json(changed=changed, path=module.params["path"])


if __name__ == "__main__":
    main()
