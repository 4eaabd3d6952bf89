"""The company's directory and login service as the tests change them, and people with a password and no browser."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

from lab import landing_zone, processes, state
from lab.company.base import ADDRESS, INSIDE
from lab.company.oidc import Oidc
from lab.company.slapd import ADMIN, SUFFIX, Slapd
from tests.hosts import LAB
from tests.waiting import until

PEOPLE = yaml.safe_load((LAB.checkout / "molecule/authentication/people.json").read_text(encoding="utf-8"))


class Directory:
    """The company's slapd, changed as its administrators would."""

    def __init__(self) -> None:
        self.slapd = Slapd(LAB, PEOPLE)

    def modify(self, entry: str, *lines: str) -> None:
        """Send one change."""
        words = ["-x", "-H", f"ldaps://{ADDRESS}", "-D", ADMIN, "-y", f"{INSIDE}/admin.secret"]
        command = self.slapd.inside("/usr/bin/ldapmodify", *words)
        text = "\n".join([f"dn: {entry},{SUFFIX}", "changetype: modify", *lines]) + "\n"
        environment = {**os.environ, "LDAPTLS_CACERT": f"{INSIDE}/ca.pem"}
        subprocess.run(command, input=text, text=True, check=True, env=environment, capture_output=True)

    def member(self, action: str, login: str, group: str = "theta-people") -> None:
        """Put somebody into a group, or take them out."""
        self.modify(f"cn={group},ou=groups", f"{action}: member", f"member: uid={login},ou=people,{SUFFIX}")

    def end(self) -> None:
        """Kill it; `up` starts it with what it held at first."""
        processes.end(self.slapd.folder / "pid")

    def up(self) -> None:
        """Start it again."""
        self.slapd.up()


@pytest.fixture
def directory() -> Iterator[Directory]:
    """The directory, afterwards as it was."""
    found = Directory()
    yield found
    found.end()
    found.up()


@pytest.fixture
def provider() -> Iterator[Path]:
    """The file of the login service's people, afterwards as it was."""
    path = Oidc(LAB, PEOPLE).folder / "people.json"
    before = path.read_text(encoding="utf-8")
    yield path
    path.write_text(before, encoding="utf-8")


def passwords() -> dict[str, str]:
    """Passwords of the company's people."""
    return state.read(landing_zone.passwords_file(LAB), {})


class Visitor:
    """Somebody's cookies on a host, and requests with them; with `token` without them."""

    def __init__(self, host: Host, login: str) -> None:
        self.host, self.login = host, login
        self.jar = f"/root/cookies-{abs(hash(login))}"
        self.token = ""

    def ask(self, path: str, *options: str) -> tuple[int, str]:
        """Status and body of a request."""
        keep = ["-H", f"Authorization: token {self.token}"] if self.token else ["-b", self.jar, "-c", self.jar]
        words = ["curl", "-sk", "--max-time", "90", "-w", "\n%{http_code}", *keep, *options]
        with self.host.sudo():
            done = self.host.run(shlex.join([*words, f"https://localhost{path}"]))
        body, _, code = done.stdout.rpartition("\n")
        return int(code), body

    def xsrf(self) -> str:
        """The token against forged requests."""
        text = self.host.file(self.jar).content_string
        return re.findall(r"/hub/\t.*\t_xsrf\t(\S+)", text)[-1]

    def log_in(self, password: str = "") -> tuple[int, str]:
        """Send the login form; 302 is success, otherwise what the page says."""
        self.host.run(f"rm -f {self.jar}")
        self.ask("/hub/login")
        fields = {"username": self.login, "password": password or passwords()[self.login], "_xsrf": self.xsrf()}
        form = [word for name, value in fields.items() for word in ("--data-urlencode", f"{name}={value}")]
        code, body = self.ask("/hub/login?next=%2Fhub%2Fhome", *form)
        said = re.search(r'class="login_error">(.*?)<', body, re.DOTALL)
        return code, said[1].strip() if said else ""

    def get_token(self) -> None:
        """Use a token of one's own from now on."""
        code, body = self.ask(f"/hub/api/users/{self.login}/tokens", "-X", "POST", "-H", f"X-XSRFToken: {self.xsrf()}")
        assert code == 201, body
        self.token = json.loads(body)["token"]

    def api(self, method: str, path: str) -> tuple[int, Any]:
        """A request to the hub's API."""
        code, body = self.ask(f"/hub/api{path}", "-X", method)
        return code, json.loads(body) if body else None

    def start(self) -> None:
        """Start one's own server and enter it, with a token."""
        code, said = self.api("POST", f"/users/{self.login}/server")
        assert code in {201, 202}, said
        until(lambda: self.ask(f"/user/{self.login}/api/status")[0] == 200, 120)


def runs(host: Host, login: str) -> bool:
    """Whether somebody's server runs."""
    return host.run(f"systemctl is-active jupyter-{login}-singleuser.service").rc == 0


@pytest.fixture
def visitor(host: Host) -> Callable[[str], Visitor]:
    """Makes visitors."""
    return lambda login: Visitor(host, login)


def log_of(host: Host, since: str) -> str:
    """What the hub logged since a moment (`date +%s`)."""
    return host.check_output(f"journalctl --unit jupyterhub --since @{since} --output cat --no-pager")


def groups_of(host: Host, login: str) -> set[str]:
    """A person's project groups on a host."""
    return {name for name in host.check_output(f"id -Gn {login}").split() if name.startswith("proj-")}
