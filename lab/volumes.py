"""EBS data volumes: sparse files on loop devices, found in the host under the name AWS gives them.

A host has no udev. What systemd and the roles need of it is made here: the link in /dev/disk/by-id, and the record in
/run/udev with which systemd finds the device when a later boot mounts it from /etc/fstab.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from lab.errors import LabError
from lab.identity import Lab
from lab.shell import run, succeeds

GIB = 1024**3
LOCK = Path("/run/lock/atelier-lab-loops")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Loop devices are the whole computer's: between a look and a step another lab must not be given the same one."""
    with LOCK.open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def by_id(volume: str) -> str:
    """Return the name that AWS's Nitro instances show an EBS volume under in /dev/disk/by-id."""
    return f"nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"


class Volumes:
    """The data volumes of one lab."""

    def __init__(self, lab: Lab) -> None:
        self.folder = lab.state / "volumes"

    def file(self, volume: str) -> Path:
        """Return the file that holds a volume."""
        return self.folder / f"{volume}.img"

    def kept(self) -> set[str]:
        """Return the ids of the volumes that have a file."""
        return {path.stem for path in self.folder.glob("vol-*.img")}

    def open(self, volume: str, gib: int) -> Path:
        """Put a volume on a loop device and return that device; makes or grows the file as needed."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self.file(volume)
        with file.open("ab") as handle:
            grown = 0 < handle.tell() < gib * GIB
            if handle.tell() < gib * GIB:
                handle.truncate(gib * GIB)
        with _alone():
            device = self.device(volume)
            if device and grown:
                run("losetup", "--set-capacity", str(device))
            return device or Path(run("losetup", "--find", "--show", str(file)))

    def device(self, volume: str) -> Path | None:
        """Return the loop device of a volume, if it is on one."""
        found = run("losetup", "--noheadings", "--output", "NAME", "--associated", str(self.file(volume))).split()
        return Path(found[0]) if found else None

    def close(self, volume: str) -> None:
        """Take a volume off its loop device; the file stays."""
        if self.file(volume).exists():
            with _alone():
                if device := self.device(volume):
                    run("losetup", "--detach", str(device))
            if self.device(volume):  # the kernel lets go of it when its last user does
                raise LabError(f"{volume} is still in use in its host: unmount it there")

    def forget(self, volume: str) -> None:
        """Remove a volume that EC2 no longer has."""
        self.close(volume)
        self.file(volume).unlink(missing_ok=True)

    def close_all(self) -> None:
        """Take every volume of this lab off its loop device."""
        with _alone():
            for device in self.loops():
                run("losetup", "--detach", device)

    def loops(self) -> list[str]:
        """Return the loop devices of this lab, those of removed files included."""
        found = []
        for line in run("losetup", "--noheadings", "--list", "--output", "NAME,BACK-FILE").splitlines():
            device, _, file = line.strip().partition(" ")
            if file.strip().startswith(f"{self.folder}/"):
                found.append(device)
        return found


def publish(folder: Path, devices: dict[str, Path]) -> None:
    """Write what a host sees of its volumes under its folder: `run/devices`, `by-id/`, `by-uuid/` and `udev/`.

    These folders are mounted into the host, so they change in place and are never replaced.
    """
    for name in ("run", "by-id", "by-uuid", "udev/data", "udev/tags/systemd"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    numbers = {volume: os.stat(device).st_rdev for volume, device in devices.items()}  # noqa: PTH116
    lines = [f"{devices[v].name} {os.major(n)} {os.minor(n)}" for v, n in sorted(numbers.items())]
    (folder / "run/devices").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    names = {volume: [f"by-id/{by_id(volume)}", *_uuid(device)] for volume, device in devices.items()}
    _write_links(folder, {name: f"../../{devices[v].name}" for v, found in names.items() for name in found})
    _write_udev(folder / "udev", {f"b{os.major(n)}:{os.minor(n)}": names[v] for v, n in numbers.items()})


def _uuid(device: Path) -> list[str]:
    """Return the link of a formatted volume; /etc/fstab names it by this, and systemd waits until it is known."""
    ask = ("blkid", "--probe", "--output", "value", "--match-tag", "UUID", str(device))
    return [f"by-uuid/{run(*ask)}"] if succeeds(*ask) else []


def _write_links(folder: Path, links: dict[str, str]) -> None:
    for stale in [*(folder / "by-id").iterdir(), *(folder / "by-uuid").iterdir()]:
        if links.get(str(stale.relative_to(folder))) != os.readlink(stale):  # noqa: PTH115
            stale.unlink()
    for name, target in links.items():
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(target)


def _write_udev(folder: Path, links: dict[str, list[str]]) -> None:
    for kind in ("data", "tags/systemd"):
        for stale in (folder / kind).iterdir():
            if stale.name not in links:
                stale.unlink()
    for number, names in links.items():
        symlinks = "".join(f"S:disk/{name}\n" for name in names)
        record = f"{symlinks}I:1\nE:SYSTEMD_READY=1\nG:systemd\nQ:systemd\nV:1\n"
        (folder / "data" / number).write_text(record, encoding="utf-8")
        (folder / "tags/systemd" / number).touch()
