"""One environment of about a hundred packages: made, made again, repeated, changed, taken back; beside its peers.

Everybody installs from a lock with hashes, from the same wheels, over HTTP on loopback: conda_env from the lab's
channel, which is made of them. conda_env also installs Python, checks every file against its package, compiles
bytecode, tries imports and keeps the old environment; uv and pip take this computer's Python and change what is there.

conda runs from a checkout of its source that CONDA_SOURCE names, with a Python that has its requirements, which
CONDA_PYTHON names. Without them its column is left out, since neither PyPI nor Debian has conda.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from ansible.plugins.loader import init_plugin_loader

from lab.channel import build, cpython
from tests.bench.table import Row, show
from tests.loopback import served
from tests.payload import ROOT, run_payload, write_payload

RUNS = 3
HOSTS_PYTHON = "/usr/bin/python3"  # what Ansible runs modules with on a host
FIRST = ["ipykernel", "jupyterlab=4", "numpy", "pandas", "scikit-learn"]
SECOND = [*FIRST, "nbgitpuller"]
SPECS = {"first": FIRST, "second": SECOND}
IMPORTS = ["numpy", "pandas", "sklearn", "jupyterlab"]
STEPS = {
    "cold": "from nothing, no cache",
    "warm": "from nothing, packages cached",
    "no-op": "again, nothing to do",
    "change": "one package more",
    "back": "back to what it was",
}


class Contender(ABC):
    """Somebody who makes environments below a folder of their own."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment, self.cache = folder / "environment", folder / "cache"

    @abstractmethod
    def converge(self, spec: str) -> None:
        """Bring the environment to a spec."""

    def back(self) -> None:
        """Bring it back to the first spec."""
        self.converge("first")

    def python(self) -> Path:
        return self.environment / "bin/python"

    def forget(self, cache: bool) -> None:
        shutil.rmtree(self.environment, ignore_errors=True)
        if cache:
            shutil.rmtree(self.cache, ignore_errors=True)

    def run(self, *words: str | Path, **variables: str) -> None:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8", **variables}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{self.name}: {done.stdout[-1500:]}{done.stderr[-1500:]}")


class Ours(Contender):
    """The module as a host runs it."""

    name = "conda_env"

    def __init__(self, folder: Path, channel: str) -> None:
        super().__init__(folder)
        self.channel = channel
        self.environment, self.cache = folder / "conda/envs", folder / "conda/pkgs"
        wanted = [{"name": s, "state": "locked", "packages": ["python=3.12", *SPECS[s]]} for s in SPECS]
        solved = self._checked(run_payload(self._payload("locks", wanted)))["environments"]
        self.packages = {entry["name"]: entry["packages"] for entry in solved}
        self.payloads = {
            entry["name"]: self._payload(entry["name"], [{"name": "lab", "lock": entry["lock"], "imports": IMPORTS}])
            for entry in solved
        }
        self.payloads["back"] = self._payload("back", [{"name": "lab", "state": "rolled_back"}])

    def _payload(self, name: str, environments: list[dict[str, Any]]) -> Path:
        options = {
            "root": str(self.folder / "conda"),
            "engine": str(build.cache() / "engine" / engine_wheel()),
            "mirrors": {"conda-forge": [self.channel]},
            "environments": environments,
        }
        return write_payload(self.folder / f"{name}.py", "atelier.datalab.conda_env", options)

    def _checked(self, result: dict[str, Any]) -> dict[str, Any]:
        if result.get("failed"):
            raise RuntimeError(result["msg"])
        return result

    def converge(self, spec: str) -> None:
        self._checked(run_payload(self.payloads[spec], HOSTS_PYTHON))

    def back(self) -> None:
        self._checked(run_payload(self.payloads["back"], HOSTS_PYTHON))

    def python(self) -> Path:
        return self.environment / "lab/current/bin/python"


class Uv(Contender):
    name = "uv"
    options: tuple[str, ...] = ()

    def __init__(self, folder: Path, wheels: str, locks: dict[str, Path]) -> None:
        super().__init__(folder)
        self.wheels, self.locks = wheels, locks

    def converge(self, spec: str) -> None:
        uv = ROOT / ".venv/bin/uv"
        variables = {"UV_CACHE_DIR": str(self.cache), "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never"}
        if not self.environment.exists():
            self.run(uv, "venv", "-q", "--python", interpreter(), self.environment, **variables)
        words = ["--require-hashes", "--no-index", "--find-links", self.wheels, "--python", self.python()]
        self.run(uv, "pip", "sync", "-q", *self.options, *words, self.locks[spec], **variables)


class UvCompiled(Uv):
    name = "uv, compiled"
    options = ("--compile-bytecode",)


