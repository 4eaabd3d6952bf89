"""The shipper: what one request holds, and that nothing is lost whoever is killed, away or refusing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import journal_shipper as shipper
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.logs_service import DAY, LogsService, Refused, check
from tests.waiting import until

PROGRAM = Path(shipper.__file__)
BOOT = "b" * 32
# Follows a file of entries as journalctl follows the journal.
JOURNALCTL = """#!{python}
import json, os, sys, time
after = next((w.split("=", 1)[1] for w in sys.argv if w.startswith("--after-cursor=")), "")
passed, number = not after, 0
while True:
    lines = open(os.environ["TEST_JOURNAL"], "rb").read().split(b"\\n")
    for line in lines[number:-1]:
        number += 1
        if passed:
            sys.stdout.buffer.write(line + b"\\n")
            sys.stdout.buffer.flush()
        elif json.loads(line)["__CURSOR"] == after:
            passed = True
    time.sleep(0.05)
"""


def entry(number: int, message: Any = None, when: float | None = None, **more: Any) -> dict[str, Any]:
    moment = int((time.time() if when is None else when) * 1e6)
    return {
        "__CURSOR": f"s={'a' * 32};i={number:x};b={BOOT};m=1;t=1;x={number:x}",
        "__REALTIME_TIMESTAMP": str(moment),
        "MESSAGE": f"entry {number}" if message is None else message,
        "SYSLOG_IDENTIFIER": "sshd",
        "_PID": "7",
        **more,
    }


def batches(events: list[shipper.Event]) -> list[shipper.Batch]:
    found = [shipper.Batch()]
    for one in events:
        if not found[-1].takes(one):
            found.append(shipper.Batch())
        found[-1].add(one)
    return found


# --- pure


def test_an_event_is_json_that_queries_find_parts_of() -> None:
    one = shipper.event(entry(1, "Accepted publickey", _UID="0", _EXE="/usr/sbin/sshd"))
    shown = json.loads(one.message)
    assert {**shown, "id": ""} == {
        "message": "Accepted publickey", "identifier": "sshd", "pid": "7", "uid": "0", "exe": "/usr/sbin/sshd",
        "id": "",
    }  # fmt: skip
    assert json.loads(shipper.event(entry(1)).message)["id"] == shown["id"], "the same entry, the same id"
    assert json.loads(shipper.event(entry(2)).message)["id"] != shown["id"]


@pytest.mark.parametrize(
    "message", ["x" * 3_000_000, "\x00" * 3_000_000, "é" * 2_000_000, [1, 255] * 900_000, "", None]
)
def test_whatever_is_logged_makes_an_event_that_aws_takes(message: Any) -> None:
    one = shipper.event(entry(1, "", _EXE="y" * 500_000) | {"MESSAGE": message})
    check(shipper.request([one]))
    assert json.loads(one.message)["id"]


stamps = st.integers(0, 3 * DAY)
sizes = st.sampled_from([1, 10, 1000, 100_000, 262_118])


@given(st.lists(st.tuples(stamps, sizes), max_size=60))
def test_every_request_is_one_that_aws_takes_and_none_is_missing(drawn: list[tuple[int, int]]) -> None:
    events = [shipper.Event(when, "m" * size, f"c{n}") for n, (when, size) in enumerate(drawn)]
    made = [batch for batch in batches(events) if batch.events]
    for batch in made:
        check(shipper.request(batch.events))
    assert [one for batch in made for one in batch.events] == events
    assert [batch.cursor for batch in made] == [batch.events[-1].cursor for batch in made]


def test_no_request_has_more_than_ten_thousand_events() -> None:
    made = batches([shipper.Event(1, "m", "c")] * 25_000)
    assert [len(batch.events) for batch in made] == [10_000, 10_000, 5_000]


def test_pauses_grow_to_a_minute_and_stay() -> None:
    found = [pause for pause, _ in zip(shipper.pauses(), range(12), strict=False)]
    assert found[0] <= 1
    assert 40 < found[-1] <= 60
    assert max(found) <= 60


def test_a_position_that_is_none_is_not_given_to_journalctl(tmp_path: Path) -> None:
    file = tmp_path / "cursor"
    assert shipper.position(file) == ""
    good = entry(1)["__CURSOR"]
    file.write_text(good + "\n")
    assert shipper.position(file) == good
    for bad in ("", "x", good[:20], "--help"):
        file.write_text(bad)
        assert shipper.position(file) == ""


# --- the program itself, with real processes


class Site:
    """The program, a journal, the service."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.service = folder, LogsService()
        self.journal = folder / "journal"
        self.journal.touch()
        self.process: subprocess.Popen[str] | None = None
        self.number = 0
        tool = folder / "bin/journalctl"
        tool.parent.mkdir()
        tool.write_text(JOURNALCTL.format(python=sys.executable))
        tool.chmod(0o755)
        for name in ("state", "run"):
            (folder / name).mkdir()
        config = {
            "group": "/test", "stream": "i-1", "region": "eu-west-1", "seconds": 0.2,
            "identifiers": ["sshd"], "units": [],
        }  # fmt: skip
        (folder / "config.json").write_text(json.dumps(config))
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind(str(folder / "notify"))
        self.service.start()

    def run(self) -> None:
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "TEST_JOURNAL": str(self.journal),
            "STATE_DIRECTORY": str(self.folder / "state"),
            "RUNTIME_DIRECTORY": str(self.folder / "run"),
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            "AWS_ENDPOINT_URL": self.service.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "NO_PROXY": "*",
        }
        command = [sys.executable, str(PROGRAM), str(self.folder / "config.json")]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log)

    def log(self, *entries: dict[str, Any]) -> None:
        with self.journal.open("a") as out:
            for one in entries:
                out.write(json.dumps(one) + "\n")

    def more(self, count: int, **options: Any) -> list[str]:
        """Log so many entries; return what they say."""
        made = []
        for _ in range(count):
            self.number += 1
            made.append(entry(self.number, **options))
        self.log(*made)
        return [one["MESSAGE"] for one in made]

    def sent(self) -> list[str]:
        return self.service.messages("i-1")

    def status(self) -> dict[str, Any]:
        file = self.folder / "run/status.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def position(self) -> str:
        return shipper.position(self.folder / "state/cursor")

    def settled(self) -> None:
        until(lambda: self.position() == entry(self.number)["__CURSOR"], 20)

    def said(self) -> str:
        return (self.folder / "log").read_text()

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(10)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    if made.process and made.process.poll() is None:
        made.process.kill()
        made.process.wait()
    made.service.stop()
    made.notified.close()


