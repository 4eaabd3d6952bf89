"""A module as a host runs it: the payload that Ansible would send, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import module_loader
from ansible.template import Templar

ROOT = Path(__file__).resolve().parents[1]


def write_payload(file: Path, module: str, options: dict[str, Any], check: bool = False) -> Path:
    """Write the payload of ``module`` (a full name) with its options into ``file``, which any Python can run.

    ``init_plugin_loader`` was called with this project's collections before.
    """
    path = str(ROOT / "plugins/modules" / f"{module.rpartition('.')[2]}.py")
    assert module_loader.find_plugin(module)
    arguments = {**options, "_ansible_check_mode": check, "_ansible_remote_tmp": str(file.parent)}
    built = modify_module(
        module_name=module, module_path=path, module_args=arguments, templar=Templar(DataLoader()),
        task_vars={"ansible_python_interpreter": sys.executable},
    )  # fmt: skip
    file.write_bytes(built.b_module_data)
    return file


def run_payload(file: Path, python: str = sys.executable) -> dict[str, Any]:
    """Run a payload to its end; return the module's result, which may be a failure."""
    done = subprocess.run([python, file], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)
