"""What time does: announcements come and go in an open JupyterLab while servers that nobody uses are stopped.

On this host a server is idle after 24 s and old after 100 s; that is looked at every 5 s. The times of the tests run
side by side: first the servers are left alone, then the announcements are looked at, then who was stopped when.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from testinfra.host import Host

from lab import landing_zone
from tests.browser.conftest import Setting, Visitor
from tests.hosts import LAB, plain
from tests.hosts.platform import ROOT, play
from tests.waiting import until

testinfra_hosts = plain.hosts()[1:2]
IDLE, EVERY, AGE = 24, 5, 100
LATE = 10  # what a busy machine takes longer
LOOK = 30  # how often JupyterLab asks for an announcement
TEXT = 'The machine stops <b>soon</b> & "all" of it'


@dataclass
class Left:
    """A server that is left alone: when it started, and when its last tab was closed."""

    start: float
    end: float


@pytest.fixture(scope="module")
def left(hub, host: Host) -> dict[str, Left]:
    """Two servers are left alone: igor's kernel is at work and silent, jana's is idle."""
    found = {}
    for login, code, more in (("igor", "import time; time.sleep(600)", {"leave": 2}), ("jana", "pass", {})):
        hub.visit(login, code, **more)
        found[login] = Left(started(host, login), float(host.check_output("date +%s.%N")))
    return found


def started(host: Host, login: str) -> float:
    """When a person's server started."""
    unit = f"jupyter-{login}-singleuser.service"
    shown = host.check_output(f"systemctl show --property ActiveEnterTimestamp --value {unit}")
    return float(host.check_output(f"date -d '{shown}' +%s"))


def stopped(host: Host, left: dict[str, Left]) -> dict[str, float]:
    """Whose server the culler stopped since, and when."""
    since = f"--since @{int(left['igor'].start)}"
    lines = host.check_output(f"journalctl --unit jupyterhub {since} --output short-unix --no-pager").splitlines()
    found = (re.match(r"(\d+\.\d+) .*Culling server (\w+)", line) for line in lines)
    return {line[2]: float(line[1]) for line in found if line}


@pytest.fixture(scope="module")
def member(browser: Browser, hub, host: Host, left) -> Iterator[Visitor]:
    """hana in her JupyterLab, a tab that nobody touches from then on."""
    shots = ROOT / "reports/screenshots"
    shots.mkdir(parents=True, exist_ok=True)
    url = "https://plain-debian13.molecule.example.com"
    setting = Setting(url, "", landing_zone.ca_file(LAB), hub.passwords, "sigma", "base", list(hub.members), "", shots)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    found = Visitor(context, setting, "hana")
    found.log_in()
    found.open_lab()
    left["hana"] = Left(started(host, "hana"), math.inf)
    yield found
    context.close()


def announce(tmp_path: Path, **values: str) -> None:
    """Run the playbook as ops do; these hosts are no workstations of the inventory, so their groups are said here."""
    groups = tmp_path / "groups.yml"
    only = "{hosts: {plain-debian13: {}}}"
    groups.write_text(f"role_workstation: {only}\nstate_running: {only}\n", encoding="utf-8")
    inventories = ["-i", ROOT / "molecule/inventory/plain.aws_ec2.yml", "-i", groups]
    play("playbooks/announce.yml", *inventories, "-e", json.dumps(values))


def test_the_running_culler_has_the_values_of_the_data(hub, host: Host) -> None:
    culler = next(p for p in host.process.filter(user="root") if "jupyterhub_idle_culler" in p.args)
    values = [f"--timeout={IDLE}", f"--cull-every={EVERY}", f"--max-age={AGE}", "--concurrency=4"]
    assert culler.args.split()[-4:] == values


def test_an_announcement_reaches_pages_and_open_tabs_and_goes_at_its_end(
    member: Visitor, browser: Browser, host: Host, tmp_path: Path
) -> None:
    announce(tmp_path, message=TEXT, until="2199-01-01T00:00+00:00")
    begin = time.monotonic()
    pages = {"login": browser.new_page(), "home": member.context.new_page()}
    for name, page in pages.items():
        page.goto(f"{member.setting.url}/hub/{name}")
        expect(page.locator(".announcement")).to_have_text(TEXT)
        page.screenshot(path=member.setting.screenshots / f"sigma-announced-{name}.png")
    toast = member.page.locator(".Toastify__toast", has_text="The machine stops")
    expect(toast).to_contain_text(TEXT, timeout=1000 * (LOOK + LATE))
    assert time.monotonic() - begin <= LOOK + LATE
    member.shot("announced")
    # Another takes its place, with an end that comes at once.
    host.check_output("/opt/atelier/bin/announce --until $(date --iso-8601=seconds -d '2 seconds') short")
    time.sleep(2.5)
    for page in pages.values():
        page.reload()
        expect(page.locator("#login-main, #home-main, .container").first).to_be_visible()
        expect(page.locator(".announcement")).to_have_count(0)
        page.close()
    expect(toast).to_have_count(0, timeout=1000 * (LOOK + LATE))


def test_an_announcement_can_be_withdrawn(host: Host, tmp_path: Path) -> None:
    page, asked = (f"curl -sk https://localhost/hub/{name}" for name in ("login", "announcement"))
    host.check_output("/opt/atelier/bin/announce --until 2199-01-01T00:00+00:00 'until <i>withdrawn</i>'")
    assert "until &lt;i&gt;withdrawn&lt;/i&gt;" in host.check_output(page)
    assert json.loads(host.check_output(asked))["message"] == "until <i>withdrawn</i>"
    announce(tmp_path, withdraw="true")
    assert "withdrawn" not in host.check_output(page)
    assert json.loads(host.check_output(asked)) == {}


def test_an_idle_server_is_stopped(left, host: Host) -> None:
    until(lambda: "jana" in stopped(host, left), IDLE + EVERY + LATE)
    # `end` is taken when the visit is over, which on a busy computer is some time after its last request.
    assert IDLE - LATE <= stopped(host, left)["jana"] - left["jana"].end <= IDLE + EVERY + LATE
    assert host.run("systemctl is-active jupyter-jana-singleuser").stdout.strip() != "active"


def test_a_silent_kernel_at_work_and_an_untouched_tab_keep_their_servers_until_their_age(
    member: Visitor, left, host: Host
) -> None:
    """Both were without a request of a person for much longer than the limit."""
    until(lambda: {"igor", "hana"} <= set(stopped(host, left)), AGE + EVERY + LATE)
    ages = {login: stopped(host, left)[login] - left[login].start for login in ("igor", "hana")}
    assert all(AGE - LATE <= age <= AGE + EVERY + LATE for age in ages.values()), ages
