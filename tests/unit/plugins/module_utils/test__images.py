"""Images by core IT's criteria."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _images
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2026, 11, 23, tzinfo=UTC)
WANTED = {
    "debian-12": {"owner": "210987654321", "tags": {"CoreIT": "approved", "Os": "debian-12"}, "architecture": "x86_64"}
}


def image(name: str, days: int = 10, *, approved: str = "approved", **changes: Any) -> dict[str, Any]:
    return {
        "ImageId": f"ami-{name}", "Name": name, "OwnerId": "210987654321", "Architecture": "x86_64",
        "State": "available",
        "CreationDate": (NOW - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "Tags": [{"Key": "CoreIT", "Value": approved}, {"Key": "Os", "Value": "debian-12"}],
    } | changes  # fmt: skip


def select(*images: dict[str, Any], wanted: dict[str, Any] = WANTED, days: int = 90) -> dict[str, Any]:
    return _images.select(_images.read_criteria(wanted, days), images, NOW)


def test_the_newest_that_meets_all_criteria() -> None:
    chosen = select(image("old", 40), image("newest", 5), image("newer", 20), image("no", 1, approved="no"))[
        "debian-12"
    ]
    assert (chosen["image_id"], chosen["age_days"], chosen["older"]) == ("ami-newest", 5, ["ami-newer", "ami-old"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"approved": "withdrawn"}, "tag CoreIT is withdrawn, must be approved"),
        ({"Tags": []}, "tag Os is missing, must be debian-12"),
        ({"Architecture": "arm64"}, "architecture is arm64, must be x86_64"),
        ({"OwnerId": "666"}, "owner is 666, must be 210987654321"),
        ({"State": "pending"}, "state is pending"),
        ({"days": 91}, "91 days old, must be at most 90 days"),
        ({"CreationDate": ""}, "of unknown age"),
        ({"DeprecationTime": "2026-01-01T00:00:00.000Z"}, "deprecated since 2026-01-01"),
    ],
)
def test_each_criterion_refuses_and_says_why(changes: dict[str, Any], words: str) -> None:
    days = changes.pop("days", 10)
    with pytest.raises(_images.ImagesError) as error:
        select(image("x", days, **changes))
    assert words in str(error.value)
    assert "ami-x" in str(error.value)


def test_one_message_names_every_key_and_the_nearest_first() -> None:
    wanted = WANTED | {"debian-13": WANTED["debian-12"] | {"tags": {"CoreIT": "approved", "Os": "debian-13"}}}
    far = image("far", 400, Architecture="arm64", Tags=[])
    with pytest.raises(_images.ImagesError) as error:
        select(far, image("near", 95), wanted=wanted)
    text = str(error.value)
    assert "debian-12:" in text
    assert "debian-13:" in text
    assert text.index("ami-near") < text.index("ami-far")


def test_an_empty_shelf_says_whom_to_ask() -> None:
    with pytest.raises(_images.ImagesError, match="ask core IT"):
        select()


def test_a_keys_own_age_goes_first() -> None:
    lax = {"debian-12": WANTED["debian-12"] | {"max_age_days": 400}}
    assert select(image("x", 300), wanted=lax)["debian-12"]["image_id"] == "ami-x"


def test_standing_of_images_in_use() -> None:
    chosen = select(image("new", 5), image("old", 30))
    assert _images.standing(["ami-new", "ami-old", "ami-gone"], chosen) == {
        "ami-new": {"key": "debian-12", "approved": True, "newer": None},
        "ami-old": {"key": "debian-12", "approved": True, "newer": "ami-new"},
        "ami-gone": {"key": None, "approved": False, "newer": None},
    }


@settings(deadline=None)  # the time of one example says nothing on a busy machine
@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from(["approved", "no"])), max_size=8))
def test_never_an_unapproved_or_old_one(shelf: list[tuple[int, str]]) -> None:
    images = [image(str(n), days, approved=tag) for n, (days, tag) in enumerate(shelf)]
    good = [days for days, tag in shelf if tag == "approved" and days <= 90]
    if good:
        assert select(*images)["debian-12"]["age_days"] == min(good)
    else:
        with pytest.raises(_images.ImagesError):
            select(*images)
