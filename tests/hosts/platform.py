"""What the tests of the whole platform stand on: AWS's API, ssh as an ops engineer, a view from inside the hosts.

The environment comes from `lab env`. Inside a host tests look through its container (root, quick); what is about access
goes over ssh, as a person would.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import boto3
import testinfra
import yaml
from testinfra.host import Host

from tests.hosts import LAB

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = "preprod"
DATA = ROOT / "inventories" / ENVIRONMENT / "group_vars/all"

ALPHA, BETA, BASTION = "preprod-alpha-workstation-01", "preprod-beta-workstation-01", "preprod-platform-bastion-01"

Ansible = Callable[..., subprocess.CompletedProcess[str]]


def ansible(*command: str | Path, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    """Run one of ansible's commands as a person in the checkout would."""
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_DEPRECATION_WARNINGS": "false"}
    done = subprocess.run(
        [str(ROOT / ".venv/bin" / command[0]), *map(str, command[1:])],
        cwd=ROOT, env=os.environ | settings | env, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,  # an ssh that shares ours may leave it in a state that Ansible refuses
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done


def site(*arguments: str | Path, inventory: Path | None = None, check: bool = True) -> dict[str, Any]:
    """Run site.yml and return its report, see play()."""
    return play("site.yml", "-i", inventory or ROOT / "inventories" / ENVIRONMENT, *arguments, check=check)


def play(playbook: str | Path, *arguments: str | Path, check: bool = True, **env: str) -> dict[str, Any]:
    """Run a playbook; return `rc`, `stats` per host, `warnings`, and `changed`, `failed` and `all` as
    (host, task, result). Of a run that was killed there is only `rc`."""
    done = ansible(
        "ansible-playbook", playbook, *arguments, check=check, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json", **env
    )
    if done.returncode < 0:
        return {"rc": done.returncode}
    found, _ = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{\n") :])
    results = [
        (host, task["task"]["name"], result)
        for play in found["plays"]
        for task in play["tasks"]
        for host, result in task["hosts"].items()
    ]
    return {
        "rc": done.returncode,
        "warnings": [text for _, _, result in results for text in result.get("warnings", [])],
        "stats": found["stats"],
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


def hub(name: str) -> tuple[str, int]:
    """Return the hub's name on a machine, as its certificate says, and the loopback port under which it is found."""
    domain = yaml.safe_load((DATA / "platform.yml").read_text())["platform"]["domain"]
    return f"{name}.{domain}", json.loads((LAB.state / "ports.json").read_text())[name]


def log_in(name: str, login: str, password: str) -> str:
    """Log in to the hub of a machine as a browser would and return the path it ends on.

    The certificate is checked against the lab's authority; the name is looked up nowhere.
    """
    host_name, port = hub(name)
    with tempfile.TemporaryDirectory() as folder:
        jar, form = Path(folder) / "cookies", Path(folder) / "form"
        curl = ["curl", "-sS", "-m", "60", "--cacert", str(LAB.state / "ca.pem"), "-c", str(jar), "-b", str(jar)]
        curl += ["--resolve", f"{host_name}:{port}:127.0.0.1", "-L", "-o", "/dev/null", "-w", "%{url_effective}"]
        url = f"https://{host_name}:{port}/hub/login"
        subprocess.run([*curl, url], check=True, capture_output=True, text=True)
        xsrf = next(line.split("\t")[6] for line in jar.read_text().splitlines() if "\t_xsrf\t" in line)
        form.write_text(urlencode({"username": login, "password": password, "_xsrf": xsrf}))
        ended = subprocess.run(
            [*curl, "-d", f"@{form}", f"{url}?next=/hub/home"], check=True, capture_output=True, text=True
        )
    return urlsplit(ended.stdout).path
