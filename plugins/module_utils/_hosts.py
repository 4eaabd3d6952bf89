"""What the modules that run on a host share: commands, ownership and modes.

Ansible-free but for the module object that is handed in, so that every function can be tried alone.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Any


class HostError(Exception):
    """Something on the host forbids the change; the message says what to do."""


def run(module: Any, argv: list[str], data: str | None = None, ok: tuple[int, ...] = (0,)) -> tuple[int, str]:
    """Run a command with a plain locale; return its code and standard output.

    :raises HostError: when the code is not one of ``ok``.
    """
    code, out, err = module.run_command(argv, data=data, environ_update={"LC_ALL": "C.UTF-8"})
    if code not in ok:
        raise HostError(f"`{' '.join(argv)}` ended with code {code}: {(err or out).strip()}")
    return code, out


def uid_of(owner: str) -> int | None:
    """The uid of an account name, or None while the account does not exist."""
    try:
        return pwd.getpwnam(owner).pw_uid
    except KeyError:
        return None


def gid_of(group: str) -> int | None:
    """The gid of a group name, or None while the group does not exist."""
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def attributes(path: Path) -> dict[str, Any] | None:
    """Kind, owner, group and mode of a path (never of what a link points at), None if absent."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    kind = "directory" if stat.S_ISDIR(found.st_mode) else "file" if stat.S_ISREG(found.st_mode) else "other"
    return {
        "kind": kind,
        "uid": found.st_uid,
        "gid": found.st_gid,
        "mode": f"{stat.S_IMODE(found.st_mode):04o}",
    }


def settle(path: Path, uid: int, gid: int, mode: int, check: bool) -> list[str]:
    """Give a path its owner, group and mode; return what differed, in words."""
    now = attributes(path)
    if now is None:
        return []
    said = []
    if (now["uid"], now["gid"]) != (uid, gid):
        said.append(f"owner {now['uid']}:{now['gid']} -> {uid}:{gid}")
    if int(now["mode"], 8) != mode:
        said.append(f"mode {now['mode']} -> {mode:04o}")
    if said and not check:
        os.chown(path, uid, gid, follow_symlinks=False)
        path.chmod(mode)
    return said


def make_directory(path: Path, uid: int, gid: int, mode: int, check: bool) -> list[str]:
    """A directory with exactly this owner and mode; return what was (or would be) changed, in words.

    :raises HostError: when something else stands at the path.
    """
    now = attributes(path)
    if now is None:
        if not check:
            path.mkdir(mode=0o700, parents=True)
            os.chown(path, uid, gid)
            path.chmod(mode)
        return [f"{path}: created"]
    if now["kind"] != "directory":
        raise HostError(f"{path} exists and is not a directory; move it away, then run again")
    return [f"{path}: {change}" for change in settle(path, uid, gid, mode, check)]
