"""Core IT's hardening before and after our roles. Every scenario runs this at its end, on each approved host there is:
the role has converged on a hardened image, and has loosened nothing.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from testinfra import get_host

from tests.hosts import LAB

CORE_IT_TRIES = 4  # MaxAuthTries of the images
PORTS = {22, 80, 443}  # ssh, the hub, its redirect


def approved() -> dict[str, str]:
    """Return instance id by Name of all running hosts but those made to be refused."""
    found = boto3.client("ec2").describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])[
        "Reservations"
    ]
    tags = {i["InstanceId"]: {t["Key"]: t["Value"] for t in i["Tags"]} for r in found for i in r["Instances"]}
    return {t["Name"]: identifier for identifier, t in sorted(tags.items()) if t["Role"] != "unapproved"}


@cache
def look(identifier: str) -> dict[str, Any]:
    """Return what look.py sees on a host; once, for all tests."""
    program = base64.b64encode(Path(__file__).with_name("look.py").read_bytes()).decode()
    host = get_host(f"podman://{LAB.namespace(identifier)}")
    return json.loads(host.check_output(f"echo {program} | base64 -d | python3 -"))


HOSTS = approved()


@pytest.mark.parametrize("seen", list(HOSTS.values()), ids=list(HOSTS), indirect=True)
class TestHardened:
    @pytest.fixture
    def seen(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        return look(request.param)

    def test_mounts_and_umask_are_core_its(self, seen: dict[str, Any]) -> None:
        for path in ("/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108 - looked at, not used
            assert {"noexec", "nosuid", "nodev"} <= set(seen["mounts"][path]), path
        assert {"nosuid", "nodev"} <= set(seen["mounts"]["/home"])
        assert len(seen["umask"]) >= 2
        assert set(map(tuple, seen["umask"].values())) == {("0027",)}, seen["umask"]
        assert seen["umask of become"] == "0027"

    def test_there_is_no_way_out_and_no_new_authority(self, seen: dict[str, Any]) -> None:
        assert not seen["way out"]
        assert seen["authorities added"] == 0

    def test_sshd_is_no_weaker(self, seen: dict[str, Any]) -> None:
        assert {"permitrootlogin no", "permitemptypasswords no", "x11forwarding no"} <= set(seen["sshd"])
        [tries] = [int(line.split()[1]) for line in seen["sshd"] if line.startswith("maxauthtries ")]
        assert tries <= CORE_IT_TRIES

    def test_only_the_expected_ports_are_open(self, seen: dict[str, Any]) -> None:
        assert set(seen["listening"]) <= PORTS

    def test_no_file_is_writable_for_everybody_or_runs_with_anothers_rights(self, seen: dict[str, Any]) -> None:
        assert seen["writable"] == []
        assert seen["foreign setuid"] == []

    def test_members_can_read_what_is_theirs_whatever_the_umask(self, seen: dict[str, Any]) -> None:
        assert seen["unreadable"] == []

    def test_nothing_is_left_in_tmp(self, seen: dict[str, Any]) -> None:
        assert seen["left"] == []
