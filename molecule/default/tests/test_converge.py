"""The run itself: nothing to do the second time, check mode tells the truth, an edit changes exactly what it should."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.hosts.platform import ALPHA, BASTION, LAB, ansible, site


def edit(inventory: Path, change: object) -> None:
    path = inventory / "group_vars/all/projects.yml"
    data = yaml.safe_load(path.read_text())
    change(data)
    path.write_text(yaml.safe_dump(data, sort_keys=False))


def differences(result: dict[str, Any]) -> Iterator[list[str]]:
    """The lines that each diff of a task adds or takes away."""
    for one in result["diff"] if isinstance(result["diff"], list) else [result["diff"]]:
        if "prepared" in one:
            yield one["prepared"].splitlines()
        elif one:
            before, after = one["before"].splitlines(), one["after"].splitlines()
            yield [line[2:] for line in difflib.ndiff(before, after) if line[:2] in ("+ ", "- ")]


def test_check_after_converge_reports_nothing() -> None:
    report = site("--check", "--diff")
    assert [(h, t) for h, t, _ in report["changed"]] == []


def test_check_shows_exactly_one_new_member(edited: Path) -> None:
    """Dave joins alpha: his account on alpha's machine, his way there, and nothing else anywhere."""
    edit(edited, lambda data: data["projects"][0]["members"].append("dave"))
    report = site("--check", "--diff", inventory=edited)
    assert {host for host, _, _ in report["changed"]} == {ALPHA, BASTION}
    for _, _, result in report["changed"]:
        new = [line for part in differences(result) for line in part]
        assert any("dave" in line for line in new), result["diff"]
        assert not any("carol" in line for line in new if not line.startswith("AllowUsers ")), new
    assert site("--check")["changed"] == [], "check mode changed something"


def test_check_shows_the_change_sets_of_a_new_cost_center(edited: Path) -> None:
    """A tag is part of the stacks: check mode shows the change sets of that project's stacks and runs none of them."""
    edit(edited, lambda data: data["projects"][1].update(cost_center="CC-1042"))
    report = site("--check", "--diff", inventory=edited)
    assert {task for _, task, _ in report["changed"]} == {"Converge the stacks"}
    (result,) = (result for _, task, result in report["all"] if task == "Converge the stacks")
    changed = {stack["name"] for stack in result["stacks"] if stack["changed"]}
    assert changed == {"preprod-project-beta", "preprod-machine-beta-workstation-01"}
    assert "CC-1042" in yaml.safe_dump(result["diff"])
    assert site("--check")["changed"] == [], "check mode changed something"


def test_bad_data_is_refused_before_anything(edited: Path) -> None:
    def change(data: dict) -> None:
        data["projects"][0]["owner"] = "nobody"
        data["projects"][1]["cost_centre"] = "CC-2077"

    edit(edited, change)
    done = ansible(
        "ansible-playbook", "site.yml", "-i", edited, check=False, AWS_ENDPOINT_URL=os.environ["AWS_ENDPOINT_URL"]
    )
    assert done.returncode != 0
    assert "nobody" in done.stdout
    assert "cost_centre" in done.stdout
    assert "cost_center" in done.stdout
    assert "PLAY [Converge the workstations" not in done.stdout


def test_secrets_stay_out_of_what_the_run_prints() -> None:
    done = ansible("ansible-playbook", "site.yml", "-i", "inventories/preprod", "--check", "--diff", "-vv")
    told = done.stdout + done.stderr
    for secret in json.loads((LAB.state / "passwords.json").read_text()).values():
        assert secret not in told
    assert "PRIVATE KEY" not in told
    assert "$6$" not in told
    assert "$y$" not in told
