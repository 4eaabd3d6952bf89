"""The module on a host, as Ansible runs it: one round trip, a file here, and no failure where nobody answers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = str(Path(sys.executable).with_name("ansible"))


def ask(root: Path, file: Path, *inventory: str) -> tuple[subprocess.CompletedProcess[str], dict]:
    command = [
        PROGRAM,
        "all",
        "-m",
        "atelier.datalab.audit_evidence",
        "-a",
        f"file={file} size_seconds=0.5",
        *inventory,
    ]
    environment = os.environ | {"ANSIBLE_CONFIG": str(root / "ansible.cfg"), "ANSIBLE_CONNECTION_RETRIES": "0"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    return done, json.loads(file.read_text())


def test_it_looks_into_this_machine(root: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done, found = ask(root, tmp_path / "one.json", "-i", "here,", "-c", "local")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CHANGED" not in done.stdout
    assert port in {one["port"] for one in found["listeners"]}
    assert {"hostname", "listeners", "peers", "processes", "units", "crons", "mounts", "logins", "gaps"} <= found.keys()
    assert (tmp_path / "one.json").stat().st_mode & 0o077 == 0 or (tmp_path.stat().st_mode & 0o077) == 0


def test_who_does_not_answer_is_told_and_is_no_failure(root: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    done, found = ask(root, tmp_path / "one.json", "-i", "gone,", "-e", f"ansible_host=127.0.0.1 ansible_port={port}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert found["unreachable"].startswith("unreachable: ")
    assert "refused" in found["unreachable"]


def test_where_it_cannot_run_is_told_too(root: Path, tmp_path: Path) -> None:
    done, found = ask(
        root,
        tmp_path / "one.json",
        "-i",
        "here,",
        "-c",
        "local",
        "-e",
        "ansible_python_interpreter=/nonexistent/python",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert found["unreachable"].startswith("reached, but cannot be looked into: ")


@pytest.mark.parametrize("name", ["audit", "normalise"])
def test_the_playbooks_parse(root: Path, name: str) -> None:
    done = subprocess.run(
        [f"{PROGRAM}-playbook", f"playbooks/{name}.yml", "--syntax-check", "-i", "inventories/lab/hosts.yml"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
