"""What runs beside the hub, the culler of idle servers, and what a member's server tells it about activity."""

from __future__ import annotations

import sys
from typing import Any


def configure(c: Any, settings: dict[str, Any]) -> None:
    """Add this part to the hub's configuration `c`."""
    # Settings of the members' servers; see server/jupyter_server_config.py.
    c.Spawner.environment["JUPYTER_CONFIG_PATH"] = "/etc/jupyterhub/server"
    if settings["idle_seconds"]:  # a server says at least four times per limit when it was last active
        c.Spawner.environment["JUPYTERHUB_ACTIVITY_INTERVAL"] = str(min(300, max(5, settings["idle_seconds"] // 4)))
    if not settings["idle_seconds"] and not settings["max_age_seconds"]:
        return
    scopes = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
    c.JupyterHub.load_roles.append({"name": "idle-culler", "scopes": scopes, "services": ["idle-culler"]})
    # Every value is stated: its own defaults have changed between releases.
    command = [sys.executable, "-m", "jupyterhub_idle_culler"]
    command += [f"--timeout={settings['idle_seconds']}", f"--cull-every={settings['idle_check_seconds']}"]
    command += [f"--max-age={settings['max_age_seconds']}", "--concurrency=4"]
    c.JupyterHub.services.append({"name": "idle-culler", "command": command})
