"""The module's documentation says what its code takes."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.module_utils import _aws
from ansible_collections.atelier.datalab.plugins.modules import approved_images


class Shelf:
    """EC2 as the module uses it; keeps what it was asked."""

    def __init__(self, *images: dict) -> None:
        self.images = images
        self.asked: list[dict] = []

    def get_paginator(self, name: str) -> Shelf:
        assert name == "describe_images"
        return self

    def paginate(self, **request: object) -> list[dict]:
        self.asked.append(request)
        return [{"Images": [image]} for image in self.images]


def image(days: str = "2026-11-20") -> dict:
    return {
        "ImageId": "ami-1",
        "Name": "x",
        "OwnerId": "1",
        "Architecture": "x86_64",
        "CreationDate": f"{days}T00:00:00Z",
    }


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shelf: Shelf, **options: object) -> dict:
    monkeypatch.setattr(_aws, "client", lambda *_: shelf)
    with (
        patch_module_args({"images": {"a": {"owner": "1"}, "b": {"owner": "2"}}, **options}),
        pytest.raises(SystemExit),
    ):
        approved_images.main()
    return json.loads(capsys.readouterr().out)


def test_only_the_keys_that_matter_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = Shelf(image())
    found = run(monkeypatch, capsys, shelf, only=["a"], max_age_days=100000)
    assert shelf.asked == [{"Owners": ["1"]}]
    assert found["late_values"] == {"image.a": "ami-1"}
    assert found["changed"] is False


@pytest.mark.parametrize(
    ("on_old", "failed", "warned"), [("refuse", True, False), ("warn", False, True), ("off", False, False)]
)
def test_an_old_image(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], on_old: str, failed: bool, warned: bool
) -> None:
    found = run(monkeypatch, capsys, Shelf(image("2020-01-01")), only=["a"], on_old=on_old)
    assert found.get("failed", False) is failed
    assert any("must be at most 180 days" in str(warning) for warning in found.get("warnings", [])) is warned


def test_a_keys_own_severity_goes_before_the_general_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = {"a": {"owner": "1", "on_old": "warn"}, "b": {"owner": "1"}}
    shelf = Shelf(image("2020-01-01"))
    assert run(monkeypatch, capsys, shelf, images=images, only=["a"])["ids"] == {"a": "ami-1"}
    assert run(monkeypatch, capsys, shelf, images=images)["failed"]


def test_an_unknown_key_is_named_with_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(monkeypatch, capsys, Shelf(), only=["c"])
    assert found["msg"] == "No such image key: c; core IT's keys are a, b"


def test_documented_options_exist() -> None:
    assert {"images", "only", "on_old", "max_age_days", "in_use"} == yaml.safe_load(approved_images.DOCUMENTATION)[
        "options"
    ].keys()
