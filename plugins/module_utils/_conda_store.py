"""Environments on disk: generations, the links ``current`` and ``archived``, and who uses what.

A generation is complete from the moment its folder has its name: it is built beside, verified and renamed.
"""

from __future__ import annotations

import ctypes
import datetime
import fcntl
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _conda_report
from ansible_collections.atelier.datalab.plugins.module_utils._conda import CondaError, Package, generation_name

RECORDS = ".datalab"  # our files in a generation
ROLLED_BACK = "rolled back"
_REMEMBERED = 50  # changes of service in an environment's history
_BUILDING = ".building-"
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_AT_FDCWD = -100


class Generation:
    """One built environment, immutable."""

    def __init__(self, path: Path) -> None:
        """``path`` is its folder, the prefix of the environment."""
        self.path = path
        self.name = path.name
        self.moved = False  # whether ``damage`` found that files came or went

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

    def manifest(self) -> dict[str, Any]:
        """Return what each of its files was when it was built."""
        return self._read("manifest.json")

    def damage(self) -> str:
        """Return a file that is missing, or has another size where files came or went; empty when there is none.

        Content is compared by ``conda_env`` with state ``verified``: that takes seconds.
        """
        root = str(self.path)
        try:
            stamps: dict[str, int] = self._read("folders.json")
            if all(_mtime(f"{root}/{folder}") == stamp for folder, stamp in stamps.items()):
                return ""
            self.moved = True
            manifest = self.manifest()
            self.packages()
        except (OSError, ValueError, AttributeError):
            return f"{RECORDS}/manifest.json"
        return next((name for name, expected in manifest.items() if not _is_intact(f"{root}/{name}", expected)), "")

    def settle(self) -> None:
        """Take the folders as they are now for untouched; after a copy of the disk they all have other times."""
        fresh = folders(self.path)
        if fresh != self._read("folders.json"):
            write(self.path / RECORDS / "folders.json", json.dumps(fresh, separators=(",", ":")))

    def adopt(self, document: dict[str, Any] | None) -> None:
        """Remember for which spec this generation now serves."""
        write(self.path / RECORDS / "spec.json", json.dumps(document, indent=1, sort_keys=True))


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

    def switch(self, generation: Generation, why: str = "") -> None:
        """Make ``generation`` the live one; readers of ``current`` see the old or the new one, never none."""
        before = self.live()
        _link(self.current, f"generations/{generation.name}")
        self.archived.unlink(missing_ok=True)
        if before is None or before.name != generation.name:
            at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            entries = [*self.history(), {"generation": generation.name, "at": at, "why": why}]
            write(self.path / "history.json", json.dumps(entries[-_REMEMBERED:], indent=1))

    def history(self) -> list[dict[str, str]]:
        """Return which generation went into service when and why, the oldest first."""
        try:
            return json.loads((self.path / "history.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []

    def previous(self) -> Generation | None:
        """Return the complete generation that was in service before the live one first came; None when it is gone."""
        live = self.live()
        names = [entry["generation"] for entry in self.history() if not entry["why"].startswith(ROLLED_BACK)]
        if live and live.name in names:
            names = names[: names.index(live.name)]
        found = (self.find(name) for name in reversed(names) if live is None or name != live.name)
        return next((generation for generation in found if generation), None)

    def hold(self, generation: Generation, document: dict[str, Any] | None, reason: str) -> None:
        """Remember that ``generation`` stays in service as long as the data asks for ``document``."""
        held = self.held() or {}
        note = {
            "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "from": held.get("from") or (self.live() or generation).name,
            "generation": generation.name,
            "reason": reason,
            "spec": held.get("spec") or document,
        }
        write(self.path / "held.json", json.dumps(note, indent=1, sort_keys=True))

    def held(self) -> dict[str, Any] | None:
        """Return what ``hold`` has remembered, if it is of the generation in service."""
        try:
            note = json.loads((self.path / "held.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        live = self.live()
        return note if live and live.name == note["generation"] else None

    def release(self) -> None:
        """Forget what ``hold`` has remembered."""
        (self.path / "held.json").unlink(missing_ok=True)

    def archive(self) -> None:
        """Take the environment out of service; everything stays where it is."""
        self.current.rename(self.archived)

    def prune(self, keep: int) -> list[str]:
        """Remove the oldest generations beyond ``keep``, except live, archived or used ones; return their names."""
        spared = {g.path for g in (self.live(), self.put_away()) if g}
        if held := self.held():
            spared |= {g.path for g in [self.find(held["from"])] if g}
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
def locked(root: Path, wait: float = 0) -> Iterator[int]:
    """Hold the lock of ``root`` and yield its descriptor.

    Raises:
        CondaError: another run still holds it after ``wait`` seconds.
    """
    root.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait
    with (root / ".lock").open("a+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() >= deadline:
                    raise CondaError(
                        f"another run is working on the environments under {root}; run again when it has ended"
                    ) from error
                time.sleep(0.2)
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


def generation_of(packages: list[Package], pip: str, name: str) -> str:
    """Return the generation's name; CondaError when a package has no hash (its channel cannot be trusted)."""
    nameless = [p["name"] for p in packages if not p["sha256"]]
    if nameless:
        raise CondaError(f"environment {name}: the channel gives no sha256 of {', '.join(nameless)}")
    return generation_name(packages, pip)


def write_lock(path: Path, text: str) -> None:
    """Write a lock beside the inventory, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, text)
    path.chmod(0o644)


def prune_packages(root: Path) -> None:
    """Remove packages from the cache that no generation on this host holds; a generation keeps its own files."""
    kept = set()
    for generation in root.glob("envs/*/generations/*"):
        try:
            kept |= {"{name}-{version}-{build}".format(**p) for p in Generation(generation).packages()}
        except (OSError, ValueError):
            return  # what cannot be read may hold anything
    for path in (root / "pkgs").glob("*-*-*"):
        stem = re.sub(r"(\.conda|\.tar\.bz2)?(\.lock)?$", "", path.name)
        if stem not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def forget_packages(root: Path, stems: set[str]) -> None:
    """Remove packages (``name-version-build``) from the cache; their files may be shared with damaged ones."""
    for stem in stems:
        for path in (root / "pkgs").glob(f"{stem}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_report(root: Path, program: str, command: str | None) -> None:
    """Write what this host has to ``report.json`` and, where asked for, the command that tells it to people."""
    write(root / "report.json", json.dumps(_conda_report.collect(root), indent=1, sort_keys=True) + "\n")
    if command:
        text = program.replace(f'ROOT = "{_conda_report.ROOT}"', f'ROOT = "{root}"', 1)
        path = Path(command)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write(path, text)
            path.chmod(0o755)


def unpack_engine(wheel: Path, root: Path) -> Path:
    """Unpack the engine's wheel below ``root`` unless it is there; return its folder.

    Raises:
        OSError: there is no such wheel, or the disk is full.
    """
    import zipfile  # noqa: PLC0415 - a run that changes nothing does without

    folder = root / "engine" / wheel.name.split("-")[1]
    if not folder.is_dir():
        fresh = folder.with_name(f".{os.getpid()}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(fresh)
        try:
            fresh.rename(folder)
        except OSError:  # another run was faster
            shutil.rmtree(fresh)
    return folder


def folders(prefix: Path) -> dict[str, int]:
    """Return when entries of each folder last came or went (nanoseconds); our records are left out.

    A file that is removed, added or replaced changes its folder, so that a look at the folders tells as much
    about missing files as a look at every file, in a tenth of the time.
    """
    root = str(prefix)
    found = {}
    for folder, names, _ in os.walk(root):
        if folder == root and RECORDS in names:
            names.remove(RECORDS)
        found[folder[len(root) + 1 :]] = os.stat(folder).st_mtime_ns  # noqa: PTH116
    return found


def _mtime(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116
    except OSError:
        return -1


def _is_intact(path: str, expected: list[Any] | str) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISLNK(status.st_mode) if isinstance(expected, str) else status.st_size == expected[0]


def write(path: Path, text: str) -> None:
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
