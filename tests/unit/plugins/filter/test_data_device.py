from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.atelier.datalab.plugins.filter.data_device import data_device

ROOT = {"device_name": "/dev/xvda", "ebs": {"volume_id": "vol-0aa"}}
DATA = {"device_name": "/dev/sdf", "ebs": {"volume_id": "vol-0bb"}}


def test_the_volume_that_is_not_the_root_disk() -> None:
    path = data_device([ROOT, DATA], "/dev/xvda")
    assert path == "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0bb"


def test_root_disk_only() -> None:
    assert data_device([ROOT], "/dev/xvda") == ""


def test_two_data_volumes_are_not_guessed_between() -> None:
    other = {"device_name": "/dev/sdg", "ebs": {"volume_id": "vol-0cc"}}
    with pytest.raises(AnsibleFilterError, match="vol-0bb, vol-0cc"):
        data_device([ROOT, DATA, other], "/dev/xvda")
