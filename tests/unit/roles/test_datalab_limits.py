"""Which limits bind whom."""

from __future__ import annotations

from typing import Any

import datalab_limits
import pytest
from hypothesis import given
from hypothesis import strategies as st

MIB = 2**20


def settings(**more: Any) -> dict[str, Any]:
    return {"memory_limit": "2G", "cpu_limit": 2.0, "groups": [], "projects": [], **more}


def project(name: str = "alpha", **stated: Any) -> dict[str, Any]:
    return {"name": name, "group": f"proj-{name}", "limits": stated}


def of(login: str, *projects: dict[str, Any], **more: Any) -> tuple[int, float]:
    found = datalab_limits.limits(login, list(projects), settings(**more))
    return found["memory"] // MIB, found["cpu"]


HEAVY = {"name": "heavy", "members": ["ines", "otto"], "memory": "8G", "cpu": 6}


def test_default_without_anything_else() -> None:
    assert of("ines", project()) == (2048, 2.0)
    assert of("ines", {"name": "alpha", "group": "g"}) == (2048, 2.0)
    assert of("ines") == (2048, 2.0)


def test_project_before_default() -> None:
    assert of("ines", project(memory="500M", cpu=0.5)) == (500, 0.5)


def test_group_before_project_even_when_it_gives_less() -> None:
    small = {"name": "small", "members": ["ines"], "memory": "100M"}
    assert of("ines", project(memory="500M", cpu=0.5), groups=[small]) == (100, 0.5)
    assert of("otto", project(memory="500M", cpu=0.5), groups=[small]) == (500, 0.5)


def test_largest_of_several_groups() -> None:
    small = {"name": "small", "members": ["ines"], "memory": "100M", "cpu": 7}
    assert of("ines", project(), groups=[small, HEAVY]) == (8192, 7.0)


def test_member_before_group() -> None:
    mine = project(memory="500M", members={"ines": {"memory": "300M"}})
    assert of("ines", mine, groups=[HEAVY]) == (300, 6.0)
    assert of("otto", mine, groups=[HEAVY]) == (8192, 6.0)


def test_member_of_two_projects_gets_the_largest_and_sits_with_whom_gives_it() -> None:
    both = [project("beta", memory="3G", cpu=1), project("alpha", memory="1G", cpu=4)]
    assert of("ines", *both) == (3072, 4.0)
    assert datalab_limits.limits("ines", both, settings())["slice"] == "datalab-beta.slice"
    # A project that states nothing gives the default.
    assert datalab_limits.limits("ines", [project("beta", memory="1G"), project("alpha")], settings())["slice"] == (
        "datalab-alpha.slice"
    )


def test_total_caps_each_server() -> None:
    capped = project(memory="3G", total={"memory": "1G", "cpu": 1.5}, members={"ines": {"memory": "2G"}})
    assert of("ines", capped, groups=[HEAVY]) == (1024, 1.5)
    assert datalab_limits.total(capped) == {"memory": 1024 * MIB, "cpu": 1.5}
    assert datalab_limits.total(project()) == {"memory": None, "cpu": None}


@given(st.permutations(range(4)), st.lists(st.integers(1, 9), min_size=4, max_size=4))
def test_order_of_projects_does_not_matter(order: list[int], sizes: list[int]) -> None:
    all_of_them = [project(f"p{i}", memory=f"{s}G", cpu=s) for i, s in enumerate(sizes)]
    shuffled = [all_of_them[i] for i in order]
    assert datalab_limits.limits("a", shuffled, settings()) == datalab_limits.limits("a", all_of_them, settings())


def test_no_slice_lies_in_another_projects_slice() -> None:
    names = ["my", "my-lab", "my-lab-two"]
    assert len({datalab_limits.slice_name(n) for n in names}) == 3
    assert all(datalab_limits.slice_name(n).count("-") == 1 for n in names)


@pytest.mark.parametrize(("text", "number"), [("400M", 400 * MIB), ("1.5G", 1536 * MIB), (4096, 4096), ("1T", 2**40)])
def test_sizes(text: str | int, number: int) -> None:
    assert datalab_limits.size(text) == number


def test_every_fault_is_named() -> None:
    wrong = settings(
        memory_limit="plenty",
        groups=[{"name": "heavy", "members": [], "cpu": -1}],
        projects=[project(memory="2GB", total={"cpu": "x"}, members={"ines": {"memory": "50%"}})],
    )
    said = datalab_limits.faults(wrong)
    assert [line.split(": ")[0] for line in said[:2]] == ["default.memory", "group heavy.cpu"]
    assert [line.partition("limits")[2].partition(":")[0] for line in said[2:]] == [
        ".memory",
        ".total.cpu",
        ".members.ines.memory",
    ]
    assert datalab_limits.faults(settings(projects=[project(memory="1G")], groups=[HEAVY])) == []
