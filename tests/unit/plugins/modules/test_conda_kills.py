"""Killed at any moment: real packages, the module as a host runs it, twenty kills of everything it started.

After each kill what is in service answers, no generation is incomplete, and one more run finishes.
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils._conda_store import Environment

from lab.channel import build
from tests.loopback import served
from tests.payload import run_payload, write_payload

pytestmark = pytest.mark.slow

ENGINE = Path(importlib.util.find_spec("rattler").origin).parents[1]
KILLS = 20
OLD, NEW = ["python=3.12", "six"], ["python=3.12", "six", "tornado", "jinja2"]
ASK = "import importlib.util as u; import six; print(bool(u.find_spec('jinja2')))"


@dataclass
class Host:
    """A root folder, the payloads that converge it to the old and to the new spec, and how long the new one takes."""

    root: Path
    old: Path
    new: Path
    seconds: dict[str, float]
    midway: list[bool] = field(default_factory=list)  # of each kill, whether it came before the new spec was in service

    def answer(self) -> str:
        """What the environment in service says: whether it has the new spec's packages."""
        python = self.root / "envs/lab/current/bin/python"
        return subprocess.run([python, "-I", "-c", ASK], capture_output=True, text=True, check=True).stdout.strip()

    def forget(self, packages: bool) -> None:
        """Go back to the old spec; the new generation is gone, and if asked for all packages too."""
        result = run_payload(self.old)
        assert not result.get("failed"), result
        live = Environment(self.root, "lab").live()
        for path in live.path.parent.iterdir():
            if path != live.path:
                shutil.rmtree(path)
        if packages:
            shutil.rmtree(self.root / "pkgs")


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with tempfile.TemporaryDirectory() as folder, served(build.build(lambda _: None)) as address:
        Path(folder).chmod(0o755)  # pytest's own folders are private, and smoke imports run as nobody
        host = prepare(Path(folder), address)
        yield host
        assert sum(host.midway) >= len(host.midway) / 3, "most kills came too late to harm: nothing was proved"


def prepare(folder: Path, address: str) -> Host:
    """A host with the old spec in service, after the new one was built cold and warm to see how long it takes."""
    root = folder / "conda"
    payloads = [
        write_payload(
            folder / f"{name}.py",
            "atelier.datalab.conda_env",
            {
                "root": str(root),
                "engine": str(ENGINE),
                "mirrors": {"conda-forge": [address]},
                "environments": [{"name": "lab", "packages": packages, "imports": ["six"]}],
            },
        )
        for name, packages in (("old", OLD), ("new", NEW))
    ]
    host = Host(root, *payloads, seconds={})
    result = run_payload(host.old)
    assert result.get("changed") is True, result
    for name, packages in (("cold", True), ("warm", False)):
        host.forget(packages)
        begun = time.monotonic()
        assert run_payload(host.new)["changed"] is True
        host.seconds[name] = time.monotonic() - begun
    return host


@pytest.mark.parametrize("number", range(KILLS))
def test_killed_at_any_moment(host: Host, number: int) -> None:
    """The moments are spread over the whole run, each at random within its share; every second one has no cache."""
    kind = "cold" if number % 2 else "warm"
    host.forget(packages=kind == "cold")
    assert host.answer() == "False"
    moment = host.seconds[kind] * (number + random.random()) / KILLS  # noqa: S311 - a moment, no secret
    running = subprocess.Popen([sys.executable, host.new], stdout=subprocess.DEVNULL, start_new_session=True)
    time.sleep(moment)
    os.killpg(running.pid, signal.SIGKILL)
    killed = running.wait() == -signal.SIGKILL

    environment, answer = Environment(host.root, "lab"), host.answer()
    host.midway.append(killed and answer == "False")
    for path in environment.generations.glob("[!.]*"):
        assert environment.find(path.name).damage() == "", path
    result = run_payload(host.new)
    assert not result.get("failed"), f"killed after {moment:.2f} s ({kind}): {result}"
    assert host.answer() == "True"
    assert not list(environment.generations.glob(".*")), "what was left over is gone"
    assert run_payload(host.new)["changed"] is False
