"""Logins by an OpenID provider (GitLab, Keycloak): the kept GenericOAuthenticator, asked again at each refresh."""

from __future__ import annotations

from typing import Any

from datalab_members import Membership, SilentError, secret
from oauthenticator.generic import GenericOAuthenticator
from tornado.httpclient import HTTPClientError


class OAuthMember(Membership, GenericOAuthenticator):
    """Somebody whom the provider vouches for."""

    voucher = "login service"

    async def identify(self, handler: Any, data: Any) -> dict[str, Any] | None:
        """What the provider says to the code that the browser brought back."""
        try:
            return self.named(await GenericOAuthenticator.authenticate(self, handler, data))
        except (HTTPClientError, OSError) as error:
            raise SilentError(f"{self.token_url}: {error}") from error

    async def look_up(self, user: Any, handler: Any) -> dict[str, Any] | bool:
        """What the provider says now; False when it wants to see the person again."""
        try:
            return self.named(await GenericOAuthenticator.refresh_user(self, user, handler))
        except (HTTPClientError, OSError) as error:
            raise SilentError(f"{self.userdata_url}: {error}") from error

    def named(self, found: Any) -> Any:
        """Call the groups of the provider what they are: not yet those of the hub."""
        if isinstance(found, dict):
            found["named"] = set(found.pop("groups"))
        return found


def configure_oauth(c: Any, settings: dict[str, Any]) -> None:
    """Configure the kept authenticator: code flow with PKCE, and refresh by the tokens, which are kept encrypted."""
    given = settings["authentication"]
    oauth = c.GenericOAuthenticator
    for name in ("authorize_url", "token_url", "userdata_url", "client_id", "login_service", "scope"):
        setattr(oauth, name, given[name])
    oauth.oauth_callback_url = given["callback_url"]
    oauth.username_claim = given["login_claim"]
    oauth.client_secret = secret("authentication")
    oauth.enable_pkce = True
    oauth.http_request_kwargs = {"ca_certs": given["ca_file"] or None, "request_timeout": 20}
    if any(project.get("directory_groups") for project in settings["projects"]):
        oauth.auth_state_groups_key = f"{GenericOAuthenticator.user_auth_state_key}.{given['groups_claim']}"
    else:
        oauth.auth_state_groups_key = lambda _: []
    c.Authenticator.enable_auth_state = True
    c.Authenticator.auto_login = True
    key = secret("auth_state.key")
    c.CryptKeeper.keys = [key] if key else []
