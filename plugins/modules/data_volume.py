#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The data volume of a machine: formatted only when blank, mounted by UUID."""

from __future__ import annotations

DOCUMENTATION = r"""
module: data_volume
short_description: Format a blank data volume and mount it by UUID
version_added: "0.1.0"
description:
  - Puts an ext4 file system on a device that carries no signature at all, and mounts it by UUID with C(nofail).
  - A device that carries anything else than ext4 is refused with the name of what was found; there is no option
    that makes this module format it.
  - Grows the file system when the volume has grown.
  - Refuses to mount over a directory that holds files, because they would vanish from sight.
options:
  device:
    description: Stable path of the device (C(/dev/disk/by-id/...)). Empty means that the directory is used as it is.
    type: str
    default: ""
  path:
    description: Where the volume is mounted.
    type: path
    required: true
  label:
    description: Label given to a new file system, at most 16 characters.
    type: str
    default: atelier-data
  options:
    description: Mount options.
    type: str
    default: defaults,nodev,nosuid,nofail,x-systemd.device-timeout=30s
  wait:
    description: Seconds to wait for the device, which may be attached moments after boot.
    type: int
    default: 30
attributes:
  check_mode: {support: full, description: Says what would be formatted, written or mounted.}
  diff_mode: {support: full, description: The line of fstab and the steps.}
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Mount the data volume
  atelier.datalab.data_volume:
    device: /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0
    path: /srv/data
"""

RETURN = r"""
changes:
  description: What was changed, in words.
  returned: always
  type: list
  elements: str
uuid:
  description: UUID of the file system; empty without a device, or before a blank one is formatted.
  returned: always
  type: str
"""

import os
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.atelier.datalab.plugins.module_utils._hosts import HostError, make_directory, run
from ansible_collections.atelier.datalab.plugins.module_utils._volumes import (
    fstab_with,
    grown_bytes,
    read_signature,
)

FSTAB = Path("/etc/fstab")
ARGUMENTS = {
    "device": {"type": "str", "default": ""},
    "path": {"type": "path", "required": True},
    "label": {"type": "str", "default": "atelier-data"},
    "options": {"type": "str", "default": "defaults,nodev,nosuid,nofail,x-systemd.device-timeout=30s"},
    "wait": {"type": "int", "default": 30},
}


class Volume:
    """One device on its way to its mount point."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.check = module.check_mode
        self.device = module.params["device"]
        self.path = Path(module.params["path"])
        self.said: list[str] = []
        self.diff: dict[str, str] = {}

    def converge(self) -> str:
        """Do all of it; return the UUID ("" when there is none yet)."""
        mounted = self.path.is_mount()
        if not mounted and self.device:
            self.refuse_hidden_files()
        if not mounted:
            self.said += make_directory(self.path, 0, 0, 0o755, self.check)
        if not self.device:
            return ""
        self.wait_for_device()
        uuid = self.file_system()
        self.table(uuid)
        self.mount(mounted, uuid)
        self.grow()
        return uuid

    def refuse_hidden_files(self) -> None:
        """Files below a mount point disappear when something is mounted over them."""
        if self.path.is_dir() and any(self.path.iterdir()):
            raise HostError(
                f"{self.path} holds files on the root disk and {self.device} is not mounted there; "
                "move them away first: mounting would hide them"
            )

    def wait_for_device(self) -> None:
        """Wait until the device is a block device."""
        end = time.monotonic() + self.module.params["wait"]
        while not Path(self.device).is_block_device():
            if time.monotonic() > end:
                raise HostError(
                    f"{self.device} did not appear in {self.module.params['wait']} s; "
                    "is the volume attached to this instance?"
                )
            time.sleep(0.5)

    def file_system(self) -> str:
        """UUID of the ext4 file system on the device, made when the device is blank."""
        found = self.signature()
        if not found:
            self.said.append(f"{self.device}: blank, formatted ext4")
            if self.check:
                return ""
            label = self.module.params["label"]
            run(self.module, ["mkfs.ext4", "-q", "-m", "1", "-L", label, self.device])
            found = self.signature()
        if found.get("TYPE") != "ext4":
            names = ", ".join(f"{k}={v}" for k, v in sorted(found.items()))
            raise HostError(
                f"{self.device} is not blank and not ext4 ({names}); it is left alone. "
                "Attach the right volume, or clear this one by hand if its content is not needed"
            )
        return found["UUID"]

    def signature(self) -> dict[str, str]:
        """What the device carries; two tools must agree that it is blank."""
        code, out = run(self.module, ["blkid", "-p", "-o", "export", self.device], ok=(0, 2, 8))
        if code == 8:
            raise HostError(f"{self.device} carries several contradictory signatures; it is left alone")
        _, wiped = run(self.module, ["wipefs", "--noheadings", "--parsable", "--output", "TYPE", self.device])
        return read_signature(out, wiped)

    def table(self, uuid: str) -> None:
        """The line of fstab."""
        before = FSTAB.read_text(encoding="utf-8") if FSTAB.exists() else ""
        after = fstab_with(before, uuid or "(set by the format)", str(self.path), self.module.params["options"])
        if after == before:
            return
        self.said.append(f"{FSTAB}: {self.path}")
        self.diff = {"before_header": str(FSTAB), "after_header": str(FSTAB), "before": before, "after": after}
        if self.check:
            return
        scratch = FSTAB.with_name(".fstab.atelier")
        scratch.write_text(after, encoding="utf-8")
        os.chown(scratch, 0, 0)
        scratch.chmod(0o644)
        scratch.replace(FSTAB)
        run(self.module, ["systemctl", "daemon-reload"])

    def mount(self, mounted: bool, uuid: str) -> None:
        """Mount by fstab, and make sure that what is mounted is this file system."""
        if not mounted:
            self.said.append(f"{self.path}: mounted")
            if self.check:
                return
            run(self.module, ["mount", str(self.path)])
            self.path.chmod(0o755)
        # The kernel's numbers, because findmnt asks udev, which a minimal host may not run.
        mounted_number, device_number = self.path.stat().st_dev, Path(self.device).stat().st_rdev
        if mounted_number != device_number:
            raise HostError(f"{self.path} is mounted from another device than {self.device} (UUID {uuid})")

    def grow(self) -> None:
        """Let the file system fill a volume that was enlarged."""
        if not self.path.is_mount():
            return
        _, size = run(self.module, ["blockdev", "--getsize64", self.device])
        _, header = run(self.module, ["dumpe2fs", "-h", self.device])
        gained = grown_bytes(int(size), header)
        if gained:
            self.said.append(f"{self.path}: grown by {gained // 2**20} MiB")
            if not self.check:
                run(self.module, ["resize2fs", self.device])


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    os.umask(0o022)
    volume = Volume(module)
    try:
        uuid = volume.converge()
    except (HostError, OSError) as error:
        module.fail_json(msg=str(error))
    result: dict[str, Any] = {"changed": bool(volume.said), "changes": volume.said, "uuid": uuid}
    if volume.said:
        result["diff"] = [volume.diff, {"prepared": "\n".join(volume.said) + "\n"}]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
