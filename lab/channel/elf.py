"""Makes compiled programs relocatable: what they link to comes along and is found by a path relative to them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

_ELF = b"\x7fELF"
# glibc's own libraries belong to the host; everything else that is linked to comes along.
_OF_THE_HOST = re.compile(
    r"(linux-vdso|ld-linux|libc|libm|libpthread|libdl|librt|libutil|libresolv|libcrypt|libpython)\b"
)


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == _ELF


def bundle(stage: Path, libraries: Path) -> list[Path]:
    """Copy the shared libraries that ``stage`` links to into ``libraries``; return every ELF file of the stage."""
    elves = [p for p in stage.rglob("*") if p.is_file() and not p.is_symlink() and _is_elf(p)]
    todo, seen = list(elves), set()
    while todo:
        listing = subprocess.run(["ldd", str(todo.pop())], capture_output=True, text=True, check=False).stdout
        for name, source in re.findall(r"^\s*(\S+) => (/\S+)", listing, re.MULTILINE):
            if name in seen or _OF_THE_HOST.match(name):
                continue
            seen.add(name)
            copy = libraries / name
            shutil.copy2(Path(source).resolve(), copy)
            copy.chmod(0o755)
            elves.append(copy)
            todo.append(copy)
    return elves


def relocate(elves: list[Path], libraries: Path) -> None:
    """Point every ELF file at ``libraries`` by a path relative to itself and drop debug symbols."""
    for elf in elves:
        origin = os.path.relpath(libraries, elf.parent)
        subprocess.run(["patchelf", "--set-rpath", f"$ORIGIN/{origin}", elf], check=True)
    if shutil.which("strip"):
        subprocess.run(["strip", "--strip-debug", *elves], check=True)


def needed_glibc(elves: list[Path]) -> str:
    """Return the match spec of the oldest glibc that has every symbol the files ask for."""
    found = {int(minor) for elf in elves for minor in re.findall(rb"GLIBC_2\.(\d+)", elf.read_bytes())}
    return f"__glibc >=2.{max(found, default=17)}"
