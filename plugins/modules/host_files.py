#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A set of directories and files, converged in one round trip and validated together."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_files
short_description: Converge a set of directories and files in one round trip
version_added: "0.1.0"
description:
  - Creates and corrects directories and files with explicit owners and modes, whatever the host's umask.
  - Files that belong together are checked together, before the first of them is replaced.
  - One call does what a loop of C(copy), C(template) and C(file) tasks does in many.
options:
  directories:
    description: Directories, in the order in which they are made.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: Absolute path., type: path, required: true}
      owner: {description: Account that owns it., type: str, default: root}
      group: {description: Group that owns it., type: str, default: root}
      mode: {description: "Octal mode, as a string.", type: str, default: "0755"}
      exclusive:
        description: Remove what this task does not name in this directory (one level, never through links).
        type: bool
        default: false
  files:
    description: Files with their whole content.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: Absolute path., type: path, required: true}
      content: {description: Text of the file., type: str, required: true}
      owner: {description: Account that owns it., type: str, default: root}
      group: {description: Group that owns it., type: str, default: root}
      mode: {description: "Octal mode, as a string.", type: str, default: "0644"}
  absent:
    description: Paths of files that must not exist.
    type: list
    elements: path
    default: []
  validate:
    description:
      - Command, as a list, that must succeed before any file is replaced.
      - C({staging}) stands for a private directory that holds all the new files under their base names.
      - It runs only when a file changes, and not when its program is absent in check mode.
    type: list
    elements: str
    default: []
attributes:
  check_mode: {support: full, description: Reports what would change; the validation runs too.}
  diff_mode: {support: full, description: Text of each file that changes.}
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Configure the hub
  atelier.datalab.host_files:
    directories:
      - {path: /etc/jupyterhub, mode: "0755"}
    files:
      - {path: /etc/jupyterhub/jupyterhub_config.py, content: "c = get_config()\n"}
    validate: [/opt/hub/bin/jupyterhub, --show-config-json, -f, "{staging}/jupyterhub_config.py"]
"""

RETURN = r"""
changes:
  description: What was changed, in words.
  returned: always
  type: list
  elements: str
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.atelier.datalab.plugins.module_utils._hosts import (
    HostError,
    attributes,
    gid_of,
    make_directory,
    run,
    settle,
    uid_of,
)

FILE_OPTIONS = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}
ARGUMENTS = {
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **FILE_OPTIONS,
            "mode": {"type": "str", "default": "0755"},
            "exclusive": {"type": "bool", "default": False},
        },
    },
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **FILE_OPTIONS,
            "content": {"type": "str", "required": True},
            "mode": {"type": "str", "default": "0644"},
        },
    },
    "absent": {"type": "list", "elements": "path", "default": []},
    "validate": {"type": "list", "elements": "str", "default": []},
}


def ids(entry: dict[str, Any], check: bool) -> tuple[int, int]:
    """Numeric owner and group; in check mode an account that is still to be made counts as -1."""
    uid, gid = uid_of(entry["owner"]), gid_of(entry["group"])
    if not check and (uid is None or gid is None):
        who = f"account {entry['owner']}" if uid is None else f"group {entry['group']}"
        raise HostError(f"{entry['path']}: there is no {who} on this host")
    return -1 if uid is None else uid, -1 if gid is None else gid


def read(path: Path) -> str | None:
    """Text of a file, None when absent."""
    now = attributes(path)
    if now is None:
        return None
    if now["kind"] != "file":
        raise HostError(f"{path} exists and is not a plain file; move it away, then run again")
    return path.read_text(encoding="utf-8", errors="replace")


def validate(module: AnsibleModule, argv: list[str], files: list[dict[str, Any]]) -> None:
    """Run the validation on a staged copy of every file of the task."""
    if not argv or (module.check_mode and not Path(argv[0]).exists()):
        return
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as staging:
        for entry in files:
            Path(staging, Path(entry["path"]).name).write_text(entry["content"], encoding="utf-8")
        try:
            run(module, [part.replace("{staging}", staging) for part in argv])
        except HostError as error:
            raise HostError(f"the new files were refused, nothing was replaced. {error}") from None


def replace(entry: dict[str, Any]) -> None:
    """Write a file beside its place with its final owner and mode, then move it over."""
    path = Path(entry["path"])
    uid, gid = ids(entry, check=False)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(entry["content"])
        os.chown(name, uid, gid)
        Path(name).chmod(int(entry["mode"], 8))
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def strangers(entry: dict[str, Any], params: dict[str, Any]) -> list[Path]:
    """What lies in an exclusive directory although the task does not name it or anything below it."""
    directory = Path(entry["path"])
    if not entry["exclusive"] or attributes(directory) is None:
        return []
    named = [Path(e["path"]) for e in params["files"] + params["directories"]]
    keep = {p.relative_to(directory).parts[0] for p in named if p != directory and p.is_relative_to(directory)}
    return sorted(p for p in directory.iterdir() if p.name not in keep)


def remove(path: Path, check: bool) -> list[str]:
    """Remove a file or a tree; links are removed, not followed."""
    now = attributes(path)
    if now is None:
        return []
    if not check:
        if now["kind"] == "directory":
            shutil.rmtree(path)
        else:
            path.unlink()
    return [f"{path}: removed"]


def converge(module: AnsibleModule) -> tuple[list[str], list[dict[str, str]]]:
    """Bring directories, files and absences about; return the changes in words and the diffs."""
    check, params = module.check_mode, module.params
    before = {entry["path"]: read(Path(entry["path"])) for entry in params["files"]}
    changed = [e for e in params["files"] if before[e["path"]] != e["content"]]
    if changed:
        validate(module, params["validate"], params["files"])
    said: list[str] = []
    for entry in params["directories"]:
        said += make_directory(Path(entry["path"]), *ids(entry, check), int(entry["mode"], 8), check)
    for entry in changed:
        said.append(f"{entry['path']}: {'created' if before[entry['path']] is None else 'content'}")
        if not check:
            replace(entry)
    for entry in [e for e in params["files"] if e not in changed]:
        path = Path(entry["path"])
        said += [f"{path}: {c}" for c in settle(path, *ids(entry, check), int(entry["mode"], 8), check)]
    doomed = [Path(p) for p in params["absent"]]
    doomed += [p for entry in params["directories"] for p in strangers(entry, params)]
    for path in doomed:
        said += remove(path, check)
    diffs = [
        {
            "before_header": e["path"],
            "after_header": e["path"],
            "before": before[e["path"]] or "",
            "after": e["content"],
        }
        for e in changed
    ]
    return said, diffs


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    os.umask(0o022)
    try:
        said, diffs = converge(module)
    except (HostError, OSError) as error:
        module.fail_json(msg=str(error))
    if said and not diffs:
        diffs = [{"prepared": "\n".join(said) + "\n"}]
    module.exit_json(changed=bool(said), changes=said, diff=diffs)


if __name__ == "__main__":
    main()
