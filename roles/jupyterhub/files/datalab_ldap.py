"""Logins by a company's directory (LDAP, Active Directory): the kept LDAPAuthenticator, asked again at each refresh."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import ldap3
from datalab_members import LOGIN, PATIENCE, Membership, SilentError, secret
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars
from ldapauthenticator import LDAPAuthenticator


class LdapMember(Membership, LDAPAuthenticator):
    """Somebody whom the directory vouches for."""

    workers = ThreadPoolExecutor(4, "ldap")  # a directory that is slow must not hold up the hub

    async def aside(self, work: Callable[[], Any]) -> Any:
        """Do what waits for the directory in a thread.

        :raises SilentError: when it does not answer as it should.
        """
        try:
            return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(self.workers, work), PATIENCE)
        except (LDAPException, OSError, TimeoutError) as error:
            where = f"{self.server_address}:{self.server_port}"
            raise SilentError(f"directory {where}: {type(error).__name__} {error}") from error

    async def identify(self, handler: Any, data: Any) -> Any:  # noqa: ARG002
        """What the directory says to this login and password."""
        typed = {**data, "username": self.normalize_username(data["username"])}
        return await self.aside(lambda: self.verified(typed))

    def verified(self, typed: dict[str, str]) -> Any:
        """Let the base check the password. People often may not read groups: our account asks, if there is one."""
        found = asyncio.run(LDAPAuthenticator.authenticate(self, None, typed))
        if found and self.lookup_dn:
            return self.current(found["name"])
        return found and {"name": found["name"], "named": set(found["auth_state"]["ldap_groups"])}

    async def look_up(self, user: Any, handler: Any) -> dict[str, Any] | bool:  # noqa: ARG002
        """Groups as the directory has them now. Without an account to search with, they stay until the next login."""
        if not self.lookup_dn:
            return {"name": user.name}
        return await self.aside(lambda: self.current(user.name))

    def current(self, login: str) -> dict[str, Any] | bool:
        """Ask with the account of the service; False when the directory has nobody of that name any more."""
        name, dn = self.resolve_username(login)
        if not dn:
            return False
        asked = self.group_search_filter.format(userdn=escape_filter_chars(dn), uid=escape_filter_chars(name))
        with self.get_connection(self.lookup_dn_search_user, self.lookup_dn_search_password) as found:
            known = {group for group in self.allowed_groups or [] if found.search(group, asked, ldap3.BASE)}
        return {"name": login, "named": known}

    def get_connection(self, userdn: str, password: str) -> Any:
        """As the base, but that our own account is refused is no wrong password of the person who logs in."""
        made = super().get_connection(userdn, password)
        if made is None and self.lookup_dn and userdn == self.lookup_dn_search_user:
            raise SilentError(f"the directory refuses the account to search with, {userdn}: renew its password")
        return made

    def directory_groups(self, project: dict[str, Any]) -> set[str]:
        """The distinguished names of a project's groups."""
        return distinguished(project, self.settings["authentication"]["group_base"])


def distinguished(project: dict[str, Any], base: str) -> set[str]:
    """Groups of a project: a plain name is a cn below the base of groups."""
    return {name if "=" in name else f"cn={name},{base}" for name in project.get("directory_groups", [])}


def configure_ldap(c: Any, settings: dict[str, Any]) -> None:
    """Configure the kept authenticator. Without TLS there is no password: ldap:// begins with StartTLS."""
    given = settings["authentication"]
    url = urlsplit(given["url"])
    ldap = c.LDAPAuthenticator
    ldap.server_address = url.hostname
    ldap.tls_strategy = "on_connect" if url.scheme == "ldaps" else "before_bind"
    if url.port:
        ldap.server_port = url.port
    ldap.tls_kwargs = {"validate": ssl.CERT_REQUIRED, "ca_certs_file": given["ca_file"] or None}
    ldap.valid_username_regex = rf"{LOGIN.pattern}\Z"
    ldap.bind_dn_template = given["user_template"]
    ldap.lookup_dn = bool(given["lookup_dn"])
    if given["lookup_dn"]:
        ldap.lookup_dn_search_user = given["lookup_dn"]
        ldap.lookup_dn_search_password = secret("authentication")
        ldap.user_search_base = given["people_base"]
        ldap.user_attribute = ldap.lookup_dn_user_dn_attribute = given["login_attribute"]
    ldap.group_search_filter = given["group_filter"]
    ldap.group_attributes = ["objectClass"]  # only whether the group is found counts
    groups = {dn for project in settings["projects"] for dn in distinguished(project, given["group_base"])}
    ldap.allowed_groups = sorted(groups)
