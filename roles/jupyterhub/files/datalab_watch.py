"""The health check's account: it starts a server like a member's and uses every project's kernels."""

from __future__ import annotations

import os
from typing import Any

from datalab_servers import project_paths
from jupyterhub.utils import maybe_future

ACCOUNT = "datalab-health"  # datalab_health.py makes it
SECRET = "DATALAB_HEALTH_SECRET"  # noqa: S105 - the name of a variable


def configure(c: Any, settings: dict[str, Any]) -> None:
    """Add this part to the hub's configuration `c`; it comes after the servers' part, which it refines."""
    mine = f"!user={ACCOUNT}"
    scopes = [f"{scope}{mine}" for scope in ("read:users", "servers", "delete:servers", "access:servers")]
    c.JupyterHub.load_roles.append({"name": ACCOUNT, "scopes": scopes, "services": [ACCOUNT]})
    c.JupyterHub.services.append({"name": ACCOUNT, "api_token": os.environ[SECRET]})
    # Makes the user; the authenticator has the groups, so a group cannot.
    c.JupyterHub.load_roles.append({"name": f"{ACCOUNT}-account", "scopes": ["self"], "users": [ACCOUNT]})
    c.Authenticator.allowed_users = {*c.Authenticator.get("allowed_users", ()), ACCOUNT}
    prepare = c.Spawner.pre_spawn_hook

    async def prepare_all(spawner: Any) -> None:
        await maybe_future(prepare(spawner))
        if spawner.user.name != ACCOUNT:
            return
        paths = project_paths(settings["projects"], settings)
        spawner.environment = {**spawner.environment, "JUPYTER_PATH": paths}
        # In the unit only: the account itself is in no project.
        groups = " ".join(project["group"] for project in settings["projects"])
        spawner.unit_extra_properties = {**spawner.unit_extra_properties, "SupplementaryGroups": groups}

    c.Spawner.pre_spawn_hook = prepare_all
