"""Who may log in, which groups of the hub they are in, and who administers what.

Whoever vouches for a person (PAM, a directory, a provider), the accounts and groups of this host decide: a group of the
hub is the Unix group of that name. A directory may add people to a project's group; whom it added is in RECORD, so that
only those are taken out again, and role members leaves them in.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import json
import os
import pwd
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import pamela
from jupyterhub.auth import PAMAuthenticator
from tornado.web import HTTPError

SECRETS = Path("/etc/jupyterhub/secrets")
RECORD = Path("/var/lib/jupyterhub/directory.json")
LOGIN = re.compile(r"[a-z][a-z0-9_-]{0,30}")  # the shape that the data model demands
FIRST_UID = 1000
PATIENCE = 20  # seconds for a directory or provider to answer
SILENT = "The company's {} does not answer. Try again in a few minutes; if it stays so, tell the platform's team."


class SilentError(Exception):
    """Who vouches for people could not be asked; nothing is known about anybody."""


class Record:
    """The people whom the directory, not the data, put into a Unix group."""

    def __init__(self, path: Path = RECORD) -> None:
        self.path, self.lock = path, threading.Lock()

    def read(self) -> dict[str, list[str]]:
        """Logins by group."""
        try:
            return json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}

    def write(self, group: str, logins: set[str]) -> None:
        """Replace the list of one group; a reader sees the old file or the new."""
        text = json.dumps({**self.read(), group: sorted(logins)}, indent=2) + "\n"
        new = self.path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
        new.replace(self.path)

    def follow(self, login: str, group: str, wanted: bool) -> None:
        """Make the Unix group agree with the directory, unless the data put the person there."""
        with self.lock:
            given, inside = set(self.read().get(group, [])), login in members(group)
            if wanted and not inside:
                self.write(group, given | {login})
                change(["gpasswd", "--add", login, group])
            elif login in given and not wanted:
                if inside:
                    change(["gpasswd", "--delete", login, group])
                self.write(group, given - {login})


def change(command: list[str]) -> None:
    """Run a command outside the hub's own sandbox, in which /etc is read-only."""
    wrapper = ["systemd-run", "--quiet", "--wait", "--collect", "--pipe"]
    subprocess.run([*wrapper, *command], check=True, capture_output=True, timeout=30)


def members(group: str) -> list[str]:
    """Who is in a Unix group; nobody while it does not exist."""
    try:
        return grp.getgrnam(group).gr_mem
    except KeyError:
        return []


def is_person(login: str, data_root: str) -> bool:
    """Whether this is a member's account of this host: never the system's, never the administrator's."""
    try:
        account = pwd.getpwnam(login)
    except KeyError:
        return False
    return account.pw_uid >= FIRST_UID and account.pw_dir == f"{data_root}/home/{login}"


def secret(name: str) -> str:
    """A secret of this host; empty when there is none, which the hub then says where it is needed."""
    with contextlib.suppress(FileNotFoundError):
        return (SECRETS / name).read_text(encoding="utf-8").strip()
    return ""


class Membership:
    """What every way to log in shares. A subclass says how to identify somebody and how to look them up again."""

    settings: dict[str, Any]
    voucher = "directory"
    # Whether it knows the accounts of the platform itself (allowed_users), which are in no project.
    vouches_for_accounts = False
    record = Record()

    async def identify(self, handler: Any, data: Any) -> dict[str, Any] | None:
        """The person who logs in: name, auth_state and, where there is a directory, `named` (its groups)."""
        raise NotImplementedError

    async def look_up(self, user: Any, handler: Any) -> dict[str, Any] | bool:
        """The same, for somebody who is logged in; False ends the login."""
        raise NotImplementedError

    async def authenticate(self, handler: Any, data: Any = None, **_: Any) -> dict[str, Any] | None:
        """Identify somebody, then let the accounts and groups of this host decide."""
        try:
            person = await self.identify(handler, data)
        except SilentError as error:
            self.log.error("Nobody can log in: %s", error)
            raise HTTPError(503, SILENT.format(self.voucher)) from error
        if person and self.vouches_for_accounts and person["name"] in self.allowed_users:
            return {**person, "admin": False, "groups": []}
        return person and await asyncio.to_thread(self.admit, person)

    async def refresh_user(self, user: Any, handler: Any = None, **_: Any) -> dict[str, Any] | bool:
        """Look somebody up again. Who lost a project loses the servers: a process keeps the groups it began with."""
        if user.name in self.allowed_users:
            return True
        try:
            person = await self.look_up(user, handler)
            if not person:
                return False
            admitted = await asyncio.to_thread(self.admit, person)
        except SilentError as error:
            self.log.warning("%s stays logged in for now: %s", user.name, error)
            return True
        except HTTPError as error:
            await self.end_servers(user, handler)
            self.log.warning("%s is logged out: %s", user.name, error.log_message)
            return False
        if {group.name for group in user.orm_user.groups} - set(admitted["groups"]):
            await self.end_servers(user, handler)
        return admitted

    async def end_servers(self, user: Any, handler: Any) -> None:
        """Stop what somebody runs."""
        for name, spawner in list(user.spawners.items()):
            if spawner.active and not spawner.pending:
                self.log.warning("Stopping the server of %s, who has left a project", user.name)
                await handler.stop_single_user(user, name)

    def admit(self, person: dict[str, Any]) -> dict[str, Any]:
        """Complete a person by the groups of this host.

        :raises HTTPError: 403, with what to do, for somebody who has no business here.
        """
        login, named = person["name"], person.pop("named", None)
        if not LOGIN.fullmatch(login) or not is_person(login, self.settings["data_root"]):
            self.refuse(login, "there is no account of that name on this machine")
        if named is not None:
            for project in self.settings["projects"]:
                if wanted := self.directory_groups(project):
                    self.record.follow(login, project["group"], bool(wanted & named))
        groups = sorted({p["group"] for p in self.settings["projects"] if login in members(p["group"])})
        if not groups:
            self.refuse(login, "you are in no project of this machine")
        try:
            pamela.check_account(login, service="jupyterhub")
        except pamela.PAMError:
            self.refuse(login, "your account on this machine is closed")
        return {**person, "admin": login in self.admin_users, "groups": groups}

    def refuse(self, login: str, why: str) -> None:
        """Turn somebody away who is who they say they are."""
        self.log.warning("%r identified, but refused: %s", login[:40], why)
        raise HTTPError(403, f"You are known, but {why}. Ask the owner of your project.")

    def directory_groups(self, project: dict[str, Any]) -> set[str]:
        """Groups of the directory whose people enter a project, as `named` has them."""
        return set(project.get("directory_groups", []))

    async def check_allowed(self, _: str, auth_model: Any = None) -> bool:
        """Who was admitted: everybody else was refused before."""
        return bool(auth_model and "groups" in auth_model)


