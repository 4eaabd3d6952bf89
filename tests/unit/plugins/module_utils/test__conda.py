from __future__ import annotations

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils._conda import (
    CondaError,
    Spec,
    check_specs,
    difference,
    explain,
    generation_name,
)
from ansible_collections.atelier.datalab.plugins.module_utils._conda_sources import prepare
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text("abcdefgh", min_size=1, max_size=3)


def package(name: str, version: str = "1.0", build: str = "0") -> dict:
    url = f"https://conda.anaconda.org/conda-forge/noarch/{name}-{version}-{build}.conda"
    return {
        "name": name, "version": version, "build": build, "subdir": "noarch", "url": url, "sha256": "0" * 64, "size": 1,
    }  # fmt: skip


PACKAGES = st.dictionaries(NAMES, st.sampled_from(["1", "2"])).map(lambda d: [package(n, v) for n, v in d.items()])


def test_spelling_and_order_of_packages_do_not_matter() -> None:
    one = Spec.from_options({"name": "x", "packages": ["numpy", "python  >=3.12", "numpy "]})
    other = Spec.from_options({"name": "x", "packages": ["python >=3.12", "numpy"]})
    assert one.document() == other.document()


def test_order_of_channels_matters() -> None:
    one, other = (Spec.from_options({"name": "x", "packages": ["a"], "channels": c}) for c in (["u", "v"], ["v", "u"]))
    assert one.document() != other.document()


def test_every_offence_is_named_at_once() -> None:
    specs = [Spec("../etc", ("a",)), Spec("Hub", ("a",)), Spec("twice", ("a",)), Spec("twice", ("a",)), Spec("empty")]
    with pytest.raises(CondaError) as raised:
        check_specs(specs)
    for part in ("'../etc'", "'Hub'", "twice: given twice", "empty: give packages or a lock"):
        assert part in str(raised.value)


@given(PACKAGES)
def test_generation_depends_on_content_not_order(packages: list[dict]) -> None:
    assert generation_name(packages) == generation_name(packages[::-1])
    assert generation_name(packages) != generation_name([*packages, package("zzz")])
    rebuilt = [p | {"sha256": "1" * 64} for p in packages]
    assert not packages or generation_name(packages) != generation_name(rebuilt)


@given(PACKAGES, PACKAGES)
def test_difference_accounts_for_every_package(before: list[dict], after: list[dict]) -> None:
    found = difference(before, after)
    names = {line.split()[0] for line in (*found.added, *found.removed, *found.changed)}
    old, new = ({p["name"]: p for p in side} for side in (before, after))
    assert names == {n for n in old.keys() | new.keys() if old.get(n) != new.get(n)}
    assert bool(found) == bool(names)
    assert len(found.lines()) == len(names)


def test_difference_shows_versions() -> None:
    found = difference([package("numpy", "1.0"), package("old")], [package("numpy", "2.0"), package("new")])
    assert found.lines() == ["- old 1.0 0", "~ numpy 1.0 0 -> 2.0 0", "+ new 1.0 0"]


def test_mirrors_are_found_by_name_and_by_address() -> None:
    mirrors = {"conda-forge": ["http://m/cf"], "https://c.example.com/x/": ["http://m/x/"], "unused": []}
    assert prepare({"mirrors": mirrors})["mirrors"] == {
        "https://conda.anaconda.org/conda-forge": ["http://m/cf/"],
        "https://c.example.com/x": ["http://m/x/"],
    }


def test_environments_that_fail_alike_share_a_line() -> None:
    text = explain({"a": "error sending request", "b": "error sending request", "c": "No space left on device"})
    assert len(text.splitlines()) == 2
    assert "a and b: the channel does not answer" in text
    assert "c: the disk is full" in text


def test_long_words_of_the_engine_are_cut() -> None:
    assert len(explain({"a": "x " * 5000})) < 800
