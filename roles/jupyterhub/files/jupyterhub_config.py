"""JupyterHub's configuration. The values are in settings.json beside this file; this file is the same everywhere."""

from __future__ import annotations

import grp
import json
import os
import sys
from pathlib import Path

from jupyterhub.auth import PAMAuthenticator

c = get_config()  # noqa: F821 - traitlets puts it here
settings = json.loads(Path(__file__).with_name("settings.json").read_text(encoding="utf-8"))
projects = {project["group"]: project["name"] for project in settings["projects"]}


class MemberAuthenticator(PAMAuthenticator):
    """PAM, with the membership looked up again while somebody is logged in."""

    async def refresh_user(self, user, handler=None):  # noqa: ARG002 - JupyterHub's signature
        """False, which ends the login, once the account is in no project of this machine any more."""
        try:
            return bool(self.check_allowed_groups(user.name)) or user.name in self.allowed_users
        except KeyError:  # the account is gone
            return False


def project_paths(login: str) -> str:
    """JUPYTER_PATH of a member: the kernels of each project whose group the account is in."""
    groups = {group for group in projects if login in grp.getgrnam(group).gr_mem}
    return os.pathsep.join(f"{settings['kernels_root']}/projects/{projects[group]}" for group in sorted(groups))


def prepare(spawner) -> None:
    """Give a server its kernels; runs before each start."""
    spawner.environment = {**spawner.environment, "JUPYTER_PATH": project_paths(spawner.user.name)}


# The proxy is a unit of its own: the hub neither starts nor stops it.
c.JupyterHub.bind_url = f"https://:{settings['https_port']}"
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:8001"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:8081"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.db_url = "sqlite:////var/lib/jupyterhub/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = "/var/lib/jupyterhub/cookie_secret"  # noqa: S105 - a path
c.JupyterHub.shutdown_on_logout = False
headers = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
if settings["hsts_seconds"]:
    headers["Strict-Transport-Security"] = f"max-age={settings['hsts_seconds']}"
c.JupyterHub.tornado_settings = {"headers": headers, "cookie_options": {"secure": True, "samesite": "Lax"}}

c.JupyterHub.authenticator_class = MemberAuthenticator
c.PAMAuthenticator.service = "jupyterhub"
c.PAMAuthenticator.open_sessions = False  # systemd runs the server; a second session would never be closed
c.LocalAuthenticator.allowed_groups = set(projects)
c.Authenticator.allow_existing_users = False
c.Authenticator.admin_users = set(settings["admins"])
c.Authenticator.auth_refresh_age = settings["membership_seconds"]
c.Authenticator.refresh_pre_spawn = True
c.JupyterHub.admin_access = False  # administrators stop servers, they do not enter them

c.JupyterHub.spawner_class = "systemd"
c.SystemdSpawner.unit_name_template = "jupyter-{USERNAME}-singleuser"
c.SystemdSpawner.default_shell = "/bin/bash"
c.SystemdSpawner.mem_limit = settings["memory_limit"]
c.SystemdSpawner.cpu_limit = settings["cpu_limit"]
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

if settings["idle_seconds"] or settings["max_age_seconds"]:
    scopes = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
    c.JupyterHub.load_roles = [{"name": "idle-culler", "scopes": scopes, "services": ["idle-culler"]}]
    c.JupyterHub.services = [
        {
            "name": "idle-culler",
            # Every value is stated: its own defaults have changed between releases.
            "command": [
                sys.executable,
                "-m",
                "jupyterhub_idle_culler",
                f"--timeout={settings['idle_seconds']}",
                f"--cull-every={settings['idle_check_seconds']}",
                f"--max-age={settings['max_age_seconds']}",
                "--concurrency=4",
            ],
        }
    ]

for name, traits in settings["extra"].items():
    for trait, value in traits.items():
        setattr(c[name], trait, value)
