"""Members at work over the change of the release, one through the hub's API, one in a browser; and a clock."""

from __future__ import annotations

import json
import re
import secrets
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import expect
from testinfra.host import Host

from tests.browser import conftest as browser
from tests.hosts import LAB, visits
from tests.hosts.platform import ROOT

playwright = browser.playwright
hub = visits.hub("ines,otto", "delta-base")
NAME = "upgraded"


@pytest.fixture(scope="session")
def port() -> int:
    """Port of this computer under which a browser reaches the hub."""
    return json.loads((LAB.state / "ports.json").read_text(encoding="utf-8"))[NAME]


@pytest.fixture(scope="module")
def setting(hub: Any, port: int) -> Any:
    """What the browser is told."""
    folder = ROOT / "reports/screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{NAME}.molecule.example.com"
    return browser.Setting(
        url=f"https://{name}", resolve=f"{name}=127.0.0.1:{port}", ca=LAB.state / "ca.pem", passwords=hub.passwords,
        project="delta", environment="base", members=list(hub.members), outsider="", screenshots=folder,
    )  # fmt: skip


class Clock(threading.Thread):
    """Asks for one page several times a second and remembers when it was not there."""

    def __init__(self, url: str, token: str = "") -> None:
        super().__init__(daemon=True)
        self.request = Request(url, headers={"Authorization": f"token {token}"} if token else {})  # noqa: S310 - https
        self.tls = ssl.create_default_context(cafile=LAB.state / "ca.pem")
        self.asked, self.away, self.longest = 0, 0.0, 0.0
        self.over = threading.Event()

    def answers(self) -> bool:
        """Whether the page comes within three seconds."""
        try:
            with urlopen(self.request, timeout=3, context=self.tls) as answer:  # noqa: S310
                return answer.status == 200
        except (URLError, OSError):
            return False

    def run(self) -> None:
        """Until it is over; a gap lasts from the last answer to the next one."""
        last = time.monotonic()
        missed = False
        while not self.over.is_set():
            well, now = self.answers(), time.monotonic()
            self.asked += 1
            if well:
                gap = now - last if missed else 0.0
                self.away, self.longest = self.away + gap, max(self.longest, gap)
                last = now
            missed = not well
            time.sleep(0.2)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


@dataclass
class Work:
    """What members have under way, and how to see that it goes on."""

    host: Host
    hub: Any
    tab: Any
    port: int
    mark: str
    kernel: str
    token: str
    cookies: list[list[str]]
    files: dict[str, str]
    title: str
    since: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)

    def started(self, login: str) -> str:
        """When the unit of a member's server began, and its process."""
        unit = f"jupyter-{login}-singleuser.service"
        return self.host.check_output(f"systemctl show --property ActiveEnterTimestampMonotonic,MainPID {unit}")

    def note(self) -> None:
        """Remember which servers run."""
        self.since = {login: self.started(login) for login in self.hub.members}

    def over(self, what: str, action: Any) -> Any:
        """Do something, with an eye on the clock; what was away how long is kept under a name."""
        url = f"https://127.0.0.1:{self.port}"
        page, server = Clock(f"{url}/hub/login"), Clock(f"{url}/user/{self.hub.members[0]}/api/status", self.token)
        begun = time.monotonic()
        with page, server:
            done = action()
            taken = time.monotonic() - begun
            self.hub.wait()
            time.sleep(1)
        told = {"run": taken, "hub": page.away, "hub at once": page.longest, "server": server.away, "asked": page.asked}
        self.seconds[what] = {key: round(value, 1) for key, value in told.items()}
        report = ROOT / "reports/upgrade.json"
        report.parent.mkdir(exist_ok=True)
        report.write_text(json.dumps(self.seconds, indent=2) + "\n", encoding="utf-8")
        return done

    def goes_on(self) -> None:
        """Servers, kernel, session, token and files are the ones of before; who comes anew gets in."""
        ines, otto = self.hub.members
        assert {login: self.started(login) for login in self.hub.members} == self.since, "a server was restarted"
        seen = self.hub.visit(ines, "print(kept)", kernel=self.kernel, cookies=self.cookies)
        assert seen["login"], "the session of before ended"
        assert (seen["kernel"], seen["output"]) == (self.kernel, self.mark)
        asked = [["GET", "/hub/api/user", None], ["GET", f"/user/{ines}/api/kernels/{self.kernel}", None]]
        seen = self.hub.visit(ines, token=self.token, calls=asked)
        assert seen["login"], "the token of before ended"
        assert [code for code, _ in seen["answers"]] == [200, 200]
        assert self.hub.visit(otto)["login"]
        for path, text in self.files.items():
            assert self.host.file(path).content_string == text, path

    def tab_goes_on(self) -> None:
        """The page that was open is on its kernel again without a reload.

        Where the proxy was restarted, JupyterLab asks whether to restart a server that is not running; its user
        dismisses that. It says "Unknown" of a kernel that it is connected to until a cell has run.
        """
        page = self.tab.page
        bar = page.locator("#jp-main-statusbar")
        expect(bar).to_contain_text(re.compile(rf"{self.title} \| (Idle|Unknown)"), timeout=120_000)
        for dialog in page.locator(".jp-Dialog").all():
            assert "Server unavailable or unreachable" in dialog.inner_text()
            dialog.get_by_role("button", name="Dismiss").click()
        assert self.tab.run_cell("print(kept)").strip() == self.mark
        self.tab.connected(self.title)

    def told(self, login: str) -> bool:
        """Whether the hub's page tells a member of an older JupyterLab."""
        ((code, page),) = self.hub.visit(login, calls=[["GET", "/hub/home", None]])["answers"]
        assert code == 200
        return 'id="outdated-server"' in page


@pytest.fixture(scope="module")
def tab(playwright: Any, setting: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The browser of the second member, open until the tests end."""
    home = tmp_path_factory.mktemp("home")
    browser.trust(home, setting.ca)
    started = browser.Browsers(playwright, setting, home)
    with started.visitor(setting.members[1]) as member:
        yield member
    started.browser.close()


@pytest.fixture(scope="module")
def work(host: Host, hub: Any, tab: Any, port: int) -> Work:
    """Both at work under the previous release."""
    settings = json.loads(host.file("/etc/jupyterhub/settings.json").content_string)
    assert "authentication" not in settings, "this host is past the upgrade; lab/lab down, then begin with create"
    ines, otto = hub.members
    mark = secrets.token_hex(8)
    files = {f"/srv/data/home/{ines}/mine.txt": mark, "/srv/data/projects/delta/ours.txt": mark}
    write = "\n".join(f"open({path!r}, 'w').write(kept)" for path in files)
    calls = [["POST", f"/hub/api/users/{ines}/tokens", {}]]
    seen = hub.visit(ines, f"kept = {mark!r}\n{write}", calls=calls, keep=True)
    ((code, text),) = seen["answers"]
    assert code == 201, text
    theirs = f"/srv/data/home/{otto}/theirs.txt"
    tab.log_in()
    tab.open_lab()
    tab.new_notebook(generation=False)
    tab.run_cell(f"kept = {mark!r}")
    tab.run_cell(f"written = open({theirs!r}, 'w').write(kept)")
    files[theirs] = mark
    token = json.loads(text)["token"]
    found = Work(host, hub, tab, port, mark, seen["kernel"], token, seen["cookies"], files, "delta · base")
    found.note()
    return found
