from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils._conda import CondaError, Spec
from ansible_collections.atelier.datalab.plugins.module_utils._conda_lock import Lock, read_locks, stale

CONDA = "version: 7\nplatforms:\n- name: linux-64\n"
PIP = "thing==1.0 \\\n    --hash=sha256:0\n"
OPTIONS = {"name": "lab", "packages": ["python=3.12", "numpy"], "pip": ["thing"]}
SPEC = Spec.from_options(OPTIONS)


def text(spec: Spec = SPEC, pip: str = PIP) -> str:
    return Lock(CONDA, pip, spec.wanted()).text(spec.name, {"__glibc": "2.36"})


@pytest.mark.parametrize("pip", ["", PIP])
def test_the_text_gives_back_its_parts(pip: str) -> None:
    lock = Lock.parse(text(pip=pip))
    assert lock.pip == pip
    assert lock.wanted == SPEC.wanted()
    assert "".join(line for line in lock.conda.splitlines(True) if not line.startswith("#")) == CONDA
    assert "glibc 2.36" in text()


def test_a_lock_of_another_tool_says_nothing_about_a_spec() -> None:
    assert stale(SPEC, CONDA) == ""


def test_a_pip_section_brings_what_installs_it() -> None:
    assert "uv" in SPEC.packages
    assert "uv" not in Spec.from_options({"name": "lab", "packages": ["python"]}).packages


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"packages": ["python=3.12", "numpy", "pandas"]}, "packages: +pandas"),
        ({"packages": ["python=3.12"]}, "packages: -numpy"),
        ({"pip": []}, "pip: -thing"),
        ({"pip": ["thing>=2"]}, "pip: +thing>=2 -thing"),
        ({"channels": ["private", "conda-forge"]}, "channels: +private"),
        ({"packages": ["numpy", "python=3.12"]}, ""),
        ({"imports": ["numpy"]}, ""),
    ],
)
def test_staleness_is_told_part_by_part_without_solving(change: dict, told: str) -> None:
    why = stale(Spec.from_options({**OPTIONS, **change}), text())
    assert told in why
    assert bool(why) is bool(told)


def test_all_environments_without_a_valid_lock_are_named_at_once(tmp_path: Path) -> None:
    for name, content in {"good": text(), "old": text(), "torn": "# spec: {\n"}.items():
        (tmp_path / f"{name}.lock").write_text(content)
    environments = [
        {**OPTIONS, "name": "good"},
        {**OPTIONS, "name": "old", "packages": ["python=3.13"]},
        {**OPTIONS, "name": "torn"},
        {**OPTIONS, "name": "new"},
        {"name": "gone", "state": "absent"},
    ]
    with pytest.raises(CondaError) as caught:
        read_locks(environments, tmp_path, "make lock ENV=preprod")
    message = str(caught.value)
    assert all(f"{name}: " in message for name in ("old", "torn", "new"))
    assert "good: " not in message
    assert "gone" not in message
    assert "Type: make lock ENV=preprod" in message
    assert set(read_locks([environments[0], environments[4]], tmp_path, "")) == {"good"}
