"""Finds a CPython of the target release on this computer and repackages it as a relocatable conda package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from lab.channel import elf
from lab.channel.bytecode import Compiler
from lab.channel.names import Target
from lab.channel.package import PLACEHOLDER, Entry, Package

_LEFT_OUT = {
    "__pycache__",
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "turtledemo",
    "ensurepip",
    "tkinter",
    "site-packages",
}
_LEFT_OUT_MODULES = ("_tkinter", "_test", "_xx", "xx", "_ctypes_test")


class ChannelError(RuntimeError):
    """The channel cannot be built here; the message says what to do."""


def _prefixes(python: str) -> Iterator[Path]:
    """Yield prefixes where a CPython of that release may be: this one, pyenv's, the one on PATH."""
    if "{}.{}".format(*sys.version_info) == python:
        yield Path(sys.base_prefix)
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(root.glob(f"versions/{python}.*"), reverse=True)
    base_prefix = _output([f"python{python}", "-I", "-c", "import sys; print(sys.base_prefix)"]).strip()
    yield from [Path(base_prefix)] if base_prefix else []


def _output(command: list[str]) -> str:
    if not shutil.which(command[0]):
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def find_prefix(python: str) -> Path:
    """Return the prefix of a self-contained CPython ``python`` (such as 3.12); ChannelError when there is none."""
    for prefix in _prefixes(python):
        # A distribution's own Python is spread over /usr and patched: it cannot be moved.
        if prefix != Path("/usr") and (prefix / f"lib/python{python}/os.py").is_file():
            return prefix.resolve()
    raise ChannelError(
        f"no CPython {python} outside /usr on this computer, and the lab's packages are made for it; "
        f"type: pyenv install {python} (or uv python install {python}, with its bin folder on PATH)"
    )


def identity(prefix: Path, python: str) -> str:
    """Return release and build of the interpreter at ``prefix``, for the recipe's hash."""
    return _output([str(prefix / f"bin/python{python}"), "-I", "-c", "import sys; print(sys.version)"])


def _copy(prefix: Path, stage: Path, python: str) -> None:
    """Copy what belongs to the interpreter, and nothing else that may live under the same prefix."""

    def ignore(folder: str, names: list[str]) -> set[str]:
        left_out = {n for n in names if n in _LEFT_OUT or n.startswith("config-")}
        if folder.endswith("lib-dynload"):
            left_out |= {n for n in names if n.startswith(_LEFT_OUT_MODULES)}
        return left_out

    for part in (f"lib/python{python}", f"include/python{python}"):
        shutil.copytree(prefix / part, stage / part, symlinks=True, ignore=ignore)
    for pattern in ("bin/python*", f"lib/libpython{python}*.so*"):
        for source in prefix.glob(pattern):
            if re.fullmatch(rf"(python(3(\.\d+)?)?(-config)?|libpython{python}.*)", source.name):
                (stage / pattern).parent.mkdir(exist_ok=True)
                shutil.copy2(source, (stage / pattern).parent / source.name, follow_symlinks=False)
    (stage / f"lib/python{python}/site-packages").mkdir()
    (stage / f"lib/python{python}/site-packages/README.txt").write_text("conda packages go here\n", encoding="ascii")


def _entries(stage: Path, old_prefix: Path) -> list[Entry]:
    entries = []
    for path in stage.rglob("*"):
        name = path.relative_to(stage).as_posix()
        if path.is_symlink():
            entries.append(Entry(name, path.read_bytes(), target=str(path.readlink())))
        elif path.is_file():
            data = path.read_bytes()
            if b"\0" not in data:
                data = data.replace(str(old_prefix).encode(), PLACEHOLDER.encode())
            entries.append(Entry(name, data, executable=os.access(path, os.X_OK)))
    return entries


def repackage(prefix: Path, target: Target, stage: Path, compiler: Compiler) -> list[Package]:
    """Return the packages ``python`` and ``python_abi`` made from ``prefix``; ``stage`` is an empty folder."""
    if not shutil.which("patchelf"):
        raise ChannelError("patchelf is missing; type: make setup")
    version = identity(prefix, target.python).split()[0]
    _copy(prefix, stage, target.python)
    elves = elf.bundle(stage, stage / "lib")
    elf.relocate(elves, stage / "lib")
    entries = _entries(stage, prefix)
    python = Package(
        name="python",
        version=version,
        build=f"local_0_{target.tag}",
        subdir="linux-64",
        entries=entries + compiler.compile(entries),
        depends=[elf.needed_glibc(elves)],
        constrains=[f"python_abi {target.python}.* *_{target.tag}"],
        license="PSF-2.0",
        summary=f"CPython {version} repackaged for the lab",
    )
    abi = Package(
        name="python_abi",
        version=target.python,
        build=f"8_{target.tag}",
        build_number=8,
        subdir="noarch",
        constrains=[f"python {target.python}.*"],
        noarch="generic",
        summary="Marks packages compiled for one ABI of Python",
    )
    return [python, abi]
