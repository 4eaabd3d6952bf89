"""Images that core IT shares, as DescribeImages shows them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab import launcher
from tests.contract.emulator.conftest import CORE_IT, IMAGE

OTHERS = [
    {
        "owner": CORE_IT,
        "name": "debian-13-20261001",
        "creation_date": "2026-10-01T06:00:00.000Z",
        "tags": {"CoreIT": "approved", "Os": "debian-13"},
    },
    {
        "owner": CORE_IT,
        "name": "debian-13-20261101",
        "creation_date": "2026-11-01T06:00:00.000Z",
        "tags": {"CoreIT": "approved", "Os": "debian-13"},
    },
    {"owner": CORE_IT, "name": "debian-13-arm", "architecture": "arm64", "tags": {"Os": "debian-13"}},
    {"owner": "555555555555", "name": "somebodys-debian-13", "tags": {"Os": "debian-13"}},
]


@pytest.fixture(scope="module")
def ids(emulator: launcher.Emulator) -> dict[str, str]:
    """Seed the images; yields their ids by name."""
    return launcher.register_images(emulator, OTHERS)


def find(cloud: Any, owner: str | None = CORE_IT, **filters: str) -> list[str]:
    conditions = [{"Name": k.replace("__", ":").replace("_", "-"), "Values": [v]} for k, v in filters.items()]
    arguments = {"Owners": [owner]} if owner else {}
    return sorted(i["Name"] for i in cloud.ec2.describe_images(Filters=conditions, **arguments)["Images"])


def test_owner_tag_and_architecture_are_honoured(cloud: Any, ids: dict[str, str]) -> None:
    debian = {"tag__Os": "debian-13"}
    assert find(cloud, **debian) == ["debian-13-20261001", "debian-13-20261101", "debian-13-arm"]
    assert find(cloud, **debian, tag__CoreIT="approved", architecture="x86_64") == OTHERS_X86
    assert find(cloud, **debian, architecture="arm64") == ["debian-13-arm"]
    assert find(cloud, "555555555555", **debian) == ["somebodys-debian-13"]
    assert find(cloud, "self") == []


OTHERS_X86 = ["debian-13-20261001", "debian-13-20261101"]


def test_an_account_sees_only_what_is_shared_with_it(cloud: Any, ids: dict[str, str]) -> None:
    assert find(cloud, None) == sorted([IMAGE["name"], *ids])


def test_creation_date_owner_and_state_are_shown(cloud: Any, ids: dict[str, str]) -> None:
    found = cloud.ec2.describe_images(ImageIds=[ids["debian-13-20261101"]])["Images"][0]
    assert found["CreationDate"] == "2026-11-01T06:00:00.000Z"
    assert (found["OwnerId"], found["State"]) == (CORE_IT, "available")
    assert found["RootDeviceName"] == "/dev/xvda"


def test_seeding_again_gives_the_same_images(emulator: launcher.Emulator, cloud: Any, ids: dict[str, str]) -> None:
    before = find(cloud, None)
    assert launcher.register_images(emulator, OTHERS) == ids
    assert find(cloud, None) == before


def test_unknown_image_is_an_error(cloud: Any) -> None:
    with pytest.raises(ClientError, match="does not exist"):
        cloud.ec2.describe_images(ImageIds=["ami-0123456789abcdef0"])


def test_an_image_without_a_name_is_refused_in_words(emulator: launcher.Emulator) -> None:
    with pytest.raises(launcher.LauncherError, match="KeyError: 'name'"):
        launcher.register_images(emulator, [{"owner": CORE_IT}])
