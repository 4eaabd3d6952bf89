"""The marker is what tells the images apart; the role itself only reads."""

from __future__ import annotations

import json

import pytest
from testinfra import get_host
from testinfra.host import Host

from tests.hosts import plain

MARKER = "/etc/core-it/image.json"


@pytest.mark.parametrize("address", plain.hosts())
def test_approved_image_carries_the_marker(address: str) -> None:
    host: Host = get_host(address)
    marker = json.loads(host.file(MARKER).content_string)
    assert marker["approved"] is True
    assert host.file(MARKER).user == "root"
    assert not host.file(MARKER).mode & 0o022


@pytest.mark.parametrize("address", plain.hosts("unapproved"))
def test_unapproved_image_carries_none(address: str) -> None:
    assert not get_host(address).file(MARKER).exists
