"""The audit on real hosts: two of the platform's, and one that somebody made by hand and forgot."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import testinfra
from testinfra.host import Host

from lab import images, landing_zone
from tests.hosts.platform import ALPHA, BASTION, BETA, ENVIRONMENT, LAB, instance, play
from tests.waiting import until

NAME = "alpha-superset-01"
FAULTS = ["approved_image", "backup_present", "imdsv2", "mandatory_tags", "naming", "schedule_present", "stack_managed"]
# What somebody does in an afternoon: a service, a job, a colleague's login, some data.
USER_DATA = """#cloud-config
hostname: {name}
users:
  - name: datalab-admin
    shell: /bin/bash
    sudo: "ALL=(ALL) NOPASSWD:ALL"
    ssh_authorized_keys: ["{key}"]
  - name: alice
    gecos: Alice Martin
    shell: /bin/bash
    ssh_authorized_keys: ["{key}"]
write_files:
  - path: /etc/systemd/system/superset.service
    content: |
      [Service]
      ExecStart=/usr/bin/python3 -m http.server 8088 --directory /srv/dashboards
      [Install]
      WantedBy=multi-user.target
  - path: /etc/cron.d/export
    content: "15 3 * * 1 alice /srv/dashboards/export --password hunter2\\n"
runcmd:
  - [mkdir, -p, /srv/dashboards]
  - [fallocate, -l, 20M, /srv/dashboards/old.db]
  - [systemctl, enable, --now, superset.service]
"""


@pytest.fixture(scope="module")
def forgotten() -> Iterator[dict[str, Any]]:
    """EC2's description of the machine made by hand. People come to it as to the others, through the bastion."""
    ec2, like = boto3.client("ec2"), instance(ALPHA)
    inside = ec2.create_security_group(GroupName="by-hand", Description="quickly", VpcId=like["VpcId"])["GroupId"]
    bastion = instance(BASTION)["SecurityGroups"][0]["GroupId"]
    way = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    to, fro = [way | {"UserIdGroupPairs": [{"GroupId": group}]} for group in (inside, bastion)]
    ec2.authorize_security_group_ingress(GroupId=inside, IpPermissions=[fro])
    ec2.authorize_security_group_egress(GroupId=bastion, IpPermissions=[to])
    made = ec2.run_instances(
        ImageId=images.ami_id("debian-12-unapproved"), MinCount=1, MaxCount=1, InstanceType="t3.medium",
        SubnetId=like["SubnetId"], SecurityGroupIds=[inside],
        UserData=USER_DATA.format(name=NAME, key=landing_zone.admin_key(LAB)),
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": NAME}]}],
    )["Instances"][0]  # fmt: skip
    try:
        yield made
    finally:
        ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
        ec2.revoke_security_group_egress(GroupId=bastion, IpPermissions=[to])
        ec2.delete_security_group(GroupId=inside)


@pytest.fixture(scope="module")
def host(forgotten: dict[str, Any]) -> Host:
    """It from inside."""
    return testinfra.get_host(f"podman://{LAB.namespace(forgotten['InstanceId'])}")


@pytest.fixture(scope="module")
def folder(forgotten: dict[str, Any], host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the audit wrote, after alice was on the forgotten machine."""
    inside = ["ip", "netns", "exec", LAB.namespace(instance(BASTION)["InstanceId"])]
    options = ["-i", str(landing_zone.admin_key_file(LAB)), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]
    options += ["-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=3", "-o", "IdentitiesOnly=yes"]
    visit = [*inside, "ssh", "-tt", *options, f"alice@{forgotten['PrivateIpAddress']}", "systemctl is-active superset"]

    def visited() -> bool:
        done = subprocess.run(visit, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        return "active" in done.stdout.split()

    until(visited, 90)
    host.check_output("sleep 1; touch /root/before; sleep 1")
    made = tmp_path_factory.mktemp("audit")
    play("playbooks/audit.yml", "-i", f"inventories/{ENVIRONMENT}", "-e", f"audit_folder={made}")
    return made


@pytest.fixture(scope="module")
def machines(folder: Path) -> dict[str, dict[str, Any]]:
    """Its dossiers of machines, by name."""
    found = json.loads(next(folder.glob("*.json")).read_text())
    return {one["name"]: one for one in found["resources"] if one["kind"] == "instance"}


def inside(dossier: dict[str, Any], what: str, *keys: str) -> set[tuple[Any, ...]]:
    """Some of the evidence from inside."""
    return {tuple(one[key] for key in keys) for one in dossier["evidence"][what]}


def test_who_made_it(machines: dict[str, dict[str, Any]]) -> None:
    assert {name: one["managed"] for name, one in machines.items()} == {
        ALPHA: "stack",
        BETA: "stack",
        BASTION: "stack",
        NAME: "hand",
    }


def test_a_forgotten_machine_says_what_it_is_for(machines: dict[str, dict[str, Any]]) -> None:
    one = machines[NAME]
    assert (8088, "http.server", "root") in inside(one, "listeners", "port", "process", "user")
    assert ("superset.service", "running", "written here") in inside(one, "units", "unit", "state", "origin")
    assert ("alice",) in inside(one, "logins", "user")
    [size] = [entry["bytes"] for entry in one["evidence"]["directories"] if entry["path"] == "/srv/dashboards"]
    assert 20 * 2**20 <= size < 21 * 2**20
    assert one["evidence"]["gaps"] == []


def test_project_owner_and_role_follow_from_several_proofs(machines: dict[str, dict[str, Any]]) -> None:
    found = machines[NAME]["proposals"]
    assert {field: one["value"] for field, one in found.items()} == {
        "Project": "alpha",
        "Owner": "alice",
        "Role": "dataviz",
    }
    assert all(len(one["votes"][0]["proofs"]) > 1 for one in found.values())


def test_what_is_wrong_with_it_and_with_no_other(machines: dict[str, dict[str, Any]]) -> None:
    assert {name: {finding["rule"] for finding in one["findings"]} for name, one in machines.items()} == {
        ALPHA: set(),
        BETA: set(),
        BASTION: set(),
        NAME: set(FAULTS),
    }


def test_a_machine_of_the_platform_says_what_it_runs(machines: dict[str, dict[str, Any]]) -> None:
    one = machines[ALPHA]
    assert one["evidence"]["hostname"] == ALPHA
    assert {22, 443} <= {port for (port,) in inside(one, "listeners", "port")}
    assert ("jupyterhub.service",) in inside(one, "units", "unit")
    assert ("/srv/data", "ext4") in inside(one, "mounts", "path", "type")
    assert {field: (entry["value"], entry["stated"]) for field, entry in one["proposals"].items()} == {
        "Project": ("alpha", True),
        "Owner": ("alice", True),
        "Role": ("workstation", True),
    }


def test_no_secret_of_a_machine_comes_out(folder: Path) -> None:
    said = [file.read_text(errors="replace") for file in folder.rglob("*") if file.is_file()]
    assert any("/srv/dashboards/export" in text for text in said), "the job is told"
    assert not any("hunter2" in text for text in said), "its password is not"


def test_nothing_was_changed(host: Host, folder: Path) -> None:
    assert folder.exists()
    assert (
        host.check_output("find /etc /home /opt /srv /usr /var/lib/atelier -newer /root/before 2>/dev/null; true") == ""
    )
