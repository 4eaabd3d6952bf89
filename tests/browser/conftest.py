"""A member's browser: Debian's Chromium, which trusts one more authority, and JupyterLab as a person uses it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
# Nothing leaves for the browser's maker; QUIC cannot reach a hub that speaks TLS over TCP.
FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]
OPTIONS = {
    "hub-url": "address of the hub, https://...",
    "hub-resolve": "NAME=ADDRESS[:PORT], where the name of the address is really found",
    "hub-ca": "PEM file of the authority that signed the hub's certificate",
    "hub-passwords": "JSON file, login to password",
    "hub-project": "project on that machine",
    "hub-environment": "conda environment of the project",
    "hub-members": "two members of the project, LOGIN,LOGIN",
    "hub-outsider": "login of somebody who is in no project of that machine",
    "hub-screenshots": "folder for the screenshots",
}
DEFAULTS = {
    "hub-environment": "base",
    "hub-members": "alice,bob",
    "hub-outsider": "carol",
    "hub-project": "alpha",
    "hub-resolve": "",
    "hub-screenshots": str(ROOT / "reports" / "screenshots"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Every option can also come from the environment: --hub-url or ATELIER_HUB_URL."""
    for name, text in OPTIONS.items():
        parser.addoption(f"--{name}", help=text, default=os.environ.get(f"ATELIER_{name.upper().replace('-', '_')}"))


@dataclass(frozen=True)
class Setting:
    """What the tests were told."""

    url: str
    resolve: str
    ca: Path
    passwords: dict[str, str]
    project: str
    environment: str
    members: list[str]
    outsider: str
    screenshots: Path


@pytest.fixture(scope="session")
def setting(request: pytest.FixtureRequest) -> Setting:
    """The options; an absent one fails with its name."""
    given = {name: request.config.getoption(f"--{name}") or DEFAULTS.get(name) for name in OPTIONS}
    absent = [f"--{name} ({OPTIONS[name]})" for name, value in given.items() if value is None]
    if absent:
        pytest.fail("the browser tests need " + ", ".join(absent), pytrace=False)
    screenshots = Path(given["hub-screenshots"])
    screenshots.mkdir(parents=True, exist_ok=True)
    return Setting(
        url=given["hub-url"].rstrip("/"),
        resolve=given["hub-resolve"],
        ca=Path(given["hub-ca"]),
        passwords=json.loads(Path(given["hub-passwords"]).read_text(encoding="utf-8")),
        project=given["hub-project"],
        environment=given["hub-environment"],
        members=given["hub-members"].split(","),
        outsider=given["hub-outsider"],
        screenshots=screenshots,
    )


class Visitor:
    """Somebody with a browser of their own."""

    def __init__(self, context: BrowserContext, setting: Setting, login: str) -> None:
        self.context = context
        self.setting = setting
        self.login = login
        self.page: Page = context.new_page()
        self.page.set_default_timeout(60_000)

    def shot(self, what: str) -> None:
        """Keep what the screen shows."""
        self.page.screenshot(path=self.setting.screenshots / f"{self.setting.project}-{self.login}-{what}.png")

    def log_in(self, password: str | None = None) -> None:
        """Fill in the form and send it."""
        self.page.goto(f"{self.setting.url}/hub/login")
        self.page.fill("#username_input", self.login)
        self.page.fill("#password_input", self.setting.passwords[self.login] if password is None else password)
        self.page.click("#login_submit")

    def open_lab(self) -> None:
        """Wait for JupyterLab's launcher; the server starts on the way."""
        self.page.goto(f"{self.setting.url}/hub/spawn")
        # The address of a workspace left from before would open its documents again.
        self.page.wait_for_url("**/user/*/lab**", timeout=120_000)
        self.page.goto(f"{self.setting.url}/user/{self.login}/lab?reset")
        expect(self.page.locator(".jp-Launcher-body")).to_be_visible(timeout=90_000)

    def new_notebook(self, generation: bool = True) -> None:
        """Open a notebook on the project's kernel, whose name ends with its generation (since 0.2.0)."""
        title = f"{self.setting.project} · {self.setting.environment}"
        card = f"[title^='{title} (']" if generation else f"[title='{title}']"
        self.page.locator(f".jp-LauncherCard[data-category='Notebook']{card}").click()
        self.connected(re.escape(title) + (r" \([0-9a-f]{6}\)" if generation else ""))

    def connected(self, title: str) -> None:
        """Wait for the kernel, whose name is given as a pattern."""
        # A cell that is run before the kernel is connected is dropped without a word; only the status bar knows.
        idle = re.compile(rf"{title} \| Idle")
        expect(self.page.locator("#jp-main-statusbar")).to_contain_text(idle, timeout=60_000)

    def run_cell(self, code: str) -> str:
        """Type code in the last cell, run it, return what it printed."""
        cells = self.page.locator(".jp-Notebook .jp-CodeCell")
        cell = cells.last
        cell.locator(".cm-content").click()
        self.page.keyboard.insert_text(code)
        number = cells.count()
        self.page.keyboard.press("Shift+Enter")
        cell = cells.nth(number - 1)
        expect(cell.locator(".jp-InputPrompt")).to_have_text("[" + str(number) + "]:", timeout=60_000)
        output = cell.locator(".jp-OutputArea-output")
        return "\n".join(output.all_inner_texts())

    def status(self, path: str) -> int:
        """Status with which the hub answers an address."""
        answer = self.page.goto(f"{self.setting.url}{path}")
        return answer.status if answer else 0


class Browsers:
    """Starts one browser; every visitor gets a context without the others' cookies."""

    def __init__(self, playwright: Playwright, setting: Setting, home: Path) -> None:
        self.setting = setting
        rules = [f"--host-resolver-rules=MAP {setting.resolve.replace('=', ' ')}"] if setting.resolve else []
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        self.browser = playwright.chromium.launch(
            executable_path=CHROMIUM, env={"HOME": str(home), "PATH": "/usr/bin:/bin"}, args=[*FLAGS, *rules, *root]
        )

    @contextmanager
    def visitor(self, login: str) -> Iterator[Visitor]:
        """A visitor; on failure the last screen is kept too."""
        context = self.browser.new_context(viewport={"width": 1280, "height": 800})
        visitor = Visitor(context, self.setting, login)
        try:
            yield visitor
        except BaseException:
            visitor.shot("failed")
            raise
        finally:
            context.close()


def trust(home: Path, ca: Path) -> None:
    """Make a certificate store in which one authority is trusted for servers. Needs certutil (libnss3-tools)."""
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    database = f"sql:{store}"
    subprocess.run(["certutil", "-d", database, "-N", "--empty-password"], check=True)
    subprocess.run(["certutil", "-d", database, "-A", "-t", "C,,", "-n", "hub", "-i", str(ca)], check=True)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """One driver for all browsers of the run."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browsers(playwright: Playwright, setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browsers]:
    """The members' browser, which knows the authority."""
    home = tmp_path_factory.mktemp("home")
    trust(home, setting.ca)
    started = Browsers(playwright, setting, home)
    yield started
    started.browser.close()


@pytest.fixture
def stranger(playwright: Playwright, setting: Setting, tmp_path: Path) -> Iterator[Page]:
    """A browser that does not know the authority."""
    started = Browsers(playwright, setting, tmp_path)
    yield started.browser.new_page()
    started.browser.close()
