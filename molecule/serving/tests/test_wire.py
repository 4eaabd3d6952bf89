"""What a browser is told: redirect, versions of TLS, headers, cookies."""

from __future__ import annotations

import re

import pytest
from testinfra.host import Host

from tests.hosts import plain
from tests.hosts.company import Visitor

testinfra_hosts = plain.hosts()
HEADERS = {
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "same-origin",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
}


class Answers:
    """The answers to one person's way from the login page into the own server, by path."""

    def __init__(self, host: Host, hub, login: str) -> None:
        self.visitor = Visitor(host, login)
        self.cookies: set[tuple[str, str]] = set()
        host.run(f"rm -f {self.visitor.jar}")
        self.login = self.get("/hub/login")
        fields = {"username": login, "password": hub.passwords[login], "_xsrf": self.visitor.xsrf()}
        form = [word for field, value in fields.items() for word in ("--data-urlencode", f"{field}={value}")]
        assert self.get("/hub/login?next=%2Fhub%2Fhome", *form)["status"] == "302"
        self.home = self.get("/hub/home")
        hub.visit(login, "pass", fresh=True)  # on debian13 an older one might be stopped meanwhile
        self.server = self.get(f"/user/{login}/lab", "-L")
        self.api = self.get(f"/user/{login}/api/status")
        self.absent = self.get("/hub/nothing-of-this-name")

    def get(self, path: str, *options: str) -> dict[str, str]:
        """Send a request, follow where it leads if told; return the last answer's headers, keep every cookie set."""
        _, text = self.visitor.ask(path, "-D", "-", "-o", "/dev/null", *options)
        found: dict[str, str] = {}
        for line in text.splitlines():
            if status := re.match(r"HTTP/\S+ (\d+)", line):
                found = {"status": status[1]}
            key, _, value = line.partition(": ")
            if key.lower() == "set-cookie":
                cookie, _, attributes = value.partition(";")
                if not cookie.endswith('=""'):  # which takes one away
                    self.cookies.add((cookie.partition("=")[0], attributes.lower()))
            elif value:
                found[key.lower()] = value.strip()
        return found


@pytest.fixture(scope="module")
def answers(host: Host, hub) -> Answers:
    """hana's way into her server."""
    return Answers(host, hub, "hana")


@pytest.mark.parametrize("page", ["login", "home", "server", "api", "absent"])
def test_every_page_carries_the_protective_headers(answers: Answers, page: str) -> None:
    seen = getattr(answers, page)
    assert seen["status"] == ("404" if page == "absent" else "200")
    assert {key: seen.get(key) for key in HEADERS} == HEADERS
    assert "frame-ancestors 'none'" in seen["content-security-policy"]
    assert not re.search(r"\d", seen.get("server", "")), "no release is told"


def test_cookies_are_for_https_and_for_this_site_only(answers: Answers) -> None:
    known = {"_xsrf", "jupyterhub-hub-login", "jupyterhub-session-id", "jupyterhub-user-hana"}
    assert known <= {cookie for cookie, _ in answers.cookies}
    assert {"path=/hub/", "path=/user/hana/"} <= {
        part.strip() for cookie, attributes in answers.cookies if cookie == "_xsrf" for part in attributes.split(";")
    }
    for cookie, attributes in answers.cookies:
        said = {part.strip() for part in attributes.split(";")}
        assert {"secure", "samesite=lax"} <= said, cookie
        assert ("httponly" in said) is (cookie != "_xsrf"), cookie


def test_http_leads_to_the_same_place_by_https(host: Host, name: str) -> None:
    asked = f"curl -s -o /dev/null -w '%{{http_code}} %{{redirect_url}}' --resolve {name}:80:127.0.0.1"
    for path in ("/", "/hub/login?next=%2Fhub%2Ftoken", "/user/hana/lab/tree/a%20b.ipynb"):
        code, _, place = host.check_output(f"{asked} 'http://{name}{path}'").partition(" ")
        assert code in {"301", "302", "308"}
        assert place.replace(f"{name}:443/", f"{name}/") == f"https://{name}{path}"


def handshake(host: Host, version: str, port: int = 443) -> bool:
    """Whether a client that would speak any cipher of this version of TLS, and no other version, is served."""
    client = f"openssl s_client -connect 127.0.0.1:{port} -{version} -cipher ALL:@SECLEVEL=0 </dev/null"
    said = host.run(f"{client} 2>&1")
    return said.rc == 0 and "New, " in said.stdout and "(NONE)" not in said.stdout


def test_only_new_versions_of_tls_are_spoken(host: Host) -> None:
    """A server of old versions beside it shows that this client speaks them."""
    files = "-key /etc/jupyterhub/tls/key.pem -cert /etc/jupyterhub/tls/certificate.pem"
    old = f"openssl s_server -accept 127.0.0.1:4433 {files} -tls1_1 -cipher ALL:@SECLEVEL=0 -quiet"
    host.check_output(f"systemd-run --unit=old-tls --quiet {old}")
    try:
        host.check_output("for i in 1 2 3 4 5 6; do ss -Hlnt 'sport = 4433' | grep -q . && break; sleep 0.3; done")
        assert handshake(host, "tls1_1", 4433)
    finally:
        host.check_output("systemctl stop old-tls")
    spoken = {version: handshake(host, version) for version in ("tls1", "tls1_1", "tls1_2", "tls1_3")}
    assert spoken == {"tls1": False, "tls1_1": False, "tls1_2": True, "tls1_3": True}
