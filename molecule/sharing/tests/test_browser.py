"""What people see of sharing: one notebook in two browsers, and a server shared with the buttons of the hub's page."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from testinfra.host import Host

from tests.hosts import plain
from tests.hosts.browser import hub_of, shot
from tests.waiting import until

testinfra_hosts = plain.hosts()[1:2]
SERVER, FILE = "/user/kappa-collab", "together.ipynb"
ROOM = "/api/collaboration/room/json:notebook"
SECONDS = 5_000
NOTEBOOK = {
    "nbformat": 4, "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "kappa-base", "display_name": "kappa", "language": "python"}},
    "cells": [{"id": "one", "cell_type": "code", "source": "", "metadata": {}, "outputs": [], "execution_count": None}],
}  # fmt: skip


@pytest.fixture
def enter(pages: Callable[[], Page], hub: Any, host: Host) -> Callable[[str], Page]:
    """Somebody's browser, logged in to the hub."""

    def visit(login: str) -> Page:
        page = pages()
        page.goto(f"{hub_of(host)}/hub/login")
        page.fill("#username_input", login)
        page.fill("#password_input", hub.passwords[login])
        page.click("#login_submit")
        page.wait_for_url(re.compile(r"/hub/(home|spawn)|/user/"))
        return page

    return visit


@pytest.fixture(scope="module")
def notebook(hub: Any, people: Any, host: Host) -> Iterator[str]:
    """Address of an empty notebook in the project's folder, on the collaborative server."""
    hub.visit("pia", "1", server="kappa-collab")
    body = {"type": "notebook", "content": NOTEBOOK}
    assert people.ask("pia", "PUT", f"{SERVER}/api/contents/{FILE}", body)[0] in (200, 201)
    yield f"{hub_of(host)}{SERVER}/lab/tree/{FILE}"
    people.ask("pia", "DELETE", f"{SERVER}/api/contents/{FILE}")


def cell_of(page: Page) -> Locator:
    """Where the first cell's code is typed."""
    return page.locator(".jp-Notebook .jp-CodeCell .cm-content").first


def arrives(typing: Page, reading: Page, text: str) -> float:
    """Type in one browser; return after how many seconds it is read in the other."""
    cell_of(typing).click()
    typing.keyboard.press("Control+End")
    began = time.monotonic()
    typing.keyboard.insert_text(text)
    expect(cell_of(reading)).to_contain_text(text.strip(), timeout=SECONDS)
    return time.monotonic() - began


def test_two_at_one_notebook(enter: Callable[[str], Page], notebook: str, record_property: Any) -> None:
    """Each under the own name: what one types the other reads; name and cursor of each show at the other."""
    pia, quim = enter("pia"), enter("quim")
    opened: list[str] = []
    pia.on("websocket", lambda socket: opened.append(socket.url))
    for page in (pia, quim):
        page.goto(notebook)
        expect(cell_of(page)).to_be_visible(timeout=90_000)
        expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=60_000)
    assert any(ROOM in url for url in opened)
    seconds = [arrives(pia, quim, "seen = 'by quim'\n"), arrives(quim, pia, "seen += ' and pia'\n")]
    record_property("seconds", [round(one, 3) for one in seconds])
    for page, other in ((pia, "quim"), (quim, "pia")):
        page.locator("li[data-id='jp-collaboration-panel']").click()
        # Who does nothing is heard of every 15 s.
        expect(page.locator(".jp-CollaboratorsList")).to_contain_text(other, timeout=30_000)
    for typing, reading, other in ((pia, quim, "pia"), (quim, pia, "quim")):
        cell_of(typing).click()
        typing.keyboard.insert_text("#")
        expect(reading.locator(".jp-Notebook .jp-remote-cursor").first).to_be_attached()
        expect(reading.locator(".jp-remote-userFlag-name")).to_have_text(other)
        shot(reading, f"sharing-{'quim' if other == 'pia' else 'pia'}-sees-{other}")


def test_an_outsider_is_refused_at_the_collaborative_server(enter: Callable[[str], Page], notebook: str) -> None:
    """ruth is a member of this hub, of another project."""
    ruth = enter("ruth")
    answer = ruth.goto(notebook)
    assert answer
    assert answer.status == 403
    shot(ruth, "sharing-ruth-refused")
    expect(ruth.locator("body")).to_contain_text("403")


def test_a_personal_server_has_no_collaboration(enter: Callable[[str], Page], people: Any, host: Host) -> None:
    """A notebook is opened as a file, not as a document to which browsers connect."""
    contents = "/user/pia/api/contents/alone.ipynb"
    assert people.ask("pia", "PUT", contents, {"type": "notebook", "content": NOTEBOOK})[0] in (200, 201)
    pia = enter("pia")
    opened: list[str] = []
    pia.on("websocket", lambda socket: opened.append(socket.url))
    pia.goto(f"{hub_of(host)}/user/pia/lab/tree/alone.ipynb?reset")
    expect(cell_of(pia)).to_be_visible(timeout=90_000)
    expect(pia.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=60_000)
    shot(pia, "sharing-pia-alone")
    assert any("/api/kernels/" in url for url in opened)
    assert [url for url in opened if ROOM in url] == []
    people.ask("pia", "DELETE", contents)


@pytest.fixture
def _revoked(people: Any) -> Iterator[None]:
    """Nothing stays shared, whatever happens."""
    yield
    people.ask("pia", "PATCH", "/hub/api/shares/pia/", {"user": "quim"})


@pytest.mark.usefixtures("_revoked")
def test_share_my_server(enter: Callable[[str], Page], people: Any, host: Host) -> None:
    """With a colleague whom the page offers, who gets in by the page too, until it is stopped; never an outsider."""
    hub, server = hub_of(host), f"{hub_of(host)}/user/pia/lab"
    pia, quim, ruth = enter("pia"), enter("quim"), enter("ruth")
    pia.goto(f"{hub}/hub/home")
    assert pia.locator("#colleague option").all_inner_texts() == ["quim", "tess"]
    pia.select_option("#colleague", "quim")
    pia.click("text=Share my server")
    expect(pia.locator("text=Stop sharing with quim")).to_be_visible()
    shot(pia, "sharing-pia-shares-her-server")

    quim.goto(f"{hub}/hub/home")
    quim.click("text=Server of pia")
    quim.wait_for_url("**/hub/api/oauth2/authorize**")
    shot(quim, "sharing-quim-is-asked")
    quim.click("button:has-text('Authorize')")
    expect(quim.locator("#jp-main-dock-panel")).to_be_visible(timeout=90_000)
    assert quim.url.startswith(server)
    shot(quim, "sharing-quim-on-pias-server")

    ruth.goto(f"{hub}/hub/home")
    assert ruth.locator("text=Server of pia").count() == 0
    answer = ruth.goto(server)
    assert answer
    assert answer.status == 403
    pia.evaluate("document.querySelector('#colleague option').value = 'ruth'")
    pia.click("text=Share my server")
    expect(pia.locator("#share-refused")).not_to_be_empty()
    shot(pia, "sharing-pia-may-not-share-with-ruth")

    pia.click("text=Stop sharing with quim")
    expect(pia.locator("text=Stop sharing with quim")).to_have_count(0)
    expect(pia.locator("#colleague option")).to_have_count(2)
    until(lambda: (quim.goto(server) or pytest.fail("no answer")).status == 403)
    shot(quim, "sharing-quim-is-out-again")
    quim.goto(f"{hub}/hub/home")
    assert quim.locator("text=Server of pia").count() == 0
