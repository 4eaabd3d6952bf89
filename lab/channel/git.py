"""Repackages this computer's git as a relocatable conda package; its commands in Perl stay behind."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from lab.channel import elf
from lab.channel.cpython import ChannelError
from lab.channel.package import PLACEHOLDER, Entry, Package

# Everything else that is compiled is built into `git` itself.
_PROGRAMS = ("git", "git-remote-http", "git-http-backend")
_SCRIPTS = ("git-sh-setup", "git-sh-i18n", "git-submodule", "git-merge-one-file")
_LINKS = {"git-remote-https": "git-remote-http"}
_TEMPLATES = Path("/usr/share/git-core/templates")

# Debian compiles the places in; git takes others from its environment.
_WRAPPER = f"""#!/bin/sh
export GIT_EXEC_PATH={PLACEHOLDER}/libexec/git-core
export GIT_TEMPLATE_DIR={PLACEHOLDER}/share/git-core/templates
exec {PLACEHOLDER}/libexec/git-core/git "$@"
"""


def _ask(*words: str) -> str:
    if not shutil.which("git"):
        raise ChannelError("git is missing on this computer; type: make setup")
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()


def identity() -> str:
    """Return the release of this computer's git, for the recipe's hash; ChannelError when there is none."""
    return _ask("--version")


def repackage(stage: Path) -> Package:
    """Return the package ``git``; ``stage`` is an empty folder. Certificates are the host's own bundle."""
    source, place = Path(_ask("--exec-path")), stage / "libexec/git-core"
    place.mkdir(parents=True)
    libraries = stage / "lib/git-core"  # apart: another package may bring the same library
    libraries.mkdir(parents=True)
    for name in (*_PROGRAMS, *_SCRIPTS):
        shutil.copy2(source / name, place / name)
    elves = elf.bundle(stage, libraries)
    elf.relocate(elves, libraries)
    shutil.copytree(_TEMPLATES, stage / "share/git-core/templates", ignore=shutil.ignore_patterns("*.sample"))
    entries = [Entry("bin/git", _WRAPPER.encode(), executable=True)]
    for name, target in _LINKS.items():
        entries.append(Entry(f"libexec/git-core/{name}", (place / target).read_bytes(), target=target))
    entries += [
        Entry(path.relative_to(stage).as_posix(), path.read_bytes(), executable=os.access(path, os.X_OK))
        for path in sorted(stage.rglob("*"))
        if path.is_file()
    ]
    version = identity().split()[2]
    return Package(
        name="git",
        version=version,
        build="local_0",
        subdir="linux-64",
        entries=entries,
        depends=[elf.needed_glibc(elves)],
        license="GPL-2.0-only",
        summary=f"git {version} repackaged for the lab, without its commands in Perl",
    )