class Pip(Uv):
    """pip, which takes nothing away: `back` leaves the package where it is."""

    name = "pip"

    def converge(self, spec: str) -> None:
        if not self.environment.exists():
            self.run(interpreter(), "-m", "venv", self.environment)
        words = ["--require-hashes", "--no-index", "--find-links", self.wheels, "--cache-dir", self.cache]
        self.run(
            self.python(), "-m", "pip", "install", "-q", "--disable-pip-version-check", *words, "-r", self.locks[spec]
        )


class Conda(Contender):
    """conda from its source, by its explicit lock files."""

    name = "conda"

    def __init__(self, folder: Path, ours: Ours) -> None:
        super().__init__(folder)
        self.files = {}
        for spec in SPECS:
            addresses = [f"{ours.channel}{p['url'].split('/conda-forge/')[1]}" for p in ours.packages[spec]]
            self.files[spec] = folder / f"{spec}.txt"
            self.files[spec].write_text("@EXPLICIT\n" + "\n".join(addresses) + "\n", encoding="utf-8")

    def converge(self, spec: str) -> None:
        action = "install" if (self.environment / "conda-meta").is_dir() else "create"
        words = [
            os.environ["CONDA_PYTHON"],
            "-m",
            "conda",
            action,
            "-q",
            "-y",
            "-p",
            self.environment,
            "--file",
            self.files[spec],
        ]
        self.run(*words, PYTHONPATH=os.environ["CONDA_SOURCE"], CONDA_PKGS_DIRS=str(self.cache), CONDA_SOLVER="classic")


def engine_wheel() -> str:
    return next(p.name for p in (build.cache() / "engine").glob("py_rattler-*x86_64.whl"))


def interpreter() -> Path:
    return cpython.find_prefix(build.TARGET.python) / f"bin/python{build.TARGET.python}"


def wheel_locks(folder: Path, wheels: Path) -> dict[str, Path]:
    """Locks for uv and pip, of the same wheels as the channel's packages."""
    locks = {}
    for spec, packages in SPECS.items():
        wanted, locks[spec] = folder / f"{spec}.in", folder / f"{spec}.lock"
        wanted.write_text("\n".join(re.sub(r"=(\d+)$", r"==\1.*", p) for p in packages), encoding="utf-8")
        words = ["--no-index", "--find-links", wheels, "--python", interpreter(), "--generate-hashes", "--no-header"]
        subprocess.run(
            [ROOT / ".venv/bin/uv", "pip", "compile", "-q", "--no-config", *words, wanted, "-o", locks[spec]],
            check=True,
        )
    return locks


def measure(contender: Contender) -> dict[str, float]:
    """Seconds of each step."""
    seconds = {}

    def step(name: str, todo: Any, *arguments: str) -> None:
        begun = time.monotonic()
        todo(*arguments)
        seconds[name] = time.monotonic() - begun
        code = "; ".join(f"import {module}" for module in IMPORTS) if name in ("cold", "change") else "pass"
        subprocess.run([contender.python(), "-I", "-c", code], check=True)

    contender.forget(cache=True)
    step("cold", contender.converge, "first")
    contender.forget(cache=False)
    step("warm", contender.converge, "first")
    step("no-op", contender.converge, "first")
    step("change", contender.converge, "second")
    step("back", contender.back)
    return seconds


def contenders(folder: Path, channel: str, wheels: str) -> list[Contender]:
    def own(name: str) -> Path:
        (folder / name).mkdir()
        return folder / name

    ours = Ours(own("ours"), channel)
    locks = wheel_locks(folder, build.cache() / "wheels")
    print(f"{len(ours.packages['first'])} conda packages; {locks['first'].read_text().count('==')} wheels")
    found: list[Contender] = [ours, *(kind(own(kind.__name__), wheels, locks) for kind in (Uv, UvCompiled, Pip))]
    if "CONDA_SOURCE" in os.environ and "CONDA_PYTHON" in os.environ:
        found.append(Conda(own("conda"), ours))
    else:
        print("conda is left out: CONDA_SOURCE and CONDA_PYTHON do not name it")
    return found


def main() -> None:
    init_plugin_loader([str(ROOT / "collections")])
    channel = build.build(print)
    with (
        tempfile.TemporaryDirectory() as scratch,
        served(channel) as channel_address,
        served(build.cache() / "wheels") as wheels_address,
    ):
        Path(scratch).chmod(0o755)  # smoke imports run as nobody
        everybody = contenders(Path(scratch), channel_address, wheels_address)
        rounds: dict[str, list[dict[str, float]]] = {contender.name: [] for contender in everybody}
        for _ in range(RUNS):
            for contender in everybody:
                rounds[contender.name].append(measure(contender))
    rows = [
        Row(text, [statistics.median(one[step] for one in rounds[c.name]) for c in everybody])
        for step, text in STEPS.items()
    ]
    show(
        [c.name for c in everybody],
        rows,
        f"seconds, median of {RUNS} rounds in turn; in brackets times {everybody[0].name}",
    )
