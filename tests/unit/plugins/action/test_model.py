"""The action inside a real ansible-playbook: facts of a host, no template rendered, plain words for what is missing."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible_collections.atelier.datalab.plugins.action import model

ROOT = Path(__file__).resolve().parents[4]
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - atelier.datalab.model: {arguments}
    - ansible.builtin.copy:
        content: "{{{{ datalab | to_json }}}}"
        dest: "{{{{ out }}}}/{{{{ inventory_hostname }}}}.json"
        mode: "0644"
      delegate_to: localhost
"""


def play(
    tmp_path: Path, *inventories: str, arguments: str = "{}", check: bool = False
) -> subprocess.CompletedProcess[str]:
    playbook = tmp_path / "play.yml"
    playbook.write_text(PLAYBOOK.format(arguments=arguments), encoding="utf-8")
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        str(playbook),
        "-e",
        f"out={tmp_path}",
        "-c",
        "local",
    ]
    for inventory in inventories:
        command += ["-i", inventory]
    environment = os.environ | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "ANSIBLE_NOCOLOR": "1"}
    command += ["--check"] if check else []
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_every_host_gets_the_fact_and_its_own_machine(tmp_path: Path) -> None:
    done = play(tmp_path, "inventories/preprod/hosts.yml", "preprod-alpha-workstation-01,preprod-platform-bastion-01,")
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    facts = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("*.json")}
    own = facts["preprod-alpha-workstation-01"]
    assert (own["machine"]["name"], own["project"]["name"]) == ("preprod-alpha-workstation-01", "alpha")
    for other in ("localhost", "preprod-platform-bastion-01"):
        assert not {"machine", "project"} & set(facts[other])
    assert "INJECT_FACTS_AS_VARS" not in output, "datalab is read from an injected fact"


@pytest.mark.slow
def test_it_checks_the_same_in_check_mode(tmp_path: Path) -> None:
    done = play(tmp_path, "inventories/preprod/hosts.yml", check=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_day_can_be_given(tmp_path: Path) -> None:
    done = play(tmp_path, "inventories/preprod/hosts.yml", arguments='{today: "2029-01-01"}')
    assert done.returncode == 0
    assert "flow_expired" in done.stderr + done.stdout
    assert "notebooks-alpha" in json.loads((tmp_path / "localhost.json").read_text(encoding="utf-8"))["expired_flows"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inventory", "arguments", "said"),
    [
        ("localhost,", "{}", "write the variable platform in group_vars/all"),
        ("inventories/preprod/hosts.yml", "{today: soon}", "'soon' is not a date"),
        ("inventories/preprod/hosts.yml", "{todya: x}", "todya"),
    ],
)
def test_what_is_missing_is_said_in_words(tmp_path: Path, inventory: str, arguments: str, said: str) -> None:
    done = play(tmp_path, inventory, arguments=arguments)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert said in output
    assert "Traceback" not in output


def test_ansibles_values_become_pythons_own(tmp_path: Path) -> None:
    (tmp_path / "data.yml").write_text('{a: [1, 2.5, true, null, x, 2027-01-02], b: {c: "{{ d }}"}}', encoding="utf-8")
    data = model.plain(DataLoader().load_from_file(str(tmp_path / "data.yml")))
    assert data == {"a": [1, 2.5, True, None, "x", datetime.date(2027, 1, 2)], "b": {"c": "{{ d }}"}}

    def types(value: Any) -> set[type]:
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        return {type(value)}.union(*map(types, inside))

    assert types(data) <= {dict, list, int, float, bool, str, datetime.date, type(None)}
