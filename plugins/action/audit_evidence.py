"""Runs the module `audit_evidence`, keeps what the host says in a file here; a host that is silent is no failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """The module looks; this writes."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """See plugins/modules/audit_evidence.py."""
        result = super().run(tmp, task_vars)
        del tmp
        arguments = dict(self._task.args)
        try:
            answer = self._execute_module(module_args=arguments, task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            answer = {"unreachable": True, "msg": str(error)}
        evidence = answer.get("evidence") or {"unreachable": reason(answer)}
        if file := arguments.get("file"):
            path = Path(file)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(json.dumps(evidence, sort_keys=True, indent=1) + "\n", encoding="utf-8")
        if "unreachable" in evidence:
            self._display.vv(f"{self._task.args}: {evidence['unreachable']}")
            return result | {"changed": False, "evidence": evidence, "msg": evidence["unreachable"]}
        return result | {"changed": False, "evidence": evidence}


def reason(answer: dict[str, Any]) -> str:
    """Why there is no evidence, in one line."""
    words = " ".join(str(answer.get("msg") or answer.get("module_stderr") or "it gave no answer").split())
    return f"{'unreachable' if answer.get('unreachable') else 'reached, but cannot be looked into'}: {words}"
