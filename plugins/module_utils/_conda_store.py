"""Environments on disk: generations, the links ``current`` and ``archived``, and who uses what.

A generation is complete from the moment its folder has its name: it is built beside, verified and renamed.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._conda import CondaError, Package, Spec, generation_name

RECORDS = ".datalab"  # our files in a generation
_BUILDING = ".building-"
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_AT_FDCWD = -100


class Generation:
    """One built environment, immutable."""

    def __init__(self, path: Path) -> None:
        """``path`` is its folder, the prefix of the environment."""
        self.path = path
        self.name = path.name

    def _read(self, name: str) -> Any:
        return json.loads((self.path / RECORDS / name).read_text(encoding="utf-8"))

    def spec(self) -> dict[str, Any] | None:
        """Return the document of the spec it was last chosen for; None when it cannot be read."""
        try:
            return self._read("spec.json")
        except (OSError, ValueError):
            return None

    def packages(self) -> list[Package]:
        """Return its packages."""
        return self._read("packages.json")

    def lock(self) -> str:
        """Return its lock."""
        return (self.path / RECORDS / "conda.lock").read_text(encoding="utf-8")

    def damage(self) -> str:
        """Return the first file that is missing or has another size than when it was built; empty when none."""
        try:
            manifest: dict[str, int | None] = self._read("manifest.json")
            self.packages()
        except (OSError, ValueError):
            return f"{RECORDS}/manifest.json"
        root = str(self.path)
        return next((name for name, size in manifest.items() if not _is_intact(f"{root}/{name}", size)), "")

    def adopt(self, spec: Spec) -> None:
        """Remember that this generation now serves ``spec``."""
        _write(self.path / RECORDS / "spec.json", json.dumps(spec.document(), indent=1, sort_keys=True))


class Environment:
    """One environment's folder: its generations and which one is live."""

    def __init__(self, root: Path, name: str) -> None:
        """``root`` is the folder of all conda things on this host."""
        self.path = root / "envs" / name
        self.name = name
        self.generations = self.path / "generations"
        self.current = self.path / "current"
        self.archived = self.path / "archived"

    def _linked(self, link: Path) -> Generation | None:
        return Generation(link.resolve()) if link.is_symlink() and link.is_dir() else None

    def live(self) -> Generation | None:
        """Return the generation that is in service."""
        return self._linked(self.current)

    def put_away(self) -> Generation | None:
        """Return the generation that was in service when the environment was archived."""
        return self._linked(self.archived)

    def find(self, name: str) -> Generation | None:
        """Return a complete generation by name."""
        path = self.generations / name
        return Generation(path) if path.is_dir() else None

    def staging(self, name: str) -> Path:
        """Return the folder in which the generation ``name`` is built."""
        return self.generations / f"{_BUILDING}{name}"

    def clear_staging(self) -> None:
        """Remove what killed runs have left."""
        for path in self.generations.glob(f"{_BUILDING}*"):
            shutil.rmtree(path)

    def publish(self, name: str) -> Generation:
        """Give the finished staging folder its name; a damaged generation of that name is replaced at once."""
        staging, path = self.staging(name), self.generations / name
        if path.is_dir():
            _exchange(staging, path)
            shutil.rmtree(staging)
        else:
            staging.rename(path)
        return Generation(path)

    def switch(self, generation: Generation) -> None:
        """Make ``generation`` the live one; readers of ``current`` see the old or the new one, never none."""
        _link(self.current, f"generations/{generation.name}")
        self.archived.unlink(missing_ok=True)

    def archive(self) -> None:
        """Take the environment out of service; everything stays where it is."""
        self.current.rename(self.archived)

    def prune(self, keep: int) -> list[str]:
        """Remove the oldest generations beyond ``keep``, except live, archived or used ones; return their names."""
        spared = {g.path for g in (self.live(), self.put_away()) if g}
        others = [p for p in self.generations.iterdir() if p.is_dir() and not p.name.startswith(".")]
        others.sort(key=lambda p: p.stat().st_mtime, reverse=True)
        candidates = [p for p in others if p not in spared][max(keep - len(spared), 0) :]
        removed = []
        for path in candidates:
            if in_use(path):
                continue
            doomed = path.with_name(f"{_BUILDING}{path.name}")
            path.rename(doomed)  # a removal cut short must not look like a complete generation
            shutil.rmtree(doomed)
            removed.append(path.name)
        return removed


