"""The module for real: py-rattler, a small channel on loopback, every state and check mode, and faults."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.module_utils import _conda_converge, _conda_engine
from ansible_collections.atelier.datalab.plugins.modules import conda_env

from lab.channel.package import Entry, Package, write_repodata

ROOT = Path(__file__).resolve().parents[4]
# Not imported: the library may crash an interpreter at its end, which is why the module never imports it either.
ENGINE = Path(importlib.util.find_spec("rattler").origin).parents[1]

Environments = list[dict[str, Any]]


class Channel:
    """A channel served on loopback; ``on_package`` sees each request for a package first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: list[Any] = []
        self.asked: list[str] = []
        self.on_package: Callable[[], None] = lambda: None
        channel = self

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                channel.asked.append(self.path)
                if self.path.endswith(".conda"):
                    channel.on_package()
                super().do_GET()

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def add(self, name: str, version: str, *depends: str, entries: list[Entry] | None = None) -> None:
        """Publish a package with one text file, or with ``entries``."""
        package = Package(
            name, version, "test_0", "noarch", depends=list(depends), noarch="generic",
            entries=entries or [Entry(f"share/{name}.txt", f"{name} {version}\n".encode())],
        )  # fmt: skip
        self.records.append(package.write(self.folder))
        write_repodata(self.folder, self.records)
        # HTTP tells the time of a change in whole seconds: two changes within one would look like none.
        stamp = time.time() + 2 * len(self.records)
        for index in self.folder.glob("*/repodata.json*"):
            os.utime(index, (stamp, stamp))

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Host:
    """A root folder and the module run on it."""

    def __init__(self, root: Path, channel: Channel, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.channel, self._capsys = root, channel, capsys

    def options(self, environments: Environments, **options: Any) -> dict[str, Any]:
        mirrors = {"conda-forge": [self.channel.url]}
        return {
            "root": str(self.root), "engine": str(ENGINE), "mirrors": mirrors, "environments": environments,
            "_ansible_remote_tmp": str(self.root.parent), **options,
        }  # fmt: skip

    def run(self, *environments: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
        """Run the module in this process; return its result."""
        arguments = self.options(list(environments), **options) | {"_ansible_check_mode": check}
        self._capsys.readouterr()
        with patch_module_args(arguments), pytest.raises(SystemExit):
            conda_env.main()
        return json.loads(self._capsys.readouterr().out)

    def start(self, *environments: dict[str, Any]) -> subprocess.Popen[str]:
        """Start the module in a process of its own, which a test may kill."""
        program = (
            "from ansible.plugins.loader import init_plugin_loader as i\n"
            f"i([{str(ROOT / 'collections')!r}])\n"
            "from ansible.module_utils.testing import patch_module_args\n"
            "from ansible_collections.atelier.datalab.plugins.modules import conda_env\n"
            f"with patch_module_args({self.options(list(environments))!r}): conda_env.main()\n"
        )
        return subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def prefix(self, name: str) -> Path:
        return self.root / "envs" / name / "current"

    def read(self, name: str, package: str) -> str:
        return (self.prefix(name) / f"share/{package}.txt").read_text().strip()

    def generations(self, name: str) -> set[str]:
        return {p.name for p in (self.root / "envs" / name / "generations").iterdir()}

    def snapshot(self) -> dict[str, Any]:
        """Everything below the root: kinds, times and where links point."""
        if not self.root.exists():
            return {}
        return {
            str(p.relative_to(self.root)): (p.lstat().st_mtime_ns, p.readlink() if p.is_symlink() else None)
            for p in self.root.rglob("*")
        }


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Channel]:
    channel = Channel(tmp_path / "channel")
    channel.add("base", "1.0")
    channel.add("tool", "1.0", "base >=1")
    channel.add("extra", "1.0")
    yield channel
    channel.stop()


@pytest.fixture
def host(tmp_path: Path, channel: Channel, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(tmp_path / "conda", channel, capsys)


TOOL = {"name": "lab", "packages": ["tool"]}
BOTH = {"name": "lab", "packages": ["tool", "extra"]}
GONE = {"name": "lab", "state": "absent"}


def shown(result: dict[str, Any]) -> str:
    return "".join(d["prepared"] for d in result["diff"])


class TestMatrix:
    def step(self, host: Host, wanted: dict[str, Any], changed: bool) -> dict[str, Any]:
        """Check, run and run again; check mode must foretell the run and write nothing."""
        before = host.snapshot()
        foretold = host.run(wanted, check=True)
        assert host.snapshot() == before, "check mode wrote"
        real = host.run(wanted)
        assert "msg" not in real, real["msg"]
        assert foretold["changed"] is real["changed"] is changed
        assert foretold["diff"] == real["diff"]
        assert foretold["environments"][0]["generation"] == real["environments"][0]["generation"]
        after = host.snapshot()
        for check in (True, False):
            assert host.run(wanted, check=check)["changed"] is False
        assert host.snapshot() == after, "a run without changes wrote"
        return real

    def test_create_modify_remove_restore(self, host: Host) -> None:
        created = self.step(host, TOOL, changed=True)
        assert created["environments"][0]["previous"] is None
        assert host.read("lab", "tool") == "tool 1.0"
        modified = self.step(host, BOTH, changed=True)
        assert modified["environments"][0]["previous"] == created["environments"][0]["generation"]
        assert "+ extra 1.0" in shown(modified)
        assert "base" not in shown(modified)
        removed = self.step(host, GONE, changed=True)
        assert removed["environments"][0]["generation"] is None
        assert not host.prefix("lab").exists()
        assert len(host.generations("lab")) == 2, "removal archives, it does not delete"
        host.channel.stop()  # putting back needs no channel
        restored = self.step(host, BOTH, changed=True)
        assert restored["environments"][0]["generation"] == modified["environments"][0]["generation"]
        assert host.read("lab", "extra") == "extra 1.0"

    def test_absent_from_the_beginning(self, host: Host) -> None:
        assert host.run(GONE)["changed"] is False
        assert not host.root.exists()

    def test_several_environments_in_one_call(self, host: Host) -> None:
        result = host.run(TOOL, {"name": "other", "packages": ["extra"]})
        assert [e["name"] for e in result["environments"]] == ["lab", "other"]
        assert host.read("other", "extra") == "extra 1.0"
        again = host.run(TOOL, {"name": "other", "packages": ["extra", "base"]})
        assert [e["changed"] for e in again["environments"]] == [False, True]


@pytest.mark.slow
class TestVersions:
    def test_a_new_release_changes_nothing_until_refresh(self, host: Host) -> None:
        host.run(TOOL)
        host.channel.add("base", "2.0")
        assert host.run(TOOL)["changed"] is False
        foretold = host.run(TOOL, check=True, refresh=True)
        assert "~ base 1.0 test_0 -> 2.0 test_0" in shown(foretold)
        assert host.read("lab", "base") == "base 1.0"
        assert host.run(TOOL, refresh=True)["changed"] is True
        assert host.read("lab", "base") == "base 2.0"
        assert host.run(TOOL, refresh=True)["changed"] is False

    def test_a_changed_spec_keeps_what_it_can(self, host: Host) -> None:
        host.run(TOOL)
        host.channel.add("base", "2.0")
        host.run(BOTH)
        assert host.read("lab", "base") == "base 1.0"

    def test_locked_returns_the_lock_and_builds_nothing(self, host: Host) -> None:
        locked = host.run({**TOOL, "state": "locked"})
        assert locked["changed"] is False
        assert not (host.root / "envs").exists()
        lock = locked["environments"][0]["lock"]
        assert "https://conda.anaconda.org/conda-forge/noarch/base-1.0-test_0.conda" in lock, "the mirror leaked"
        host.channel.add("base", "2.0")
        host.run({"name": "lab", "lock": lock})
        assert host.read("lab", "base") == "base 1.0"

    def test_back_to_an_earlier_spec_reuses_its_generation(self, host: Host) -> None:
        first = host.run(TOOL)["environments"][0]["generation"]
        host.run(BOTH)
        assert host.run(TOOL)["environments"][0]["generation"] == first
        assert len(host.generations("lab")) == 2


@pytest.mark.slow
class TestLocks:
    """Locks beside the inventory: written by V(locked), and what a build goes by."""

    @pytest.fixture
    def locks(self, tmp_path: Path) -> Path:
        return tmp_path / "locks"

    def lock(self, host: Host, locks: Path, wanted: dict[str, Any], **options: Any) -> dict[str, Any]:
        result = host.run({**wanted, "state": "locked"}, locks=str(locks), **options)
        assert "msg" not in result, result["msg"]
        return result

    def test_written_once_then_left_alone_until_refresh(self, host: Host, locks: Path) -> None:
        foretold = self.lock(host, locks, TOOL, check=True)
        assert foretold["changed"] is True
        assert not locks.exists()
        assert self.lock(host, locks, TOOL)["changed"] is True
        file = locks / "lab.lock"
        written = file.read_text()
        assert "https://conda.anaconda.org/conda-forge/noarch/base-1.0-test_0.conda" in written
        assert "sha256" in written
        assert host.channel.url not in written
        host.channel.add("base", "2.0")
        host.channel.asked.clear()
        assert self.lock(host, locks, TOOL)["changed"] is False
        assert host.channel.asked == [], "an unchanged spec was solved again"
        assert file.read_text() == written
        refreshed = self.lock(host, locks, TOOL, refresh=True)
        assert "~ base 1.0 test_0 -> 2.0 test_0" in shown(refreshed)
        assert self.lock(host, locks, TOOL, refresh=True)["changed"] is False

    def test_a_changed_spec_keeps_the_versions_it_can(self, host: Host, locks: Path) -> None:
        self.lock(host, locks, TOOL)
        host.channel.add("base", "2.0")
        changed = self.lock(host, locks, BOTH)
        assert "+ extra 1.0 test_0" in shown(changed)
        assert "base" not in shown(changed)

    def test_what_the_controller_has_does_not_count(self, host: Host, locks: Path) -> None:
        host.channel.add("modern", "1.0", "__glibc >=2.30")
        spec = {"name": "lab", "packages": ["modern"], "state": "locked"}
        refused = host.run(spec, locks=str(locks), virtual_packages={"__glibc": "2.28"})
        assert "__glibc" in refused["msg"]
        assert host.run(spec, locks=str(locks), virtual_packages={"__glibc": "2.34"})["changed"] is True

    def test_a_build_from_locks_never_solves(self, host: Host, locks: Path) -> None:
        self.lock(host, locks, TOOL)
        text = (locks / "lab.lock").read_text()
        host.channel.add("base", "2.0")
        assert host.run({**TOOL, "lock": text}, solve=False)["changed"] is True
        assert host.read("lab", "base") == "base 1.0"
        for wanted in (TOOL, {**BOTH, "lock": text}):
            before = host.snapshot()
            refused = host.run(wanted, {"name": "second", "packages": ["base"]}, solve=False)
            assert "lab: " in refused["msg"]
            assert "second: there is no lock" in refused["msg"]
            assert host.snapshot() == before
        assert "lab: the spec is newer than its lock (packages: +extra)" in refused["msg"]

    def test_a_lock_is_the_same_from_a_folder(self, host: Host, locks: Path) -> None:
        self.lock(host, locks, TOOL)
        text = (locks / "lab.lock").read_text()
        host.channel.stop()
        folder = {"conda-forge": [f"file://{host.channel.folder}/"]}
        self.lock(host, locks, BOTH, mirrors=folder)
        assert "+ " not in shown(self.lock(host, locks, TOOL, mirrors=folder))
        assert (locks / "lab.lock").read_text() == text
        host.run({**TOOL, "lock": (locks / "lab.lock").read_text()}, mirrors=folder)
        assert host.read("lab", "tool") == "tool 1.0"
        nowhere = host.run(BOTH, mirrors={"conda-forge": ["file:///nowhere/"]})
        assert "there is no channel" in nowhere["msg"]


@pytest.mark.slow
class TestGenerations:
    def test_old_ones_go_and_the_live_one_stays(self, host: Host) -> None:
        for number in range(1, 5):
            host.channel.add("base", f"{number}.1")
            last = host.run({"name": "lab", "packages": [f"base={number}.1"]}, keep=2)
        assert len(host.generations("lab")) == 2
        assert last["environments"][0]["generation"] in host.generations("lab")
        assert host.read("lab", "base") == "base 4.1"

    def test_one_in_use_is_never_removed(self, host: Host) -> None:
        sleep = Path(shutil.which("sleep")).read_bytes()
        host.channel.add("holder", "1.0", entries=[Entry("bin/holder", sleep, executable=True)])
        used = host.run({"name": "lab", "packages": ["holder"]})["environments"][0]["generation"]
        process = subprocess.Popen([host.prefix("lab") / "bin/holder", "60"])
        try:
            host.run(TOOL, keep=1)
            assert used in host.generations("lab")
        finally:
            process.kill()
            process.wait()
        assert used in host.run(BOTH, keep=1)["environments"][0]["removed"]
        assert len(host.generations("lab")) == 1

    def test_a_damaged_one_is_built_again(self, host: Host) -> None:
        generation = host.run(TOOL)["environments"][0]["generation"]
        (host.prefix("lab") / "share/base.txt").unlink()
        foretold = host.run(TOOL, check=True)
        assert foretold["changed"] is True
        assert "share/base.txt is damaged" in shown(foretold)
        assert not (host.prefix("lab") / "share/base.txt").exists()
        assert host.run(TOOL)["environments"][0]["generation"] == generation
        assert host.read("lab", "base") == "base 1.0"
        assert host.run(TOOL)["changed"] is False

    def test_a_repair_needs_no_channel(self, host: Host) -> None:
        host.run(TOOL)
        (host.prefix("lab") / "share/base.txt").unlink()
        host.channel.stop()
        assert host.run(TOOL)["changed"] is True
        assert host.read("lab", "base") == "base 1.0"

    def test_everybody_can_read_and_run(self, host: Host) -> None:
        host.channel.add("program", "1.0", entries=[Entry("bin/program", b"#!/bin/sh\n", executable=True)])
        old = os.umask(0o077)
        try:
            host.run({"name": "lab", "packages": ["program", "base"]})
        finally:
            os.umask(old)
        for path in [host.root / "envs", *(host.root / "envs").rglob("*")]:
            if not path.is_symlink():
                wanted = 0o555 if path.is_dir() or path.name == "program" else 0o444
                assert path.stat().st_mode & wanted == wanted, path
                assert not path.stat().st_mode & 0o022, path

    def test_the_prefix_in_files_is_the_final_one(self, host: Host) -> None:
        from lab.channel.package import PLACEHOLDER

        host.channel.add("script", "1.0", entries=[Entry("share/script.txt", f"{PLACEHOLDER}/bin\n".encode())])
        host.run({"name": "lab", "packages": ["script"]})
        assert host.read("lab", "script") == f"{host.prefix('lab').resolve()}/bin"


BACK = {"name": "lab", "state": "rolled_back", "reason": "extra breaks the report"}
VERIFY = {"name": "lab", "state": "verified"}


@pytest.mark.slow
class TestRollback:
    @pytest.fixture
    def two(self, host: Host) -> tuple[str, str]:
        return tuple(host.run(spec)["environments"][0]["generation"] for spec in (TOOL, BOTH))

    def test_goes_back_without_engine_and_channel(self, host: Host, two: tuple[str, str]) -> None:
        host.channel.stop()
        foretold = host.run(BACK, check=True, engine="/nowhere")
        assert foretold["changed"] is True
        assert host.prefix("lab").resolve().name == two[1]
        real = host.run(BACK, engine="/nowhere")
        assert real["diff"] == foretold["diff"]
        assert "- extra 1.0 test_0" in shown(real)
        assert real["environments"][0]["generation"] == two[0] == host.prefix("lab").resolve().name

    def test_stays_until_the_data_says_something_new(self, host: Host, two: tuple[str, str]) -> None:
        host.run(BACK)
        kept = host.run(BOTH)
        assert kept["changed"] is False
        assert kept["environments"][0]["generation"] == two[0]
        assert kept["environments"][0]["held"]["reason"] == "extra breaks the report"
        assert kept["environments"][0]["held"]["from"] == two[1]
        (host.prefix("lab") / "share/base.txt").unlink()
        assert host.run(BOTH)["environments"][0]["generation"] == two[0], "a repair is no reason to go forward"
        host.run({"name": "lab", "packages": ["extra"]})
        assert host.prefix("lab").resolve().name not in two
        assert host.run(BOTH)["environments"][0]["generation"] == two[1], "the rollback is over"

    def test_forward_again_by_name(self, host: Host, two: tuple[str, str]) -> None:
        host.run(BACK)
        host.run({**BACK, "generation": two[1]})
        again = host.run(BOTH)
        assert again["changed"] is False
        assert again["environments"][0]["held"] is None

    def test_nothing_to_go_back_to(self, host: Host) -> None:
        first = host.run(TOOL)["environments"][0]["generation"]
        assert "no earlier generation" in host.run(BACK)["msg"]
        assert "no generation nonsense" in host.run({**BACK, "generation": "nonsense"})["msg"]
        assert "nothing of that name" in host.run({**BACK, "name": "other"})["msg"]
        assert host.prefix("lab").resolve().name == first


@pytest.mark.slow
class TestVerified:
    def test_what_is_whole_is_left_alone(self, host: Host) -> None:
        host.run(TOOL)
        before = host.snapshot()
        assert host.run(VERIFY)["changed"] is False
        assert host.snapshot() == before

    @pytest.mark.parametrize("how", ["altered", "removed"])
    def test_finds_and_repairs(self, host: Host, how: str) -> None:
        generation = host.run(TOOL)["environments"][0]["generation"]
        file = host.prefix("lab") / "share/base.txt"
        if how == "removed":
            file.unlink()
        else:
            file.write_text("base 9.9\n")  # the same size
            assert host.run(TOOL)["changed"] is False
        foretold = host.run(VERIFY, check=True)
        assert foretold["environments"][0]["damaged"] == ["share/base.txt"]
        assert foretold["changed"] is True
        real = host.run(VERIFY)
        assert real.get("msg", "") == ""
        assert real["environments"][0]["generation"] == generation
        assert host.read("lab", "base") == "base 1.0"
        assert host.run(VERIFY)["changed"] is host.run(TOOL)["changed"] is False


@pytest.mark.slow
class TestReport:
    def test_report_and_command_tell_what_is_there(self, host: Host, tmp_path: Path) -> None:
        command = tmp_path / "atelier-conda"
        first, second = (host.run(spec, command=str(command))["environments"][0]["generation"] for spec in (TOOL, BOTH))
        report = json.loads((host.root / "report.json").read_text())["environments"]["lab"]
        assert report["generation"] == second
        assert report["previous"] == first
        assert report["changes"] == ["+ extra 1.0 test_0"]
        assert report["packages"] == {"base": "1.0 test_0", "extra": "1.0 test_0", "tool": "1.0 test_0"}

        def said(*arguments: str) -> str:
            return subprocess.run(
                [sys.executable, command, *arguments], capture_output=True, text=True, check=True
            ).stdout

        assert second in said("list")
        assert "+ extra 1.0 test_0" in said("diff", "lab")
        assert "- extra 1.0 test_0" in said("diff", "lab", second, first)
        assert f"generation {first}" in said(
            "which", str(host.root / "envs/lab/generations" / first / "share/base.txt")
        )

    def test_packages_nobody_holds_leave_the_cache(self, host: Host) -> None:
        host.run(BOTH)
        host.run({"name": "lab", "packages": ["base"]}, keep=1)
        assert {p.name for p in (host.root / "pkgs").iterdir() if p.is_dir() and "-" in p.name} == {"base-1.0-test_0"}


@pytest.mark.slow
class TestFaults:
    """Whatever happens, the live environment stays and one message says what it was."""

    def fails(self, host: Host, *environments: dict[str, Any], **options: Any) -> str:
        before = host.read("lab", "tool")
        result = host.run(*environments, **options)
        assert result["failed"] is True
        assert host.read("lab", "tool") == before
        assert not any(p.name.startswith(".building") for p in host.root.glob("envs/*/generations/.*"))
        return result["msg"]

    @pytest.fixture(autouse=True)
    def _live(self, host: Host) -> None:
        host.run(TOOL)

    def test_dead_mirror(self, host: Host) -> None:
        host.channel.stop()
        message = self.fails(host, BOTH, {"name": "second", "packages": ["base"]})
        assert len(message.splitlines()) == 1
        assert "environment lab and second: the channel does not answer" in message
        assert host.run(TOOL)["changed"] is False, "what needs no channel must not ask it"

    def test_silent_mirror(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        """A closed flow: the address takes a connection, or swallows it, and nothing ever comes back."""
        source = inspect.getsource(_conda_engine).replace("ANSWER_SECONDS = 10", "ANSWER_SECONDS = 1")
        monkeypatch.setattr(_conda_converge.inspect, "getsource", lambda _: source)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            mirrors = {"conda-forge": [f"http://127.0.0.1:{silent.getsockname()[1]}/"]}
            message = self.fails(host, BOTH, mirrors=mirrors)
        assert "the channel does not answer" in message
        assert "timed out" in message

    @pytest.mark.parametrize("how", ["goes silent", "refuses"])
    def test_mirror_dies_in_the_middle(self, host: Host, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
        """It answers, gives one package and then no more."""
        source = inspect.getsource(_conda_engine).replace("STALL_SECONDS = 60", "STALL_SECONDS = 2")
        monkeypatch.setattr(_conda_converge.inspect, "getsource", lambda _: source)
        host.channel.add("second", "1.0", "extra")
        served, released = [], threading.Event()

        def die() -> None:
            served.append(how)
            if len(served) > 1:
                if how == "refuses":
                    raise ConnectionAbortedError
                released.wait(60)

        host.channel.on_package = die
        message = self.fails(host, {"name": "lab", "packages": ["tool", "second"]})
        released.set()
        assert len(served) > 1
        assert "environment lab: the channel does not answer" in message
        host.channel.on_package = lambda: None
        monkeypatch.undo()
        assert host.run({"name": "lab", "packages": ["tool", "second"]})["changed"] is True
        assert host.read("lab", "second") == "second 1.0"

    def test_second_mirror_serves_when_the_first_is_dead(self, host: Host) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            dead = f"http://127.0.0.1:{server.getsockname()[1]}/"
        result = host.run(BOTH, mirrors={"conda-forge": [dead, host.channel.url]})
        assert result.get("msg", "") == ""
        assert host.read("lab", "extra") == "extra 1.0"

    def test_unsolvable(self, host: Host) -> None:
        message = self.fails(host, {"name": "lab", "packages": ["tool", "base>=9"]})
        assert "do not go together" in message
        assert "base" in message

    def test_nonsense_spec(self, host: Host) -> None:
        assert "environment lab" in self.fails(host, {"name": "lab", "packages": ["not a [spec"]})

    @pytest.mark.parametrize("how", ["truncated", "replaced"])
    def test_corrupt_package(self, host: Host, how: str) -> None:
        path = next(host.channel.folder.glob("noarch/extra-*.conda"))
        other = next(host.channel.folder.glob("noarch/base-*.conda"))
        path.write_bytes(path.read_bytes()[:200] if how == "truncated" else other.read_bytes())
        message = self.fails(host, BOTH)
        assert "extra" in message
        assert "a package is corrupt" in message

    def test_what_fails_holds_up_none_of_the_others(self, host: Host) -> None:
        path = next(host.channel.folder.glob("noarch/extra-*.conda"))
        path.write_bytes(path.read_bytes()[:200])
        others = [{"name": name, "packages": ["extra"]} for name in ("first", "second")]
        message = self.fails(host, others[0], {"name": "good", "packages": ["base"]}, others[1])
        assert [line.partition(":")[0] for line in message.splitlines()] == ["environment first", "environment second"]
        assert host.read("good", "base") == "base 1.0"
        assert not host.prefix("first").exists()

    def test_package_missing_from_the_mirror(self, host: Host) -> None:
        next(host.channel.folder.glob("noarch/extra-*.conda")).unlink()
        assert "the channel does not answer" in self.fails(host, BOTH)

    def test_no_engine(self, host: Host) -> None:
        assert "run role atelier.datalab.conda first" in self.fails(host, BOTH, engine="/nowhere")
        foretold = host.run(BOTH, engine="/nowhere", check=True)
        assert foretold["changed"] is True
        assert host.run(TOOL, engine="/nowhere")["changed"] is False

    def test_engine_that_crashes(self, host: Host, tmp_path: Path) -> None:
        fake = tmp_path / "fake/rattler"
        fake.mkdir(parents=True)
        (fake / "__init__.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
        assert "the engine ended with status -11" in self.fails(host, BOTH, engine=str(fake.parent))

    @pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
    def test_full_disk(self, host: Host) -> None:
        host.channel.add("large", "1.0", entries=[Entry("share/large.bin", os.urandom(6_000_000))])
        disk = host.root / "envs/lab/generations"
        kept = host.root / "kept"
        disk.rename(kept)
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk], check=True)
        try:
            shutil.copytree(kept, disk, dirs_exist_ok=True, symlinks=True)
            assert "the disk is full" in self.fails(host, {"name": "lab", "packages": ["tool", "large"]})
        finally:
            subprocess.run(["umount", disk], check=True)

    def test_killed_half_way(self, host: Host) -> None:
        asked, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            asked.set()
            go_on.wait(30)

        host.channel.on_package = hold
        process = host.start(BOTH)
        assert asked.wait(30)
        live = host.read("lab", "tool")
        os.kill(process.pid, signal.SIGKILL)  # the module alone: its child goes on, and still holds the lock
        process.wait()
        refused = host.run(BOTH)
        assert "another run is working" in refused["msg"]
        os.killpg(process.pid, signal.SIGKILL)
        go_on.set()
        assert host.read("lab", "tool") == live
        deadline = time.monotonic() + 10
        while "another run" in (result := host.run(BOTH)).get("msg", "") and time.monotonic() < deadline:
            time.sleep(0.1)
        assert result["changed"] is True
        assert host.read("lab", "extra") == "extra 1.0"
        assert not any(name.startswith(".") for name in host.generations("lab"))
