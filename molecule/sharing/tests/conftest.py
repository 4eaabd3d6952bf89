"""The hub, visited by the people of this scenario; their API tokens; a converge of their membership."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

import pytest
from testinfra.host import Host

from tests.hosts import visits
from tests.hosts.browser import browser, page, pages

__all__ = ["browser", "page", "pages"]

hub = visits.hub("pia,quim,ruth,tess", "kappa-base")


@dataclass
class People:
    """Each person's API token, and requests with it."""

    host: Host
    url: str
    tokens: dict[str, str]

    def ask(self, login: str, method: str, path: str, body: Any = None, url: str = "") -> tuple[int, str]:
        """Status and text of the answer to a request with somebody's token; login "" sends none."""
        token = f"-H 'Authorization: token {self.tokens[login]}'" if login else ""
        data = f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}" if body is not None else ""
        done = self.host.run(
            f"curl -sk -m 60 -X {method} {token} {data} -w '\\n%{{http_code}}' {url or self.url}{path}"
        )
        text, _, code = done.stdout.rpartition("\n")
        return int(code), text

    def status(self, login: str, path: str, method: str = "GET", url: str = "") -> int:
        """Status of the answer to a request with somebody's token."""
        return self.ask(login, method, path, url=url)[0]


@pytest.fixture(scope="module")
def people(hub: Any, host: Host) -> People:
    """Everybody has logged in once and has a token; pia's server runs."""
    tokens = {}
    for login in hub.members:
        seen = hub.visit(login, calls=[["GET", "/hub/home", None], ["POST", f"/hub/api/users/{login}/tokens", {}]])
        code, text = seen["answers"][1]
        assert code == 201, text
        tokens[login] = json.loads(text)["token"]
    found = People(host, hub.url, tokens)
    hub.visit("pia", "open('/tmp/of-pia', 'w').close()")
    return found
