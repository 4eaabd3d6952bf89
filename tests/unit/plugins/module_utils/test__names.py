"""Names, ids and tags are the same everywhere and within the limits of those who take them."""

from __future__ import annotations

import re

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _names as names
from hypothesis import given, settings
from hypothesis import strategies as st

settings.register_profile("steady", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("steady")


def test_names_are_those_of_the_house() -> None:
    assert names.machine_name("preprod", "alpha", "workstation", 1) == "preprod-alpha-workstation-01"
    assert (
        names.stack_name("preprod", "machine", "alpha", "workstation", "01") == "preprod-machine-alpha-workstation-01"
    )
    assert names.group_name("alpha") == "proj-alpha"


@pytest.mark.parametrize(("name", "number"), [("alice", 156_720), ("bob", 287_625), ("proj-alpha", 387_724)])
def test_derived_ids_never_change(name: str, number: int) -> None:
    """Files on data volumes carry these numbers: another formula would give them to somebody else."""
    assert names.derived_id(name) == number


@given(st.text())
def test_derived_ids_stay_in_their_range(name: str) -> None:
    assert 100_000 <= names.derived_id(name) < 900_000


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4), st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_logical_ids_are_legal_and_apart(one: list[str], other: list[str]) -> None:
    first, second = names.logical_id(*one), names.logical_id(*other)
    assert re.fullmatch(r"[A-Za-z0-9]{1,255}", first)
    assert (first == second) == (one == other)


def test_logical_ids_can_be_read() -> None:
    assert names.logical_id("notebooks-alpha", "Ingress", "10.0.0.0/8") == "NotebooksAlphaIngress10000844dab091"


def test_tags_are_the_mandatory_ones_and_cannot_be_overridden() -> None:
    made = names.tags(
        name="n",
        project="p",
        environment="e",
        role="r",
        owner="o",
        cost_center="c",
        schedule="s",
        backup="b",
        extra={"Owner": "somebody", "DataClass": "internal"},
    )
    assert set(names.MANDATORY_TAGS) <= set(made)
    assert made["Owner"] == "o"
    assert made["DataClass"] == "internal"
    assert made["ManagedBy"] == "atelier.datalab"


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("Purpose", "demand forecasts", None),
        ("Purpose", "é + - = . _ : / @", None),
        ("Purpose", "v" * 256, None),
        ("Purpose", "v" * 257, "257"),
        ("k" * 129, "v", "129"),
        ("", "v", "needs a key"),
        ("Purpose", " ", "empty"),
        ("Purpose", " v", "space at its begin"),
        ("AWS:x", "v", "reserved"),
        ("Purpose", "a;b", "allows"),
    ],
)
def test_tag_limits(key: str, value: str, problem: str | None) -> None:
    found = names.tag_problem(key, value)
    assert found is None if problem is None else problem in (found or "")
