"""An AWS emulator of a test's own, and the environment in which AWS's tools find it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import launcher

ROOT = Path(__file__).resolve().parents[1]
REGION = "eu-west-1"


def free_port() -> int:
    """A TCP port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def emulator(state: Path, network: str, images: list[dict[str, Any]]) -> Iterator[str]:
    """Run one with these images, its public addresses in `network`; yield its endpoint, end it whatever happens."""
    running = launcher.start(state, free_port(), network)
    try:
        launcher.register_images(running, images)
        yield running.endpoint
    finally:
        launcher.stop(state)


def variables(endpoint: str) -> dict[str, str]:
    """What leads AWS's tools and Ansible to it."""
    return {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip


def playbook(endpoint: str, name: str, inventory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the playbooks against it, as a person in the checkout would."""
    command = [str(Path(sys.executable).with_name("ansible-playbook")), f"playbooks/{name}.yml", "-i", str(inventory)]
    return subprocess.run(
        [*command, *arguments], cwd=ROOT, env=os.environ | variables(endpoint) | {"ANSIBLE_NOCOLOR": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
