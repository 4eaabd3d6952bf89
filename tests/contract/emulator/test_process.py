"""The emulator's process: state over a kill, one loopback port, nobody else's process touched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import launcher
from tests.contract.emulator.conftest import CORE_IT, PUBLIC_NETWORK, Cloud
from tests.emulator import free_port

pytestmark = pytest.mark.slow

IMAGE = {"owner": CORE_IT, "name": "kept", "tags": {"CoreIT": "approved"}, "creation_date": "2026-11-01T06:00:00.000Z"}
RESOURCES: dict[str, Any] = {
    "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.99.0.0/16"}},
    "Subnet": {
        "Type": "AWS::EC2::Subnet",
        "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.99.0.0/24", "AvailabilityZone": "eu-west-1a"},
    },
    "Machine": {"Type": "AWS::EC2::Instance", "Properties": {"SubnetId": {"Ref": "Subnet"}}},
    "Data": {"Type": "AWS::EC2::Volume", "Properties": {"AvailabilityZone": "eu-west-1a", "Size": 10}},
    "Attachment": {
        "Type": "AWS::EC2::VolumeAttachment",
        "Properties": {"Device": "/dev/sdf", "InstanceId": {"Ref": "Machine"}, "VolumeId": {"Ref": "Data"}},
    },
    "Address": {"Type": "AWS::EC2::EIP", "Properties": {"InstanceId": {"Ref": "Machine"}}},
    "Zone": {
        "Type": "AWS::Route53::HostedZone",
        "Properties": {"Name": "kept.example.com", "VPCs": [{"VPCId": {"Ref": "Vpc"}, "VPCRegion": "eu-west-1"}]},
    },
}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[launcher.Emulator]:
    """An emulator of this test alone."""
    yield launcher.start(tmp_path, free_port(), PUBLIC_NETWORK)
    launcher.stop(tmp_path)


def kill(emulator: launcher.Emulator) -> None:
    """End it as a crash would, without a chance to save."""
    os.kill(emulator.pid, signal.SIGKILL)
    os.waitpid(emulator.pid, 0)


def snapshot(cloud: Cloud) -> dict[str, Any]:
    """Everything a client can see that must survive."""
    ec2 = cloud.ec2
    answers = {
        "instances": ec2.describe_instances()["Reservations"],
        "volumes": ec2.describe_volumes()["Volumes"],
        "addresses": ec2.describe_addresses()["Addresses"],
        "images": ec2.describe_images()["Images"],
        "stack": cloud.cfn.describe_stacks(StackName="kept")["Stacks"],
        "events": cloud.cfn.describe_stack_events(StackName="kept")["StackEvents"],
        "resources": cloud.cfn.describe_stack_resources(StackName="kept")["StackResources"],
        "zones": cloud.client("route53").list_hosted_zones()["HostedZones"],
        "secret": cloud.client("ssm").get_parameter(Name="/atelier/kept", WithDecryption=True)["Parameter"],
    }
    return json.loads(json.dumps(answers, default=str))


def test_what_a_client_was_told_survives_kill_9(own: launcher.Emulator, tmp_path: Path) -> None:
    cloud = Cloud(own.endpoint)
    launcher.register_images(own, [IMAGE])
    resources = json.loads(json.dumps(RESOURCES))
    resources["Machine"]["Properties"]["ImageId"] = cloud.image
    ids = cloud.create("kept", resources)
    cloud.client("ssm").put_parameter(Name="/atelier/kept", Value="s3cret", Type="SecureString")
    cloud.ec2.stop_instances(InstanceIds=[ids["Machine"]])
    before = snapshot(cloud)
    assert (tmp_path / "emulator.json").stat().st_mode & 0o077 == 0, "it holds secrets"
    kill(own)
    again = launcher.start(tmp_path, own.port, PUBLIC_NETWORK)
    assert again.pid != own.pid
    assert snapshot(cloud) == before
    assert set(cloud.drift("kept").values()) == {"IN_SYNC"}
    cloud.ec2.start_instances(InstanceIds=[ids["Machine"]])
    kill(again)
    launcher.start(tmp_path, own.port, PUBLIC_NETWORK)
    state = cloud.ec2.describe_instances()["Reservations"][0]["Instances"][0]["State"]["Name"]
    assert state == "running", "each confirmed call is on disk, not only the stack's"
    cloud.delete("kept")
    launcher.stop(tmp_path)
    launcher.start(tmp_path, own.port, PUBLIC_NETWORK)
    assert cloud.cfn.describe_stacks()["Stacks"] == []


def test_a_state_file_of_something_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "emulator.json").write_text('{"format": 99}')
    with pytest.raises(launcher.LauncherError, match="remove it to start with an empty account"):
        launcher.start(tmp_path, free_port(), PUBLIC_NETWORK)
    assert (tmp_path / "emulator.json").read_text() == '{"format": 99}'


def test_one_port_on_loopback(own: launcher.Emulator) -> None:
    Cloud(own.endpoint).ec2.describe_instances()
    listing = subprocess.run(["ss", "-Htunlp"], capture_output=True, text=True, check=True).stdout
    mine = [line.split()[4] for line in listing.splitlines() if f"pid={own.pid}," in line]
    assert mine == [f"127.0.0.1:{own.port}"]


def test_start_twice_is_one_process(own: launcher.Emulator, tmp_path: Path) -> None:
    assert launcher.start(tmp_path, own.port, PUBLIC_NETWORK) == own
    assert launcher.status(tmp_path) == own


def test_other_settings_restart_it_with_its_state(own: launcher.Emulator, tmp_path: Path) -> None:
    launcher.register_images(own, [IMAGE])
    other = launcher.start(tmp_path, free_port(), PUBLIC_NETWORK)
    assert other.pid != own.pid
    assert len(Cloud(other.endpoint).ec2.describe_images()["Images"]) == 1


def test_stop_is_for_its_own_process_only(own: launcher.Emulator, tmp_path: Path) -> None:
    launcher.stop(tmp_path)
    assert launcher.status(tmp_path) is None
    assert launcher.stop(tmp_path) is False
    # The number now belongs to somebody else: a file left behind must not reach them.
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        stale = {**own.__dict__, "pid": bystander.pid}
        (tmp_path / "emulator.process.json").write_text(json.dumps(stale))
        assert launcher.status(tmp_path) is None
        assert launcher.stop(tmp_path) is False
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_it_ends_when_its_folder_is_removed(own: launcher.Emulator, tmp_path: Path) -> None:
    Cloud(own.endpoint).ec2.allocate_address()
    shutil.rmtree(tmp_path)
    deadline = time.monotonic() + 10
    while os.waitpid(own.pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            kill(own)
            pytest.fail("it went on, and nobody could have found it any more")
        time.sleep(0.05)
    assert not tmp_path.exists(), "and it does not bring the folder back"


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with pytest.raises(launcher.LauncherError, match=r"(?s)ended at once.*in use"):
            launcher.start(tmp_path, holder.getsockname()[1], PUBLIC_NETWORK)


def test_the_users_switches_do_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIND_HOST", "0.0.0.0")  # noqa: S104 (what must not happen)
    monkeypatch.setenv("SERVICES", "s3")
    emulator = launcher.start(tmp_path, free_port(), PUBLIC_NETWORK)
    try:
        Cloud(emulator.endpoint).ec2.describe_instances()
    finally:
        launcher.stop(tmp_path)
