#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Units that run what is on the disk: enabled, started, restarted when a file they read is newer."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_units
short_description: Keep systemd units enabled, running and up to date in one round trip
version_added: "0.1.0"
description:
  - Enables and starts units, and restarts one when a file it reads is newer than its last start.
  - That compares facts instead of remembering a notification, so a run that failed between writing a file and
    restarting the unit is repaired by the next run.
  - Waits until every unit answers when one of them was touched.
options:
  units:
    description: The units, in the order in which they are started.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Name of the unit., type: str, required: true}
      state:
        description: Whether the unit runs, now and after each boot. A unit that does not exist counts as stopped.
        type: str
        choices: [started, stopped]
        default: started
      files:
        description: Files that the unit reads at its start, its own unit file included.
        type: list
        elements: path
        default: []
      restart:
        description: Whether something else makes a restart necessary. In check mode, whether a file would change.
        type: bool
        default: false
      url:
        description: Address on the host that answers with a status below 500 once the unit is ready.
        type: str
      timeout:
        description: Seconds to wait for O(units[].url).
        type: int
        default: 180
attributes:
  check_mode: {support: full, description: Says what would be enabled, started or restarted.}
  diff_mode: {support: full, description: The changes in words.}
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Run the hub
  atelier.datalab.host_units:
    units:
      - name: jupyterhub.service
        files: [/etc/systemd/system/jupyterhub.service, /etc/jupyterhub/settings.json]
        restart: "{{ written is changed }}"
        url: http://127.0.0.1:8081/hub/api/health
"""

RETURN = r"""
changes:
  description: What was changed, in words.
  returned: always
  type: list
  elements: str
"""

import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.atelier.datalab.plugins.module_utils._hosts import HostError, run
from ansible_collections.atelier.datalab.plugins.module_utils._units import read_states, verdict

ARGUMENTS = {
    "units": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "files": {"type": "list", "elements": "path", "default": []},
            "restart": {"type": "bool", "default": False},
            "url": {"type": "str"},
            "timeout": {"type": "int", "default": 180},
        },
    }
}
PROPERTIES = "Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload,ExecMainStartTimestamp,ActiveEnterTimestamp"


def journal(module: AnsibleModule, unit: str) -> str:
    """The unit's last words."""
    return run(module, ["journalctl", "--unit", unit, "--lines", "15", "--no-pager", "--output", "cat"], ok=(0, 1))[1]


def wait_for(module: AnsibleModule, unit: dict[str, Any]) -> None:
    """Wait until the unit answers; a redirect or a refusal is an answer.

    :raises HostError: with the unit's last words when it does not.
    """
    end = time.monotonic() + unit["timeout"]
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(unit["url"], timeout=5):  # noqa: S310 - the address is ours
                return
        except urllib.error.HTTPError as answer:
            if answer.code < 500:
                return
        except OSError:
            pass
        time.sleep(0.25)
    raise HostError(f"{unit['name']} does not answer at {unit['url']}:\n{journal(module, unit['name'])}")


def converge(module: AnsibleModule) -> list[str]:
    """Bring the units to the state of the disk; return the changes in words."""
    units = module.params["units"]
    _, text = run(
        module, ["systemctl", "show", "--timestamp=us+utc", "--property", PROPERTIES, *[u["name"] for u in units]]
    )
    states = read_states(text)
    said: list[str] = []
    reload = any(states[u["name"]].get("NeedDaemonReload") == "yes" for u in units)
    for unit in units:
        bring = stop if unit["state"] == "stopped" else settle
        said += bring(module, unit, states[unit["name"]], reload)
    for unit in units if said and not module.check_mode else []:
        if unit["url"]:
            wait_for(module, unit)
    return said


def stop(module: AnsibleModule, unit: dict[str, Any], state: dict[str, str], reload: bool) -> list[str]:  # noqa: ARG001
    """Stop and disable a unit that runs or would run; return the change in words."""
    if state.get("ActiveState") in ("inactive", "failed", None) and state.get("UnitFileState") != "enabled":
        return []
    if not module.check_mode:
        run(module, ["systemctl", "disable", "--quiet", "--now", unit["name"]])
    return [f"{unit['name']}: stopped"]


def settle(module: AnsibleModule, unit: dict[str, Any], state: dict[str, str], reload: bool) -> list[str]:
    """Enable a unit, start it, or restart it when its files are newer; return the changes in words."""
    newest = max((Path(f).stat().st_mtime for f in unit["files"] if Path(f).exists()), default=0.0)
    action, why = verdict(state, newest, unit["restart"])
    enable = state.get("UnitFileState") not in ("enabled", "static")  # a static one is pulled in by others
    said = [f"{unit['name']}: {action}ed ({why})"] if action else []
    said += [f"{unit['name']}: enabled"] if enable else []
    if module.check_mode:
        return said
    if action or (reload and enable):
        run(module, ["systemctl", "daemon-reload"])
    if enable:
        run(module, ["systemctl", "enable", "--quiet", unit["name"]])
    if action:
        start(module, unit, action)
    return said


def start(module: AnsibleModule, unit: dict[str, Any], action: str) -> None:
    """Start or restart one unit."""
    try:
        run(module, ["systemctl", action, unit["name"]])
    except HostError as error:
        raise HostError(f"{error}\n{journal(module, unit['name'])}") from None


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        said = converge(module)
    except (HostError, OSError) as error:
        module.fail_json(msg=str(error))
    result: dict[str, Any] = {"changed": bool(said), "changes": said}
    if said:
        result["diff"] = {"prepared": "\n".join(said) + "\n"}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
