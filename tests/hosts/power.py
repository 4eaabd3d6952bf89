"""Hosts that stop and start."""

from __future__ import annotations

import subprocess

import boto3

from tests.hosts.platform import LAB, host, instance
from tests.waiting import until


def containers_up() -> set[str]:
    names = subprocess.run(["podman", "ps", "--format", "{{.Names}}"], capture_output=True, text=True, check=True)
    return set(names.stdout.split())


def runs(name: str) -> bool:
    """Whether the host behind an instance is up, whole, and has its data."""
    if LAB.namespace(instance(name)["InstanceId"]) not in containers_up():
        return False
    return host(name).run("systemctl is-system-running && findmnt /srv/data").rc == 0


def start(name: str) -> None:
    """Start an instance through the API; wait for its host."""
    boto3.client("ec2").start_instances(InstanceIds=[instance(name)["InstanceId"]])
    until(lambda: runs(name), 120)