@contextmanager
def locked(root: Path) -> Iterator[int]:
    """Hold the lock of ``root`` and yield its descriptor; CondaError when another run holds it."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CondaError(
                f"another run is working on the environments under {root}; run again when it has ended"
            ) from error
        yield file.fileno()


def in_use(path: Path) -> bool:
    """Tell whether a process runs a program from ``path``, has a library of it loaded, or stands in it."""
    inside = f"{path}/"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = (f"{(process / name).readlink()}/" for name in ("exe", "cwd"))
            if any(link.startswith(inside) for link in links) or inside in (process / "maps").read_text():
                return True
        except OSError:  # the process has ended, or is a kernel thread
            continue
    return False


def seal(staging: Path, spec: Spec, lock: str, packages: list[Package]) -> None:
    """Compile, verify and describe what the engine has put into ``staging``; CondaError when a file is wrong."""
    files = _installed(staging)
    _compile(staging, files)
    sizes = _open_to_everybody(staging)
    for name, expected in files.items():
        _verify(staging / name, expected, f"environment {spec.name}: {name}")
    manifest = {name: size for name, size in sizes.items() if name in files or name.endswith(".pyc")}
    records = staging / RECORDS
    records.mkdir()
    _write(records / "conda.lock", lock)
    _write(records / "packages.json", json.dumps(packages))
    _write(records / "spec.json", json.dumps(spec.document(), indent=1, sort_keys=True))
    _write(records / "manifest.json", json.dumps(manifest, separators=(",", ":")))


def generation_of(packages: list[Package], name: str) -> str:
    """Return the generation's name; CondaError when a package has no hash (its channel cannot be trusted)."""
    nameless = [p["name"] for p in packages if not p["sha256"]]
    if nameless:
        raise CondaError(f"environment {name}: the channel gives no sha256 of {', '.join(nameless)}")
    return generation_name(packages)


def _installed(prefix: Path) -> dict[str, str]:
    """Return every file the packages' records name, with its sha256 (empty: unknown)."""
    files: dict[str, str] = {}
    for record in (prefix / "conda-meta").glob("*.json"):
        paths = json.loads(record.read_text(encoding="utf-8"))["paths_data"]["paths"]
        files |= {p["_path"]: p.get("sha256_in_prefix") or p.get("sha256") or "" for p in paths}
    return files


def _compile(prefix: Path, files: dict[str, str]) -> None:
    """Write bytecode of sources that came without; users cannot write into an environment."""
    versions = [m[1] for name in files if (m := re.match(r"lib/python(3\.\d+)/os\.py$", name))]
    if not versions:
        return
    tag = f"cpython-{versions[0].replace('.', '')}"
    missing = [
        str(prefix / name)
        for name in files
        if name.startswith(f"lib/python{versions[0]}/")
        and name.endswith(".py")
        and re.sub(r"([^/]+)\.py$", rf"__pycache__/\1.{tag}.pyc", name) not in files
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


def _open_to_everybody(prefix: Path) -> dict[str, int | None]:
    """Let everybody read what is there and run what root runs; return each file's size (None: symbolic link)."""
    sizes: dict[str, int | None] = {}
    for folder, _, names in os.walk(prefix):
        os.chmod(folder, 0o755)  # noqa: PTH101, S103 - environments are for everybody
        inside = os.path.relpath(folder, prefix)
        for name in names:
            path = f"{folder}/{name}"
            status = os.lstat(path)
            link = stat.S_ISLNK(status.st_mode)
            sizes[name if inside == "." else f"{inside}/{name}"] = None if link else status.st_size
            mode = stat.S_IMODE(status.st_mode)
            wanted = mode | 0o444 | (0o111 if mode & 0o100 else 0)
            if not link and wanted != mode:
                os.chmod(path, wanted)  # noqa: PTH101
    return sizes


def _verify(path: Path, expected: str, label: str) -> None:
    """Check a file's content; CondaError when it is missing or has another sha256 (empty: unknown)."""
    if path.is_symlink():
        return
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise CondaError(f"{label} was not installed; run again") from error
    if expected and hashlib.sha256(content).hexdigest() != expected:
        raise CondaError(f"{label} is not what its package says; run again")


def _is_intact(path: str, size: int | None) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISLNK(status.st_mode) if size is None else status.st_size == size


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _link(link: Path, target: str) -> None:
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def _exchange(one: Path, other: Path) -> None:
    """Swap two folders in one step."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))
