"""Fills the folder in which a generation is built: compile, verify, describe, try its imports.

What leaves here is complete: the caller only gives the folder its name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._conda import CondaError, Package
from ansible_collections.atelier.datalab.plugins.module_utils._conda_store import RECORDS, folders, write

IMPORT_SECONDS = 120  # for all imports of an environment together; a cold disk is slow
_NOBODY = 65534

# What a file was when it was built: size and sha256 of its content, or where a symbolic link points.
Manifest = dict[str, Any]


def seal(staging: Path, name: str, document: dict[str, Any] | None, lock: str, packages: list[Package]) -> None:
    """Compile, verify and describe what was installed into ``staging``.

    Args:
        staging: the folder.
        name: the environment's name, for messages.
        document: of the spec that the generation is built for.
        lock: its lock.
        packages: its packages.

    Raises:
        CondaError: a file is missing or not what its package says.
    """
    known = _installed(staging)
    _compile(staging, _open_to_everybody(staging))
    manifest = describe(staging, _open_to_everybody(staging))
    for path, expected in known.items():
        found = manifest.get(path)
        if found is None:
            raise CondaError(f"environment {name}: {path} was not installed; run again")
        if expected and isinstance(found, list) and found[1] != expected:
            raise CondaError(f"environment {name}: {path} is not what its package says; run again")
    records = staging / RECORDS
    records.mkdir()
    write(records / "conda.lock", lock)
    write(records / "packages.json", json.dumps(packages))
    write(records / "spec.json", json.dumps(document, indent=1, sort_keys=True))
    write(records / "manifest.json", json.dumps(manifest, separators=(",", ":")))
    write(records / "folders.json", json.dumps(folders(staging), separators=(",", ":")))


def describe(prefix: Path, names: Iterable[str]) -> Manifest:
    """Return what each file is now; a missing one is None."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - a run that changes nothing does without

    root = str(prefix)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # hashing leaves the interpreter's lock alone
        return dict(zip(names, pool.map(lambda name: _described(f"{root}/{name}"), names), strict=True))


def _described(path: str) -> list[Any] | str | None:
    try:
        if os.path.islink(path):  # noqa: PTH114 - tens of thousands of them
            return os.readlink(path)  # noqa: PTH115
        with open(path, "rb") as file:  # noqa: PTH123
            content = file.read()
    except OSError:
        return None
    return [len(content), hashlib.sha256(content).hexdigest()]


def _installed(prefix: Path) -> dict[str, str]:
    """Return every file the packages' records name, with its sha256 (empty: unknown)."""
    files: dict[str, str] = {}
    for record in (prefix / "conda-meta").glob("*.json"):
        paths = json.loads(record.read_text(encoding="utf-8"))["paths_data"]["paths"]
        files |= {p["_path"]: p.get("sha256_in_prefix") or p.get("sha256") or "" for p in paths}
    return files


def altered(prefix: Path) -> set[str]:
    """Return the files of a generation that are there with another content; all that can be told without records."""
    try:
        manifest = json.loads((prefix / RECORDS / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = {name: [0, expected] for name, expected in _installed(prefix).items() if expected}
    found = describe(prefix, manifest)
    return {
        name
        for name, expected in manifest.items()
        if isinstance(found[name], list) and (found[name][1] != expected[1] if isinstance(expected, list) else True)
    }


def owners(prefix: Path, names: set[str]) -> set[str]:
    """Return the packages (``name-version-build``) of whose files some are among ``names``."""
    found = set()
    for record in (prefix / "conda-meta").glob("*.json"):
        paths = json.loads(record.read_text(encoding="utf-8"))["paths_data"]["paths"]
        if any(p["_path"] in names for p in paths):
            found.add(record.stem)
    return found


def _compile(prefix: Path, files: list[str]) -> None:
    """Write bytecode of sources that came without; users cannot write into an environment."""
    versions = [m[1] for name in files if (m := re.match(r"lib/python(3\.\d+)/os\.py$", name))]
    if not versions:
        return
    tag = f"cpython-{versions[0].replace('.', '')}"
    known = set(files)
    missing = [
        str(prefix / name)
        for name in files
        if name.startswith(f"lib/python{versions[0]}/")
        and name.endswith(".py")
        and re.sub(r"([^/]+)\.py$", rf"__pycache__/\1.{tag}.pyc", name) not in known
    ]
    if not missing:
        return
    # Unchecked-hash: a generation never changes, and copying it must not invalidate its bytecode.
    workers = "0" if len(missing) > 200 else "1"
    options = ["-q", "-j", workers, "--invalidation-mode", "unchecked-hash", "-i", "-"]
    # Its status is that of the worst source; packages carry templates that are not valid Python.
    subprocess.run(
        [prefix / "bin/python", "-I", "-m", "compileall", *options],
        input="\n".join(missing),
        capture_output=True,
        text=True,
        check=False,
    )


def _open_to_everybody(prefix: Path) -> list[str]:
    """Let everybody read what is there and run what root runs; return the files' names."""
    found = []
    for folder, _, names in os.walk(prefix):
        os.chmod(folder, 0o755)  # noqa: PTH101, S103 - environments are for everybody
        inside = os.path.relpath(folder, prefix)
        for name in names:
            path = f"{folder}/{name}"
            status = os.lstat(path)
            found.append(name if inside == "." else f"{inside}/{name}")
            mode = stat.S_IMODE(status.st_mode)
            wanted = mode | 0o444 | (0o111 if mode & 0o100 else 0)
            if not stat.S_ISLNK(status.st_mode) and wanted != mode:
                os.chmod(path, wanted)  # noqa: PTH101
    return found


def try_imports(prefix: Path, name: str, modules: tuple[str, ...]) -> None:
    """Import modules as a user would: another user, nothing of the caller's environment, a limit of time.

    Raises:
        CondaError: names every module that does not import, with its last words.
    """
    if not modules or not _import_error(prefix, "\n".join(f"import {module}" for module in modules)):
        return
    failures = {module: _import_error(prefix, f"import {module}") for module in modules}
    told = [f"{module} ({why})" for module, why in failures.items() if why] or ["they do not import together"]
    raise CondaError(f"environment {name}: smoke imports failed: {'; '.join(told)}; it was not put into service")


def _import_error(prefix: Path, program: str) -> str:
    """Return the last line that a failing program says; empty when it succeeds."""
    user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    variables = {"PATH": f"{prefix}/bin:/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    try:
        done = subprocess.run(
            [prefix / "bin/python", "-I", "-B", "-c", program],
            env=variables, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=IMPORT_SECONDS, **user,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"not done after {IMPORT_SECONDS} s"
    except OSError as error:
        return str(error)
    return (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1] if done.returncode else ""