def test_what_is_logged_arrives_in_its_order_and_systemd_is_told(site: Site) -> None:
    before = site.more(3)
    site.run()
    site.settled()
    after = site.more(2)
    site.settled()
    assert site.sent() == before + after
    assert site.service.requests[:2] == ["PutLogEvents", "CreateLogStream"], "the stream is made when it is missing"
    assert site.status()["state"] == "shipping"
    assert site.status()["sent"] == 5
    site.notified.setblocking(False)
    told = b""
    try:
        while True:
            told += site.notified.recv(4096) + b"\n"
    except BlockingIOError:
        pass
    assert b"READY=1" in told
    assert b"WATCHDOG=1" in told
    assert site.end() == 0


def test_a_start_goes_on_where_the_last_one_ended(site: Site) -> None:
    first = site.more(3)
    site.run()
    site.settled()
    site.end()
    second = site.more(3)
    site.run()
    site.settled()
    assert site.sent() == first + second, "none twice, none missing"


def test_killed_after_aws_accepted_and_before_it_was_written_down(site: Site) -> None:
    """Sent once more under the same ids, and nothing is left out."""
    site.service.after = lambda: site.process and site.process.kill()
    first = site.more(3)
    site.run()
    assert site.process
    assert site.process.wait(20) == -signal.SIGKILL
    assert site.sent() == first, "AWS has them"
    assert site.position() == "", "and the host does not know"
    site.service.after = None
    second = site.more(2)
    site.run()
    site.settled()
    assert site.sent() == first + first + second
    ids = [json.loads(one["message"])["id"] for one in site.service.streams["i-1"]]
    assert len(set(ids)) == 5, "a query can tell which are the same"


def test_throttled_and_failing_it_tries_again(site: Site) -> None:
    site.service.faults = [
        Refused("ThrottlingException", "Rate exceeded"),
        Refused("ServiceUnavailableException", "away", 503),
    ]
    wanted = site.more(3)
    site.run()
    site.settled()
    assert site.sent() == wanted
    assert "Rate exceeded" in site.said()
    assert "AWS accepts again" in site.said()


def test_aws_is_away_and_comes_back(site: Site) -> None:
    first = site.more(2)
    site.run()
    site.settled()
    site.service.stop()
    second = site.more(200)
    until(lambda: site.status().get("state") == "waiting", 20)
    assert "does not accept" in site.status()["error"]
    third = site.more(200)
    site.service.start()
    site.settled()
    assert site.sent() == first + second + third
    assert (site.status()["state"], site.status()["error"]) == ("shipping", "")


def test_ended_while_aws_is_away_it_loses_nothing(site: Site) -> None:
    site.service.stop()
    wanted = site.more(5)
    site.run()
    until(lambda: site.status().get("state") == "waiting", 20)
    began = time.monotonic()
    assert site.end() == 0
    assert time.monotonic() - began < 5
    site.service.start()
    site.run()
    site.settled()
    assert site.sent() == wanted


def test_one_that_aws_never_takes_does_not_hold_up_the_others(site: Site) -> None:
    site.service.malformed = "poison"
    first = site.more(5)
    site.more(1, message="poison")
    last = site.more(5)
    site.run()
    site.settled()
    assert site.sent() == first + last
    assert site.status()["dropped"] == 1
    assert "malformed" in site.said()


def test_what_is_too_old_for_aws_is_told(site: Site) -> None:
    site.more(1, when=time.time() - 20 * 24 * 3600)
    wanted = site.more(2)
    site.run()
    site.settled()
    assert site.sent() == wanted
    assert "1 are too old" in site.said()
    assert site.status()["dropped"] == 1


def test_without_its_group_it_waits_and_says_so(site: Site) -> None:
    site.service.group = "/another"
    wanted = site.more(1)
    site.run()
    until(lambda: "log group does not exist" in site.status().get("error", ""), 20)
    site.service.group = "/test"
    site.settled()
    assert site.sent() == wanted


def test_a_journalctl_that_ends_ends_it_too(site: Site) -> None:
    """So that systemd starts it anew."""
    (site.folder / "bin/journalctl").write_text("#!/bin/sh\nexit 3\n")
    site.run()
    assert site.process
    assert site.process.wait(20) == 1
    assert "journalctl ended with 3" in site.said()
