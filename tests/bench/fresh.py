"""A lab of the benchmarks' own and fresh hosts in it: up, used, removed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from lab.identity import Lab

ROOT = Path(__file__).resolve().parents[2]
LAB = "bench"
PLAIN = ROOT / "molecule/inventory/plain.aws_ec2.yml"


def lab(*arguments: str, capture: bool = False) -> str:
    """Run the lab's command line on this lab."""
    done = subprocess.run(
        [ROOT / "lab/lab", *arguments, "--name", LAB],
        cwd=ROOT,
        text=True,
        check=True,
        stdout=subprocess.PIPE if capture else None,
    )
    return done.stdout or ""


def lab_environment() -> dict[str, str]:
    """Read `lab env`'s export lines."""
    pairs = (
        word.split("=", 1)
        for line in lab("env", capture=True).splitlines()
        for word in shlex.split(line)
        if "=" in word
    )
    return dict(pairs) | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}


@contextmanager
def lab_up() -> Iterator[dict[str, str]]:
    """Bring the lab up, yield the variables that point at it, remove it whatever happens."""
    lab("down", capture=True)
    try:
        lab("up", capture=True)
        yield lab_environment()
    finally:
        lab("down", capture=True)


def playbook(environment: dict[str, str], *words: str | Path) -> None:
    """Run a playbook on the plain hosts.

    Raises:
        RuntimeError: it failed; its last words are in the message.
    """
    command = [ROOT / ".venv/bin/ansible-playbook", "-i", PLAIN, *words]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout[-3000:] + done.stderr[-1000:])


class Host:
    """One of the plain hosts, looked at from inside as root."""

    def __init__(self, environment: dict[str, str], name: str) -> None:
        settings = {
            "endpoint_url": environment["AWS_ENDPOINT_URL"],
            "region_name": environment["AWS_DEFAULT_REGION"],
            "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
        }
        wanted = [{"Name": "tag:Name", "Values": [name]}, {"Name": "instance-state-name", "Values": ["running"]}]
        found = boto3.client("ec2", **settings).describe_instances(Filters=wanted)["Reservations"]
        self.name = name
        self.container = Lab(LAB).namespace(found[0]["Instances"][0]["InstanceId"])

    def run(self, *words: str, data: str | None = None) -> str:
        """Run a command to its end; return what it printed.

        Raises:
            RuntimeError: it failed; its last words are in the message.
        """
        command = ["podman", "exec", "-i", self.container, *words]
        done = subprocess.run(command, input=data, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(words)[:200]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def put(self, source: Path, target: str) -> None:
        """Copy a file or folder into the host."""
        subprocess.run(["podman", "cp", str(source), f"{self.container}:{target}"], check=True)

    def visit(self, python: str, program: str, **wanted: Any) -> Any:
        """Run a program of this folder beside datalab_visit.py with a hub's Python; JSON in, JSON out."""
        self.run("mkdir", "-p", "/root/bench")
        self.put(ROOT / "roles/jupyterhub/files/datalab_visit.py", "/root/bench/datalab_visit.py")
        self.put(ROOT / "tests/bench" / program, f"/root/bench/{program}")
        said = self.run(python, f"/root/bench/{program}", data=json.dumps(wanted))
        return json.loads(said.splitlines()[-1])


@contextmanager
def fresh_host(name: str = "plain-debian12") -> Iterator[tuple[dict[str, str], Host]]:
    """A host that has just booted from the approved image, and the variables that point at its lab."""
    with lab_up() as environment:
        playbook(environment, "molecule/shared/create.yml")
        yield environment, Host(environment, name)
