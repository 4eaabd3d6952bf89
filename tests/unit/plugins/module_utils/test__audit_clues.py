"""Never from one weak clue; with contradictions it says unknown and shows what speaks for what."""

from __future__ import annotations

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _audit_clues as clues
from hypothesis import given
from hypothesis import strategies as st

VOCABULARY = {
    "Project": frozenset({"alpha", "beta"}),
    "Owner": frozenset({"alice", "carol"}),
    "Role": frozenset({"workstation", "database"}),
}


def clue(attribute: str, match: str, weight: int, family: str = "", **proposes: str) -> dict:
    return {"attribute": attribute, "match": match, "weight": weight, "proposes": proposes} | (
        {"family": family} if family else {}
    )


def judge(*entries: dict, **enough: int) -> clues.Judge:
    return clues.Judge(clues.read_clues(entries, {"unit": "software", "process": "software"}), VOCABULARY, **enough)


def facts(*pairs: tuple[str, str]) -> list[clues.Fact]:
    return [clues.Fact(attribute, value, f"{attribute} {value}") for attribute, value in pairs]


NAMED = clue("name", r"(?P<p>\w+)-.*", 50, Project=r"\g<p>")
MOUNT = clue("mount", r"/mnt/(\w+)", 60, Project=r"\1")


def project(*pairs: tuple[str, str], tags: dict[str, str] | None = None, **enough: int) -> clues.Proposal:
    return clues.propose(facts(*pairs), tags or {}, judge(NAMED, MOUNT, **enough))["Project"]


def test_two_kinds_that_agree_are_enough() -> None:
    found = project(("name", "alpha-box"), ("mount", "/mnt/alpha"))
    assert (found.value, found.confidence, found.stated) == ("alpha", 80, False)  # 1 - 0.5 * 0.4
    assert found.votes[0].proofs == ("mount 60 %: mount /mnt/alpha", "name 50 %: name alpha-box")


def test_below_the_threshold_it_is_unknown() -> None:
    found = project(("name", "alpha-box"), ("mount", "/mnt/alpha"), threshold=81)
    assert (found.value, found.why) == (None, "alpha has 80 %, 81 % are needed")


@given(st.integers(min_value=1, max_value=95), st.integers(min_value=1, max_value=30))
def test_one_kind_is_never_enough_however_heavy_and_often(weight: int, times: int) -> None:
    one = judge(clue("process", ".*", weight, Role="workstation"), clue("unit", ".*", weight, Role="workstation"))
    said = facts(*[("process", f"p{n}") for n in range(times)], ("unit", "u"))
    found = clues.propose(said, {}, one)["Role"]
    assert found.value is None
    assert found.confidence == weight, "the same thing said again makes nobody surer"


def test_contradicting_clues_are_unknown_and_shown() -> None:
    found = project(("name", "alpha-box"), ("mount", "/mnt/alpha"), ("mount", "/mnt/beta"))
    assert (found.value, found.why) == (None, "clues contradict: alpha 80 %, beta 60 %")
    assert [(vote.value, vote.confidence) for vote in found.votes] == [("alpha", 80), ("beta", 60)]


def test_what_is_not_in_the_vocabulary_has_no_vote() -> None:
    assert project(("name", "gamma-box"), ("mount", "/mnt/gamma")).why == "no clue"


def test_a_tag_is_taken_as_it_is_and_doubted_aloud() -> None:
    agreed = project(("name", "alpha-box"), tags={"Project": "alpha"})
    assert (agreed.value, agreed.confidence, agreed.stated, agreed.why) == ("alpha", 100, True, "the tag says so")
    doubted = project(("name", "alpha-box"), ("mount", "/mnt/alpha"), tags={"Project": "beta"})
    assert (doubted.value, doubted.why) == ("beta", "the tag says so; clues say alpha")
    assert project(tags={"Project": "gamma"}).value is None


@given(st.permutations([("name", "alpha-box"), ("mount", "/mnt/alpha"), ("mount", "/mnt/beta"), ("name", "beta-box")]))
def test_the_order_of_facts_does_not_matter(order: list[tuple[str, str]]) -> None:
    assert project(*order) == project(*sorted(order))


def test_one_message_names_every_wrong_clue() -> None:
    wrong = [
        clue("name", "(", 50, Project="alpha"),
        clue("name", "a", 96, Project="alpha"),
        clue("name", "a", 50, Colour="red"),
        clue("name", "a", 50, Project=r"\g<p>"),
        {"attribute": "name"},
    ]
    with pytest.raises(clues.CluesError) as caught:
        clues.read_clues(wrong, {})
    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    assert "clue 1 (name: (): match is not a regular expression" in lines[1]
    assert "weight 96 is not from 1 to 95" in lines[2]
    assert "keys out of Project, Owner, Role" in lines[3]
    assert "a group that match does not have" in lines[4]
    assert "match, proposes, weight is missing" in lines[5]
