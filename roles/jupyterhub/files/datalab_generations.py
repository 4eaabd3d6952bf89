"""What a user is told whose server began before the live generation of JupyterLab."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any


def is_outdated(unit: str, environment: str) -> bool:
    """Whether a unit runs a program of another generation than the one `environment` links to."""
    live = Path(environment).resolve()
    command = ["systemctl", "show", "--property=MainPID", "--value", f"{unit}.service"]
    pid = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5).stdout.strip()
    try:
        program = Path(f"/proc/{int(pid)}/exe").readlink()
    except (OSError, ValueError):  # not running
        return False
    return program.is_relative_to(live.parent) and not program.is_relative_to(live)


def configure(c: Any, settings: dict[str, Any]) -> None:
    """Add this part to the hub's configuration `c`."""

    def runs_older_jupyterlab(user: Any) -> Callable[[], bool]:
        """JupyterHub calls this for each page; only the page that asks pays for the look at the unit."""
        return lambda: (
            bool(user and user.spawner.active) and is_outdated(user.spawner.unit_name, settings["user_environment"])
        )

    c.JupyterHub.template_vars["runs_older_jupyterlab"] = runs_older_jupyterlab
