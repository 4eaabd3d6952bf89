"""What is mounted on this host and where its data lies. Standard library, Python 3.9 on.

For internal use of this collection.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# File systems that hold nobody's data.
_PSEUDO = frozenset((
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
    "fusectl", "hugetlbfs", "mqueue", "nsfs", "overlay", "proc", "pstore", "ramfs", "rpc_pipefs", "securityfs",
    "selinuxfs", "squashfs", "sysfs", "tmpfs", "tracefs", "fuse.lxcfs", "fuse.snapfuse",
))  # fmt: skip
# Where people and services keep data; each folder below is measured by itself.
PLACES = ("home", "srv", "opt", "data", "mnt", "var/lib", "var/www", "root")
# Of the distribution, below var/lib.
_DULL = frozenset((
    "apt", "aptitude", "dpkg", "rpm", "dnf", "yum", "systemd", "cloud", "ucf", "dbus", "polkit-1", "man-db",
    "apparmor", "initramfs-tools", "logrotate", "misc", "pam", "python", "sudo", "update-notifier",
    "ubuntu-advantage", "snapd", "fwupd", "usbutils", "os-prober", "private", "shells.state", "vim",
    "AccountsService", "alternatives", "authselect", "chrony", "NetworkManager", "plymouth", "rpm-state",
    "selinux", "tuned", "amazon", "git", "dhcp", "dhclient", "ieee-data",
))  # fmt: skip
_TOP = 15


def mounts(measure: Callable[[str], os.statvfs_result], table: str = "/proc/mounts") -> list[dict[str, Any]]:
    """Real file systems with their sizes in bytes; None for one that does not answer in time."""
    found: dict[str, dict[str, Any]] = {}
    for line in Path(table).read_text(errors="replace").splitlines():
        parts = line.split()
        if len(parts) < 3 or parts[2] in _PSEUDO:
            continue
        source, path, kind = _plain(parts[0]), _plain(parts[1]), parts[2]
        if any(one["source"] == source and one["type"] == kind for one in found.values()):
            continue  # a bind mount of what is there already
        found[path] = {"path": path, "source": source, "type": kind, "size": None, "used": None}
        try:
            answer = measure(path)
        except Exception:  # noqa: S112  an export that hangs or refuses: the sizes stay None, the report says so
            continue
        found[path]["size"] = answer.f_blocks * answer.f_frsize
        found[path]["used"] = (answer.f_blocks - answer.f_bfree) * answer.f_frsize
    return [found[path] for path in sorted(found)]


def _plain(text: str) -> str:
    """Spaces and the like stand as octal in the kernel's table."""
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def places(root: str = "/") -> list[Path]:
    """Folders worth measuring."""
    found = []
    for place in PLACES:
        folder = Path(root) / place
        try:
            inside = [one for one in sorted(folder.iterdir()) if one.is_dir() and not one.is_symlink()]
        except OSError:
            continue  # not there
        found += [one for one in inside if not (place == "var/lib" and one.name in _DULL)]
    return found


def directories(seconds: float, root: str = "/") -> list[dict[str, Any]]:
    """The largest folders of data: bytes on disk and their newest file. What time did not allow is marked."""
    end = time.monotonic() + seconds
    found = []
    folders = places(root)
    for number, folder in enumerate(folders):
        # Each gets its share of the time that is left, so that one huge tree does not hide the others.
        share = max(0.0, end - time.monotonic()) / (len(folders) - number)
        found.append(measure(folder, time.monotonic() + share, root))
    found.sort(key=lambda one: (-one["bytes"], one["path"]))
    return [one for one in found if one["bytes"]][:_TOP]


def measure(folder: Path, end: float, root: str = "/") -> dict[str, Any]:
    """Size of one folder without what is mounted below it; stops at `end` (time.monotonic)."""
    total, newest, complete = 0, 0.0, True
    try:
        device = folder.stat().st_dev
    except OSError:
        device = -1
    for entry in walk(folder, device):
        if time.monotonic() > end:
            complete = False
            break
        total += entry.st_blocks * 512
        newest = max(newest, entry.st_mtime)
    return {
        "path": "/" + str(folder.relative_to(root)),
        "bytes": total,
        "newest": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(newest)) if newest else "",
        "complete": complete,
    }


def walk(folder: Path, device: int) -> Iterator[os.stat_result]:
    """Every file below, on the same device; links are not followed, what we may not enter is passed over."""
    waiting = [str(folder)]
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except OSError:
            continue
        with entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if found.st_dev == device:
                        waiting.append(entry.path)
                else:
                    yield found
