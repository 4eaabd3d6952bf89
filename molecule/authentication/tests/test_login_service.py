"""Logins by the company's login service, in a real browser; and the end of a session."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Error, Page, expect

from tests.hosts import plain
from tests.hosts.browser import shot
from tests.hosts.company import groups_of, log_of, passwords, runs
from tests.waiting import until

testinfra_hosts = plain.hosts()[1:2]
HUB = "https://plain-debian13.molecule.example.com"


def log_in(page: Page, login: str, password: str = "") -> None:
    """Fill in the company's login page."""
    page.fill("input[name=login]", login)
    page.fill("input[name=password]", password or passwords()[login])
    page.click("#submit")


def status(page: Page, path: str) -> int:
    """Status with which an address of the hub is answered; 0 while the hub's own page leads elsewhere."""
    try:
        answer = page.goto(f"{HUB}{path}")
    except Error as error:  # the page of a server that is just starting looks again by itself
        if "interrupted by another navigation" not in str(error):
            raise
        return 0
    return answer.status if answer else 0


def groups(page: Page) -> list[str]:
    """The hub's groups of who is logged in."""
    return page.evaluate(
        "fetch('/hub/api/user', {headers: {'X-XSRFToken': window.jhdata.xsrf_token}}).then(r => r.json())"
    )["groups"]


def test_login_through_the_provider_comes_back_to_where_it_began(page: Page, host) -> None:
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{HUB}/hub/token")
    expect(page.locator("h1")).to_have_text("Company login")
    log_in(page, "vito")
    page.wait_for_url(f"{HUB}/hub/token")
    assert groups(page) == ["proj-theta", "proj-theta-lab"]
    assert groups_of(host, "vito") == {"proj-theta", "proj-theta-lab"}
    begin = next(url for url in asked if "/auth?" in url)
    assert "code_challenge_method=S256" in begin
    assert f"{HUB}/hub/oauth_callback?" in "\n".join(asked)


def test_wrong_password_stays_at_the_provider(page: Page) -> None:
    page.goto(f"{HUB}/hub/home")
    log_in(page, "vito", "wrong")
    expect(page.locator("#message")).to_have_text("Wrong login or password.")


def test_a_person_without_account_is_told_so(page: Page, host) -> None:
    page.goto(f"{HUB}/hub/home")
    log_in(page, "xeno")
    expect(page.locator("body")).to_contain_text("there is no account of that name on this machine")
    assert host.run("id xeno").rc != 0


def test_a_name_that_the_system_owns_enters_nothing(page: Page, host, provider: Path) -> None:
    """Whatever the provider calls its people."""
    people = json.loads(provider.read_text())
    for login in ("root", "datalab-admin"):
        page.context.clear_cookies()
        people.append(
            {"login": login, "name": login, "email": "r@example.com", "groups": ["theta-people"], "password": "p"}
        )
        provider.write_text(json.dumps(people))
        page.goto(f"{HUB}/hub/home")
        log_in(page, login, "p")
        expect(page.locator("body")).to_contain_text("there is no account of that name on this machine")
        assert login not in host.check_output("getent group proj-theta")


def test_who_leaves_the_group_at_the_provider_leaves_the_project(page: Page, host, provider: Path) -> None:
    page.goto(f"{HUB}/hub/home")
    log_in(page, "vito")
    page.wait_for_url(f"{HUB}/hub/home")
    page.click("#start")
    until(lambda: runs(host, "vito"), 60)
    page.wait_for_url(f"{HUB}/user/vito/**", timeout=60_000)
    page.goto(f"{HUB}/hub/home")
    people = json.loads(provider.read_text())
    next(person for person in people if person["login"] == "vito")["groups"] = ["elsewhere"]
    provider.write_text(json.dumps(people))
    until(lambda: groups(page) == ["proj-theta-lab"])
    assert groups_of(host, "vito") == {"proj-theta-lab"}
    until(lambda: not runs(host, "vito"), 10)
    page.goto(f"{HUB}/hub/home")
    expect(page.locator("#start")).to_have_text("Start My Server")
    shot(page, "authentication-vito-left-theta")


def test_an_administrator_sees_the_members_of_the_own_project_alone(pages: Callable[[], Page], host) -> None:
    """uma of theta starts and stops vito's server, does not see wanda, and enters neither's server."""
    uma, vito, wanda = pages(), pages(), pages()
    for page, login in ((vito, "vito"), (wanda, "wanda"), (uma, "uma")):
        page.goto(f"{HUB}/hub/home")
        log_in(page, login)
        page.wait_for_url(f"{HUB}/hub/home")
    uma.goto(f"{HUB}/hub/admin")
    expect(uma.locator("[data-testid=user-row-name]")).to_have_text([re.compile("uma"), re.compile("vito")])
    row = uma.locator("tr.user-row", has_text="vito")
    row.locator("text=Start Server").click()
    # A file of vito's server, which answers to its own alone: there is none of that name.
    until(lambda: status(vito, "/user/vito/files/none") == 404, 60)
    uma.reload()  # the page itself does not follow
    expect(row.locator("text=Stop Server")).to_be_visible()
    shot(uma, "authentication-uma-administers-theta")
    assert status(uma, "/user/vito/files/none") == 403
    shot(uma, "authentication-uma-may-not-enter")
    uma.goto(f"{HUB}/hub/admin")
    row.locator("text=Stop Server").click()
    until(lambda: not runs(host, "vito"), 30)


def test_tokens_of_the_provider_are_kept_encrypted_and_secrets_are_roots_alone(page: Page, host) -> None:
    page.goto(f"{HUB}/hub/home")
    log_in(page, "vito")
    page.wait_for_url(f"{HUB}/hub/home")
    database = host.check_output("cat /var/lib/jupyterhub/jupyterhub.sqlite* | base64 -w0")
    assert b"access_token" not in base64.b64decode(database)
    for name in ("authentication", "auth_state.key"):
        secret = host.file(f"/etc/jupyterhub/secrets/{name}")
        assert (secret.user, secret.group, secret.mode) == ("root", "root", 0o600)
        text = secret.content_string.strip()
        assert text not in host.file("/etc/jupyterhub/settings.json").content_string
        assert text not in host.check_output("ps axwwe -o args")
    assert host.file("/etc/jupyterhub/secrets/authentication").content_string.strip() not in log_of(host, "0")


def test_a_session_that_ended_leads_to_the_login_and_back(page: Page) -> None:
    """On the other host, where sessions last 26 seconds and the login page is the hub's own."""
    hub = HUB.replace("13", "12")
    page.goto(f"{hub}/hub/token")
    page.fill("#username_input", "wanda")
    page.fill("#password_input", passwords()["wanda"])
    page.click("#login_submit")
    page.wait_for_url(f"{hub}/hub/token")
    time.sleep(27)
    page.goto(f"{hub}/hub/token")
    expect(page).to_have_url(re.compile(r"/hub/login\?next=%2Fhub%2Ftoken"))
    shot(page, "authentication-session-ended")
    page.fill("#username_input", "wanda")
    page.fill("#password_input", passwords()["wanda"])
    page.click("#login_submit")
    page.wait_for_url(f"{hub}/hub/token")
