"""The data volume of plain hosts."""

from __future__ import annotations

import pytest
from testinfra.host import Host

from tests.hosts import plain

testinfra_hosts = plain.hosts()
PATH = "/srv/data"


@pytest.fixture
def device(host: Host) -> str:
    """The device that is mounted."""
    return host.mount_point(PATH).device


def test_mounted_by_uuid_and_allowed_to_be_absent(host: Host, device: str) -> None:
    mount = host.mount_point(PATH)
    assert mount.filesystem == "ext4"
    assert {"nodev", "nosuid"} <= set(mount.options)
    with host.sudo():
        uuid = host.check_output(f"blkid -p -s UUID -o value {device}")
    lines = [line.split() for line in host.file("/etc/fstab").content_string.splitlines()]
    entry = next(line for line in lines if len(line) > 1 and line[1] == PATH)
    assert entry[0] == f"UUID={uuid}"
    assert "nofail" in entry[3].split(",")


def test_everybody_enters_and_only_root_writes(host: Host) -> None:
    folder = host.file(PATH)
    assert (folder.user, folder.group, folder.mode) == ("root", "root", 0o755)
