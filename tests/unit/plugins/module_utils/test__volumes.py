from __future__ import annotations

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _volumes as volumes
from hypothesis import given
from hypothesis import strategies as st

EXT4 = "DEVNAME=/dev/x\nLABEL=atelier-data\nUUID=3f\nVERSION=1.0\nBLOCK_SIZE=4096\nUSAGE=filesystem\nTYPE=ext4\n"


@pytest.mark.parametrize(
    ("blkid", "wipefs", "found"),
    [
        ("", "", {}),
        (EXT4, "ext4\n", {"UUID": "3f", "TYPE": "ext4"}),
        ("DEVNAME=/dev/x\nPTTYPE=gpt\n", "gpt\nPMBR\n", {"PTTYPE": "gpt"}),
        # blkid sees nothing, wipefs does: not blank.
        ("", "linux_raid_member\n", {"PTTYPE": "linux_raid_member"}),
    ],
)
def test_blank_only_when_both_tools_say_so(blkid: str, wipefs: str, found: dict) -> None:
    assert volumes.read_signature(blkid, wipefs) == found


def test_fstab_keeps_every_other_line() -> None:
    before = "# a comment on /srv/data\n\nUUID=1 / ext4 defaults 0 1\n/dev/old /srv/data xfs defaults 0 2\n"
    after = volumes.fstab_with(before, "9", "/srv/data", "nofail")
    assert after == "# a comment on /srv/data\n\nUUID=1 / ext4 defaults 0 1\nUUID=9 /srv/data ext4 nofail 0 2\n"


line = st.text(st.characters(whitelist_categories=("L", "N"), whitelist_characters=" #/="), max_size=30)


@given(st.lists(line, max_size=8))
def test_fstab_settles_after_one_change(lines: list[str]) -> None:
    once = volumes.fstab_with("\n".join(lines), "9", "/srv/data", "nofail")
    assert volumes.fstab_with(once, "9", "/srv/data", "nofail") == once
    mounts = [text.split() for text in once.splitlines() if not text.lstrip().startswith("#")]
    assert len([fields for fields in mounts if len(fields) > 1 and fields[1] == "/srv/data"]) == 1


def test_growth_is_what_the_file_system_does_not_fill() -> None:
    header = "Block count:              262144\nReserved block count:     100\nBlock size:               4096\n"
    assert volumes.grown_bytes(2**30, header) == 0
    assert volumes.grown_bytes(2**30 + 2**20, header) == 0
    assert volumes.grown_bytes(2**31, header) == 2**30
