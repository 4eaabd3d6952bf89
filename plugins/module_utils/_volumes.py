"""Pure logic of the data volume: signatures, the line of fstab, growth."""

from __future__ import annotations

import re


def read_signature(blkid: str, wipefs: str) -> dict[str, str]:
    """Join what ``blkid -p -o export`` and ``wipefs`` say of a device; empty means blank for both.

    >>> read_signature("", "")
    {}
    """
    found = dict(line.split("=", 1) for line in blkid.splitlines() if "=" in line)
    for noise in ("DEVNAME", "BLOCK_SIZE", "FSBLOCKSIZE", "FSLASTBLOCK", "FSSIZE", "USAGE", "VERSION", "LABEL"):
        found.pop(noise, None)
    wiped = sorted({line.strip() for line in wipefs.splitlines() if line.strip() and not line.startswith("#")})
    if wiped and "TYPE" not in found:
        found.setdefault("PTTYPE", ",".join(wiped))
    return found


def fstab_with(text: str, uuid: str, path: str, options: str) -> str:
    """The text of fstab with exactly one line for a mount point; every other line is kept as it stands."""
    line = f"UUID={uuid} {path} ext4 {options} 0 2"
    kept, placed = [], False
    for old in text.splitlines():
        fields = old.split()
        if old.lstrip().startswith("#") or len(fields) < 2 or fields[1] != path:
            kept.append(old)
        elif not placed:
            kept.append(line)
            placed = True
    if not placed:
        kept.append(line)
    return "\n".join(kept) + "\n"


def grown_bytes(device_bytes: int, header: str) -> int:
    """Bytes by which a device exceeds its ext4 file system, 0 when the rest is less than 16 MiB.

    :param header: output of ``dumpe2fs -h``.
    """
    sizes = dict(re.findall(r"^(Block count|Block size):\s+(\d+)$", header, re.MULTILINE))
    spare = device_bytes - int(sizes["Block count"]) * int(sizes["Block size"])
    return spare if spare >= 16 * 2**20 else 0
