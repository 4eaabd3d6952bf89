"""What the tests of the whole platform stand on: AWS's API, ssh as an ops engineer, a view from inside the hosts.

The environment comes from `lab env`. Inside a host tests look through its container (root, quick); what is about access
goes over ssh, as a person would.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
import testinfra
import yaml
from testinfra.host import Host

from lab.identity import Lab

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = "preprod"
LAB = Lab("test")
DATA = ROOT / "inventories" / ENVIRONMENT / "group_vars/all"

ALPHA, BETA, BASTION = "preprod-alpha-workstation-01", "preprod-beta-workstation-01", "preprod-platform-bastion-01"

Ansible = Callable[..., subprocess.CompletedProcess[str]]


def ansible(*command: str | Path, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    """Run one of ansible's commands as a person in the checkout would."""
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_DEPRECATION_WARNINGS": "false"}
    done = subprocess.run(
        [str(ROOT / ".venv/bin" / command[0]), *map(str, command[1:])],
        cwd=ROOT, env=os.environ | settings | env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done


def site(*arguments: str | Path, inventory: Path | None = None, check: bool = True) -> dict[str, Any]:
    """Run site.yml and return its report: `rc`, `stats` per host, `changed` and `failed` as (host, task, result)."""
    done = ansible(
        "ansible-playbook", "site.yml", "-i", inventory or ROOT / "inventories" / ENVIRONMENT, *arguments,
        check=check, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
    )  # fmt: skip
    report = json.loads(done.stdout[done.stdout.index("{\n") :])
    results = [
        (host, task["task"]["name"], result)
        for play in report["plays"]
        for task in play["tasks"]
        for host, result in task["hosts"].items()
    ]
    return {
        "rc": done.returncode,
        "stats": report["stats"],
        "changed": [r for r in results if r[2].get("changed")],
        "failed": [r for r in results if r[2].get("failed")],
        "all": results,
    }


def instance(name: str) -> dict[str, Any]:
    """Return EC2's description of the instance with this Name."""
    pages = boto3.client("ec2").get_paginator("describe_instances")
    wanted = [
        {"Name": "tag:Name", "Values": [name]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    found = [i for page in pages.paginate(Filters=wanted) for r in page["Reservations"] for i in r["Instances"]]
    assert len(found) == 1, f"{name}: {len(found)} instances"
    return found[0]


@cache
def host(name: str) -> Host:
    """Return testinfra's view from inside the host behind the instance with this Name, as root."""
    return testinfra.get_host(f"podman://{LAB.namespace(instance(name)['InstanceId'])}")


@pytest.fixture
def alpha() -> Host:
    return host(ALPHA)


@pytest.fixture
def beta() -> Host:
    return host(BETA)


@pytest.fixture
def bastion() -> Host:
    return host(BASTION)


@pytest.fixture(scope="session")
def projects() -> dict[str, Any]:
    """The projects of the environment by name, as the data says."""
    return {p["name"]: p for p in yaml.safe_load((DATA / "projects.yml").read_text())["projects"]}


@pytest.fixture(scope="session")
def passwords() -> dict[str, str]:
    return json.loads((LAB.state / "passwords.json").read_text())
