"""What members share inside a project: a collaborative server, their own servers, folders to read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from jupyterhub import apihandlers
from memberships import collaborators

HERE = Path(__file__).resolve().parent


def no_share_codes() -> None:
    """Take away the codes with which a server can be given to anybody who has the code, outsiders too."""
    apihandlers.default_handlers[:] = [
        h for h in apihandlers.default_handlers if not h[0].startswith("/api/share-codes")
    ]


def knows_accounts(base: type, accounts: set[str]) -> type:
    """An authenticator in which the collaborative servers' accounts stay valid but nobody logs in with them.

    JupyterHub's own list of blocked users would not do: it takes their roles too, which their servers need.
    """

    class ProjectAuthenticator(base):  # type: ignore[misc]
        async def refresh_user(self, user: Any, handler: Any = None, **more: Any) -> Any:
            return True if user.name in accounts else await super().refresh_user(user, handler, **more)

        def check_blocked_users(self, username: str, authentication: Any = None) -> bool:
            return username not in accounts and super().check_blocked_users(username, authentication)

    return ProjectAuthenticator


def arguments(login: str, settings: dict[str, Any]) -> list[str]:
    """Options of JupyterLab: real-time collaboration is for the servers that are there for it."""
    alone = login not in collaborators(settings["projects"])
    said = [f"--YDocExtension.disable_rtc={alone}"]
    # A server asks the hub again soon whether a visitor may still come in: who left is out after this time.
    return [*said, f"--HubOAuth.cache_max_age={settings['membership_seconds']}"]


def read_only_paths(login: str, settings: dict[str, Any]) -> list[str]:
    """Folders that this server sees read-only, whoever owns the files in them."""
    root = f"{settings['data_root']}/reference"
    return [
        f"-{root}/{project['name']}/{folder['name']}"
        for project in settings["projects"]
        for folder in project.get("read_only", [])
        if login not in folder.get("writers", [])
    ]


def roles(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """What the members of each project may do with each other's servers; the groups are the projects' Unix groups."""
    found, servers = [], collaborators(settings["projects"])
    for project in settings["projects"]:
        # The names of the colleagues are all that JupyterHub needs to let a server be shared with them, and only them.
        scopes = ["shares!user", f"read:users:name!group={project['group']}"]
        found.append({"name": f"colleagues-{project['name']}", "groups": [project["group"]], "scopes": scopes})
    for login, project in servers.items():
        scopes = [f"access:servers!user={login}", f"servers!user={login}", f"read:users:name!user={login}"]
        found.append({"name": f"collaboration-{project['name']}", "groups": [project["group"]], "scopes": scopes})
    if servers:
        found.append({"name": "collaborators", "users": list(servers), "scopes": ["self"]})
    scopes = ["list:users", "read:users:groups", "delete:users", "delete:servers", "users:shares"]
    scopes += [f"groups!group={project['group']}" for project in settings["projects"]]
    return [*found, {"name": "memberships", "services": ["memberships"], "scopes": scopes}]


def configure(c: Any, settings: dict[str, Any]) -> None:
    """Add this part to the hub's configuration `c`."""
    servers = collaborators(settings["projects"])
    before, given = c.Spawner.pre_spawn_hook, list(c.Spawner.get("args", []))

    def prepare(spawner: Any) -> None:
        """Make a server collaborative or personal; runs before each start, after what other parts prepare."""
        before(spawner)
        login = spawner.user.name
        spawner.args = [*given, *arguments(login, settings)]
        spawner.readonly_paths = read_only_paths(login, settings)
        if login in servers:
            project = servers[login]["name"]
            spawner.notebook_dir = f"{settings['data_root']}/projects/{project}"

    no_share_codes()
    c.Spawner.pre_spawn_hook = prepare
    c.JupyterHub.authenticator_class = knows_accounts(c.JupyterHub.authenticator_class, set(servers))
    c.JupyterHub.load_roles += roles(settings)
    c.JupyterHub.services.append({"name": "memberships", "command": [sys.executable, str(HERE / "memberships.py")]})
    # The platform's own servers: no page that asks whether the project may see the name of its member.
    c.JupyterHub.tornado_settings["oauth_no_confirm_list"] = {f"jupyterhub-user-{login}" for login in servers}
    c.JupyterHub.template_paths.append(str(HERE / "templates"))
    c.JupyterHub.template_vars["project_servers"] = {p["group"]: (p["name"], login) for login, p in servers.items()}
