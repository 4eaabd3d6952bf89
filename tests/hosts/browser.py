"""A member's browser on the company's network: Chromium, which finds the plain hosts' hubs by their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from testinfra.host import Host

from lab import landing_zone
from tests.browser.conftest import CHROMIUM, FLAGS, trust
from tests.hosts import LAB, plain

HUBS = {"plain-debian12": "10.99.0.12", "plain-debian13": "10.99.0.13"}
SCREENSHOTS = LAB.checkout / "reports/screenshots"


def hub_of(host: Host) -> str:
    """Address of the hub of a plain host, by the name that its certificate has."""
    names = {LAB.namespace(identifier): name for name, identifier in plain.instances().items()}
    return f"https://{names[host.backend.name]}.molecule.example.com"


def shot(page: Page, name: str) -> None:
    """Keep what the screen shows."""
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium on the company's network, which trusts the company's authority."""
    home = tmp_path_factory.mktemp("home")
    trust(home, landing_zone.ca_file(LAB))
    program = home / "chromium"
    program.write_text(f'#!/bin/sh\nexec ip netns exec {LAB.namespace()} {CHROMIUM} "$@"\n')
    program.chmod(0o755)
    rules = [f"MAP {name}.molecule.example.com {address}" for name, address in HUBS.items()]
    rules.append("MAP company.example 198.51.100.11")
    with sync_playwright() as started:
        found = started.chromium.launch(
            executable_path=program,
            env={"HOME": str(home), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            args=[*FLAGS, "--no-sandbox", f"--host-resolver-rules={','.join(rules)}"],
        )
        yield found
        found.close()


@pytest.fixture
def pages(browser: Browser) -> Iterator[Callable[[], Page]]:
    """Makes pages, each without anybody's cookies; several people at once."""
    contexts = []

    def make() -> Page:
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 800}))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        return page

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def page(pages: Callable[[], Page]) -> Page:
    """A browser without anybody's cookies."""
    return pages()
