"""The members' servers: units of systemd with their limits, and the kernels each may use."""

from __future__ import annotations

import grp
import os
import pwd
from typing import Any

import datalab_limits


def projects_of(login: str, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The projects in whose group an account is, as a member or with it as its own group."""
    own = pwd.getpwnam(login).pw_gid
    groups = [(p, grp.getgrnam(p["group"])) for p in settings["projects"]]
    return [p for p, group in groups if login in group.gr_mem or group.gr_gid == own]


def project_paths(projects: list[dict[str, Any]], settings: dict[str, Any]) -> str:
    """JUPYTER_PATH of a member: the kernels of each project."""
    mine = sorted((p["group"], p["name"]) for p in projects)
    return os.pathsep.join(f"{settings['kernels_root']}/projects/{name}" for _, name in mine)


def configure(c: Any, settings: dict[str, Any]) -> None:
    """Add this part to the hub's configuration `c`."""
    wrong = datalab_limits.faults(settings)
    if wrong:
        raise ValueError("limits that cannot be set:\n" + "\n".join(wrong))

    def prepare(spawner: Any) -> None:
        """Give a server its kernels and limits; runs before each start."""
        projects = projects_of(spawner.user.name, settings)
        paths = project_paths(projects, settings)
        spawner.environment = {**spawner.environment, "JUPYTER_PATH": paths}
        mine = datalab_limits.limits(spawner.user.name, projects, settings)
        spawner.mem_limit, spawner.cpu_limit, spawner.slice = mine["memory"], mine["cpu"], mine["slice"] or None

    c.JupyterHub.spawner_class = "systemd"
    c.SystemdSpawner.unit_name_template = "jupyter-{USERNAME}-singleuser"
    c.SystemdSpawner.default_shell = "/bin/bash"
    c.SystemdSpawner.isolate_tmp = True
    c.SystemdSpawner.disable_user_sudo = True
    c.SystemdSpawner.unit_extra_properties = {"MemorySwapMax": "0", "TasksMax": "4096", "UMask": "0027"}
    c.Spawner.cmd = [
        f"{settings['kernels_root']}/bin/in-environment",
        settings["user_environment"],
        "jupyterhub-singleuser",
    ]
    c.Spawner.ip = "127.0.0.1"
    c.Spawner.default_url = "/lab"
    c.Spawner.start_timeout = settings["start_timeout"]
    c.Spawner.http_timeout = settings["start_timeout"]
    c.Spawner.env_keep = ["LANG"]
    c.Spawner.environment = {"PYTHONDONTWRITEBYTECODE": "1"}
    c.Spawner.pre_spawn_hook = prepare
