"""A reviewed file that is wrong in its form: one message, every fault."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from ansible_collections.atelier.datalab.plugins.module_utils import _adopt, _normalise
from hypothesis import given
from hypothesis import strategies as st

GOOD = {
    "id": "i-0123456789abcdef0", "account": "123456789012", "region": "eu-west-1", "apply": True, "tags": {},
    "seen": {},
}  # fmt: skip
VOCABULARY = _normalise.Vocabulary({"Project": frozenset({"alpha", "beta"})}, re.compile("[a-z]+"))


def read(*entries: Any) -> list[_normalise.Entry]:
    return _normalise.read(yaml.safe_dump({"entries": list(entries)}), "p.yml")


def test_what_the_audit_writes_can_be_read() -> None:
    entry = read(GOOD | {"adopt": False, "rename": "", "why": {"Project": ["no clue"]}})[0]
    assert (entry.id, entry.wanted) == (GOOD["id"], {})


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("text", "entries[0]: is not a mapping"),
        (GOOD | {"apply": "yes please"}, "entries[0].apply = 'yes please': is no yes or no; write true or false"),
        (GOOD | {"account": 123456789012}, "entries[0].account = 123456789012: is no text; write a text in quotes"),
        (GOOD | {"tags": {"Project": 7}}, "entries[0].tags.Project = 7: is no text; put it in quotes"),
        (GOOD | {"id": "vol-0123456789abcdef0"}, "entries[0].id = vol-0123456789abcdef0: is no id of an instance"),
        (GOOD | {"appply": True}, "entries[0].appply: is not known; remove it"),
        ({key: value for key, value in GOOD.items() if key != "seen"}, "entries[0].seen: is missing"),
    ],
)
def test_faults_of_form(entry: Any, said: str) -> None:
    with pytest.raises(_normalise.NormaliseError) as caught:
        read(entry)
    assert said in str(caught.value)
    assert str(caught.value).startswith("p.yml has 1 fault; nothing was changed.")


def test_all_faults_in_one_message() -> None:
    with pytest.raises(_normalise.NormaliseError) as caught:
        read(GOOD | {"apply": 1}, GOOD | {"region": None})
    assert str(caught.value).startswith("p.yml has 3 faults")
    assert f"{GOOD['id']}: there 2 times; keep one" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "not readable as YAML"), ("a: 1", "no list entries"), ("", "no list")]
)
def test_files_that_are_no_review(text: str, said: str) -> None:
    with pytest.raises(_normalise.NormaliseError, match=said):
        _normalise.read(text, "p.yml")


@given(
    st.dictionaries(st.sampled_from(["A", "Name", "Project"]), st.sampled_from(["alpha", "beta", "x"])),
    st.sampled_from([{}, {"Project": "alpha"}, {"Project": "beta"}]),
)
def test_applied_once_it_is_as_wanted_for_ever(seen: dict[str, str], tags: dict[str, str]) -> None:
    entries = read(GOOD | {"seen": seen, "tags": tags})
    now = dict(seen)
    for change in _normalise.plan(entries, {GOOD["id"]: now}, {}, VOCABULARY, "p.yml"):
        now |= {key: new for key, (_, new) in change.tags.items()}
    assert now == seen | tags
    assert [one.tags for one in _normalise.plan(entries, {GOOD["id"]: now}, {}, VOCABULARY, "p.yml")] == [{}]


def test_two_machines_with_one_name() -> None:
    other = GOOD | {"id": "i-0123456789abcdef1", "rename": "same"}
    entries = read(GOOD | {"rename": "same"}, other)
    with pytest.raises(_normalise.NormaliseError, match="all are to be named same"):
        _normalise.plan(entries, {one.id: {} for one in entries}, {}, VOCABULARY, "p.yml")


def test_volumes_that_end_with_the_machine_are_not_adopted() -> None:
    machine = {
        "BlockDeviceMappings": [
            {"Ebs": {"VolumeId": "vol-root", "DeleteOnTermination": True}},
            {"Ebs": {"VolumeId": "vol-data", "DeleteOnTermination": False}},
        ]
    }
    volumes = [{"VolumeId": "vol-data"}, {"VolumeId": "vol-root"}]
    assert _adopt.kept_volumes(machine, volumes) == [{"VolumeId": "vol-data"}]


def test_tags_of_aws_are_not_written_into_a_template() -> None:
    raw = {"Tags": [{"Key": "aws:x", "Value": "1"}, {"Key": "Name", "Value": "a"}]}
    assert _adopt.tags(raw) == [{"Key": "Name", "Value": "a"}]
