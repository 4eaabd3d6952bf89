"""Roles: argument specs, defaults and READMEs say the same; house rules a program can check."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# A role that only carries CloudFormation templates has no tasks and no arguments.
ROLES = sorted(p.parent.parent for p in ROOT.glob("roles/*/tasks/main.yml"))
STEPS = {"main", "preflight", "install", "configure", "service", "validate"}


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text()) or {} if path.exists() else {}


def test_there_are_roles() -> None:
    assert len(ROLES) >= 6


@pytest.mark.parametrize("role", ROLES, ids=lambda p: p.name)
class TestRole:
    def test_specs_equal_defaults(self, role: Path) -> None:
        options = load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
        defaults = load(role / "defaults/main.yml")
        optional = {name: option.get("default") for name, option in options.items() if not option.get("required")}
        assert {k: v for k, v in optional.items() if v is not None} == {
            k: v for k, v in defaults.items() if v is not None
        }

    def test_names_carry_the_role(self, role: Path) -> None:
        options = load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
        strangers = [name for name in options if not name.startswith(f"{role.name}_")]
        assert not strangers

    def test_every_option_is_described_and_typed(self, role: Path) -> None:
        options = load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
        bare = [n for n, o in options.items() if not o.get("description") or not o.get("type")]
        assert not bare

    def test_readme_table_is_current(self, role: Path) -> None:
        from docs.generate import render_role

        readme = (role / "README.md").read_text()
        assert render_role(role) == readme, "run: make docs"

    def test_main_is_a_table_of_contents(self, role: Path) -> None:
        text = (role / "tasks/main.yml").read_text()
        assert len(text.splitlines()) <= 60
        for task in yaml.safe_load(text):
            assert any(k.rpartition(".")[2] in {"import_tasks", "include_tasks", "meta"} for k in task), task

    def test_other_task_files_are_short(self, role: Path) -> None:
        for path in role.glob("tasks/*.yml"):
            assert len(path.read_text().splitlines()) <= 120, path

    def test_asserts_say_what_to_do(self, role: Path) -> None:
        for path in role.glob("tasks/*.yml"):
            for task in yaml.safe_load(path.read_text()) or []:
                if "ansible.builtin.assert" in task:
                    assert task["ansible.builtin.assert"].get("fail_msg"), f"{path}: {task['name']}"

    def test_no_group_names(self, role: Path) -> None:
        for path in [*role.glob("tasks/*.yml"), *role.glob("templates/*"), *role.glob("defaults/*.yml")]:
            assert not re.search(r"\bgroups[.\[]|role_(bastion|workstation)", path.read_text()), path

    def test_converges_on_a_hardened_host(self, role: Path) -> None:
        """A scenario of the role's name applies it to hosts of approved images."""
        plays = yaml.safe_load((ROOT / "molecule" / role.name / "converge.yml").read_text())
        applied = [
            r["role"]
            for play in plays
            if play["hosts"].startswith("plain")
            for r in play.get("roles", [])
            if "role" in r
        ]
        assert f"atelier.datalab.{role.name}" in applied


def test_every_scenario_looks_at_the_hardening() -> None:
    """The shared tests run in each scenario's verify step; no scenario leaves that step out or names other tests."""
    config = load(ROOT / ".config/molecule/config.yml")
    extra = config["verifier"]["additional_files_or_dirs"]
    scenarios = sorted(ROOT.glob("molecule/*/molecule.yml"))
    assert len(scenarios) >= len(ROLES)
    for scenario in scenarios:
        own = load(scenario)
        found = [(scenario.parent / "tests" / path).resolve() for path in extra]
        assert ROOT / "tests/hosts/test_hardened.py" in found
        assert "verifier" not in own, scenario
        assert "verify" in own.get("scenario", config["scenario"])["test_sequence"], scenario


def test_product_does_not_know_the_lab() -> None:
    """Only the endpoint and the address differ between AWS and the embedded cloud."""
    told = [
        path.relative_to(ROOT)
        for folder in ("roles", "playbooks", "plugins")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
        if re.search(r"ministack|atelier-lab|\.lab/|LabImage|198\.51\.100|emulator", path.read_text(errors="ignore"))
    ]
    assert not told
