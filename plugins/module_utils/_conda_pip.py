"""The pip section of an environment: locked on the controller, installed on the host, both by uv.

Where the wheels come from is the entry ``pypi`` of the mirrors: simple indexes or folders of wheels. Addresses go
to uv through its environment, since they may hold credentials, and into no file.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._conda import PIP_SOURCE, CondaError, Package, Spec

_VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?")
_COMMON = ["--no-config", "--no-python-downloads", "--only-binary", ":all:", "--color", "never"]


def compile_lock(spec: Spec, packages: list[Package], kept: str, options: dict[str, Any]) -> str:
    """Return the pip section's requirements with exact versions and hashes; what conda brings is left to conda.

    Args:
        spec: the environment's, with a pip section.
        packages: the environment's conda packages.
        kept: an earlier lock to stay close to; empty to take the newest versions.
        options: the module's; ``mirrors`` and, for which wheels fit, ``virtual_packages`` count.

    Raises:
        CondaError: uv is missing or finds no solution.
    """
    name = spec.name
    python = next((p["version"] for p in packages if p["name"] == "python"), None)
    if python is None:
        raise CondaError(f"environment {name}: a pip section needs python among the packages")
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if not uv:
        raise CondaError(f"environment {name}: the pip section is locked by uv, which is missing; type: make setup")
    brought = {p["name"]: p["version"] for p in packages if _VERSION.fullmatch(p["version"])}
    with tempfile.TemporaryDirectory() as folder:
        wanted, constraints, output = (Path(folder, part) for part in ("wanted.in", "conda.txt", "lock.txt"))
        wanted.write_text("\n".join(spec.pip), encoding="utf-8")
        constraints.write_text("\n".join(f"{n}=={v}" for n, v in brought.items()), encoding="utf-8")
        output.write_text(kept, encoding="utf-8")
        platform = "x86_64-manylinux_" + options["virtual_packages"].get("__glibc", "2.28").replace(".", "_")
        command = [uv, "pip", "compile", "-q", *_COMMON, "--python", sys.executable, "--python-version", python]
        command += ["--python-platform", platform, "--generate-hashes", "--no-header", "--no-annotate"]
        command += ["--no-emit-index-url", "--no-emit-find-links", "--constraints", str(constraints)]
        for package in brought:
            command += ["--no-emit-package", package]
        arguments, variables = _sources(options)
        _run([*command, *arguments, str(wanted), "-o", str(output)], variables, f"environment {name}: pip section")
        return output.read_text(encoding="utf-8")


def install(name: str, lock: str, staging: Path, prefix: Path, options: dict[str, Any]) -> None:
    """Install a locked pip section into ``staging``, written so that it works at ``prefix``.

    Raises:
        CondaError: a wheel is missing or has another hash, or the index does not answer.
    """
    uv = staging / "bin/uv"
    if not uv.exists():
        raise CondaError(f"environment {name}: its lock has a pip section, but not uv, which installs it")
    before = set((staging / "bin").iterdir())
    # uv's locks are for everybody to write, also those in /tmp: all it leaves goes away again, after a kill with the
    # next build's clearing of what is named so.
    with tempfile.TemporaryDirectory(dir=staging.parent, prefix=".building-uv-") as folder:
        wanted = Path(folder, "lock.txt")
        wanted.write_text(lock, encoding="utf-8")
        command = [str(uv), "pip", "install", "-q", *_COMMON, "--python", str(staging / "bin/python"), "--no-deps"]
        command += ["--require-hashes", "--break-system-packages", "--link-mode", "copy"]
        command += ["--cache-dir", f"{folder}/cache"]
        arguments, variables = _sources(options)
        variables["TMPDIR"] = folder
        _run([*command, *arguments, "-r", str(wanted)], variables, f"environment {name}: pip section")
    _relocate(staging, prefix, set((staging / "bin").iterdir()) - before)


def _sources(options: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Return uv's arguments and variables for indexes and folders of wheels."""
    addresses = options["mirrors"].get(PIP_SOURCE) or []
    paths = [urllib.parse.unquote(urllib.parse.urlsplit(a).path) for a in addresses if not a.startswith("http")]
    folders = [path for path in paths if any(Path(path).glob("*.whl"))]
    indexes = [a for a in addresses if a.startswith("http")] + [f"file://{p}" for p in paths if p not in folders]
    variables = {"UV_FIND_LINKS": ",".join(folders)} if folders else {}
    if indexes:
        variables |= {"UV_DEFAULT_INDEX": indexes[0], "UV_INDEX": " ".join(indexes[1:])}
    return ["--no-index"] if folders and not indexes else [], variables


def _run(command: list[str], variables: dict[str, str], label: str) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("UV_", "PIP_", "VIRTUAL_ENV", "CONDA"))}
    done = subprocess.run(
        command, env={**kept, **variables}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = re.sub(r"//[^/@\s]*@", "//", " ".join(done.stderr.split()))  # an address may hold a password
        raise CondaError(f"{label}: {words[-600:]}")


def _relocate(staging: Path, prefix: Path, scripts: set[Path]) -> None:
    """Make new scripts name the prefix they will have; their hashes in RECORD follow, so that pip finds no fault."""
    changed: dict[str, bytes] = {}
    for script in scripts:
        content = script.read_bytes()
        if not script.is_symlink() and bytes(staging) in content:
            changed[script.name] = content.replace(bytes(staging), bytes(prefix))
            script.write_bytes(changed[script.name])
    for record in staging.glob("lib/python3.*/site-packages/*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8").splitlines()
        fresh = [_record_line(line, changed) for line in lines]
        if fresh != lines:
            record.write_text("\n".join(fresh) + "\n", encoding="utf-8")


def _record_line(line: str, changed: dict[str, bytes]) -> str:
    path = line.split(",", maxsplit=1)[0]
    content = changed.get(Path(path).name) if "/bin/" in path else None
    if content is None:
        return line
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}"