class PamMember(Membership, PAMAuthenticator):
    """The account's own password, by PAM."""

    vouches_for_accounts = True

    async def identify(self, handler: Any, data: Any) -> dict[str, Any] | None:
        """What PAM says."""
        login = await PAMAuthenticator.authenticate(self, handler, data)
        return {"name": self.normalize_username(login)} if login else None

    async def look_up(self, user: Any, handler: Any) -> dict[str, Any] | bool:  # noqa: ARG002
        """Nothing to ask: account and groups are on this host."""
        return {"name": user.name}


def members_class(settings: dict[str, Any]) -> type[Membership]:
    """The authenticator of the mode in use; the other modes' packages need not be there."""
    mode = settings["authentication"]["mode"]
    if mode == "ldap":
        from datalab_ldap import LdapMember as chosen  # noqa: N813, PLC0415
    elif mode == "oauth":
        from datalab_oauth import OAuthMember as chosen  # noqa: N813, PLC0415
    else:
        chosen = PamMember
    chosen.settings = settings
    return chosen


def project_roles(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Roles of the hub: one that makes each project's group known, one for its administrators.

    Administrators of a project see, start and stop its members' servers; `servers` gives no access to what is in them.
    """
    roles = []
    for project in settings["projects"]:
        group = project["group"]
        roles.append({"name": f"member-{project['name']}", "scopes": ["self"], "groups": [group]})
        admins = [login for login in project.get("admins", []) if is_person(login, settings["data_root"])]
        scopes = [f"{scope}!group={group}" for scope in ("list:users", "read:users:activity", "servers")]
        scopes += ["admin-ui", f"read:groups!group={group}"]
        roles.append({"name": f"admin-{project['name']}", "scopes": scopes, "users": admins})
    return roles


def configure(c: Any, settings: dict[str, Any]) -> None:
    """Add this part to the hub's configuration `c`."""
    c.JupyterHub.authenticator_class = members_class(settings)
    c.JupyterHub.load_roles += project_roles(settings)
    c.JupyterHub.admin_access = False  # administrators stop servers, they do not enter them
    c.JupyterHub.cookie_max_age_days = settings["session_days"]
    c.Authenticator.any_allow_config = True  # Membership.check_allowed
    # Else everybody who ever logged in becomes one of allowed_users, which here means an account of the platform.
    c.Authenticator.allow_existing_users = False
    c.Authenticator.manage_groups = True
    c.Authenticator.username_pattern = LOGIN.pattern
    c.Authenticator.admin_users = {login for login in settings["admins"] if is_person(login, settings["data_root"])}
    c.Authenticator.auth_refresh_age = settings["membership_seconds"]
    c.Authenticator.auth_refresh_strict = True  # tokens of somebody who has left are of no use either
    c.Authenticator.refresh_pre_spawn = True
    c.PAMAuthenticator.service = "jupyterhub"
    c.PAMAuthenticator.open_sessions = False  # systemd runs the server; a second session would never be closed
    if settings["authentication"]["mode"] == "ldap":
        from datalab_ldap import configure_ldap  # noqa: PLC0415

        configure_ldap(c, settings)
    elif settings["authentication"]["mode"] == "oauth":
        from datalab_oauth import configure_oauth  # noqa: PLC0415

        configure_oauth(c, settings)
