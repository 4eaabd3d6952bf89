"""Each bad input is refused, every offender is named with its remedy, and nothing innocent is accused."""

from __future__ import annotations

import copy
import datetime
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.atelier.datalab.plugins.module_utils import _model, _model_source

ROOT = Path(__file__).resolve().parents[2]
TODAY = datetime.date(2027, 1, 15)
CASES = {path.stem: path for path in sorted((ROOT / "tests/contract/bad_inputs").glob("*.yml"))}


def preprod() -> dict[str, Any]:
    data: dict[str, Any] = {}
    for path in sorted((ROOT / "inventories/preprod/group_vars/all").glob("*.yml")):
        data |= yaml.safe_load(path.read_text(encoding="utf-8"))
    return data


DATA = preprod()


def patched(data: dict[str, Any], patch: list[dict[str, Any]]) -> dict[str, Any]:
    """RFC 6902's add, remove and replace."""
    data = copy.deepcopy(data)
    for operation in patch:
        *parents, last = operation["path"].removeprefix("/").split("/")
        here: Any = data
        for step in parents:
            here = here[int(step)] if isinstance(here, list) else here[step]
        key: Any = last
        if isinstance(here, list):
            key = len(here) if last == "-" else int(last)
        if operation["op"] == "remove":
            del here[key]
        elif operation["op"] == "add" and isinstance(here, list):
            here.insert(key, operation["value"])
        else:
            if operation["op"] == "replace":
                assert here[key] != operation["value"], "the patch changes nothing"
            here[key] = operation["value"]
    return data


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 40


def test_without_a_patch_the_data_is_valid() -> None:
    assert isinstance(_model.validate(DATA, TODAY, "preprod"), _model.Model)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_and_every_offender_named(case: str) -> None:
    described = yaml.safe_load(CASES[case].read_text(encoding="utf-8"))
    found = _model.validate(patched(DATA, described["patch"]), TODAY, "preprod")
    assert isinstance(found, _model.Offences), "it was accepted"
    expected = {offender["key"]: offender for offender in described["offenders"]}
    assert {one.key for one in found.offences} == set(expected), str(found)
    source = _model_source.Source(ROOT / "inventories/preprod/group_vars/all")
    for one in found.offences:
        line = one.line(source.locate)
        assert Path(source.locate(one.path)[0]).name == expected[one.key]["file"], line
        for word in expected[one.key]["says"]:
            assert word in line, line
        assert one.instead, "it does not say what to write instead"


@pytest.fixture
def closed_port() -> Any:
    """A port where nobody answers, and the count of those who tried."""
    tried: list[Any] = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            try:
                connection, peer = server.accept()
            except TimeoutError:
                continue
            tried.append(peer)
            connection.close()

    thread = threading.Thread(target=watch)
    thread.start()
    yield server.getsockname()[1], tried
    done.set()
    thread.join()
    server.close()


def _copied(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "inventories/shared", tmp_path / "inventories/shared")
    shutil.copytree(ROOT / "inventories/preprod", tmp_path / "inventories/preprod", symlinks=True)
    return tmp_path / "inventories/preprod"


def _validate(inventory: Path, port: int) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "ANSIBLE_NOCOLOR": "1",
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "playbooks/validate.yml", "-i", str(inventory)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_playbook_names_several_faults_at_once_before_any_api_call(tmp_path: Path, closed_port: Any) -> None:
    port, tried = closed_port
    inventory = _copied(tmp_path)
    folder = inventory / "group_vars/all"
    changes = {
        "platform.yml": ("termination_protection: true", "termination_protecton: true"),
        "projects.yml": ("members: [alice, bob]", "members: [alice, bobb]"),
        "flows.yml": ("destination: project:beta", "destination: project:beth"),
        "00_rules.yml": (
            "severity: {lab: warn, dev: refuse, preprod: refuse, prod: refuse}\n  image_age",
            "severity: {lab: warn, dev: refuse, preprod: warn, prod: refuse}\n  image_age",
        ),
        "secrets.yml": ("  tls_ca_private_key:", "  tls_ca_private_key: hunter2hunter2\n  tls_private_key:"),
    }
    lines = {}
    for name, (good, bad) in changes.items():
        text = (folder / name).read_text(encoding="utf-8")
        assert good in text
        lines[name] = text[: text.index(good)].count("\n") + 1
        (folder / name).write_text(text.replace(good, bad), encoding="utf-8")
    done = _validate(inventory / "hosts.yml", port)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in output
    for name, key, remedy in (
        ("platform.yml", "platform.termination_protecton", "did you mean termination_protection?"),
        ("projects.yml", "projects[0].members[1]", "did you mean bob?"),
        ("flows.yml", "flows[2].destination", "did you mean project:beta?"),
        ("00_rules.yml", "rules.approved_image.severity.preprod", "write refuse"),
        ("secrets.yml", "secrets.tls_ca_private_key", "amazon.aws.ssm_parameter"),
    ):
        told = next((line for line in output.splitlines() if f" {key} = " in line), "")
        assert f"{name}:{lines[name]}: " in told, output
        assert remedy in told
    assert "has 5 faults" in output
    assert "hunter2" not in output
    assert tried == []


def test_the_playbook_says_what_it_checked_in_one_line(tmp_path: Path, closed_port: Any) -> None:
    port, tried = closed_port
    done = _validate(_copied(tmp_path) / "hosts.yml", port)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 machines, 2 projects, 4 flows: valid" in done.stdout
    assert tried == []
