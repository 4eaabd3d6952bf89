"""The bastion is the only way in. Each "cannot" is also tried with the protection taken away: the probe must see it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from testinfra.host import Host

from lab.network import CORPORATE as CORPORATE_NETWORK
from tests.hosts.platform import ALPHA, BASTION, BETA, LAB, ROOT, ansible, instance
from tests.hosts.ssh import visitor
from tests.waiting import until

KEY = ["-i", os.environ.get("ANSIBLE_PRIVATE_KEY_FILE", "")]
# The probes pin in a file of their own; the pins of the environment have their own test below.
PINS = Path(tempfile.mkdtemp()) / "known_hosts"
OPTIONS = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", f"UserKnownHostsFile={PINS}"]
OPTIONS += ["-o", "StrictHostKeyChecking=accept-new", "-o", "LogLevel=ERROR", "-o", "ControlPath=none"]
DROP_IN = "/etc/ssh/sshd_config.d/10-datalab.conf"
CORPORATE = ["ip", "netns", "exec", LAB.prefix]  # the company's network, which is not the bastion


def ssh(*target: str, prefix: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [*(prefix or []), "ssh", *KEY, *OPTIONS, *target]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL)


@contextmanager
def without_drop_in(host: Host) -> Iterator[None]:
    """Take our sshd configuration away for a moment."""
    host.run_expect([0], f"mv {DROP_IN} /root/taken-away && systemctl reload ssh")
    try:
        yield
    finally:
        host.run_expect([0], f"mv /root/taken-away {DROP_IN} && systemctl reload ssh")


@contextmanager
def groups_opened(*names: str) -> Iterator[None]:
    """Open ssh in the security groups of machines by hand, so that what is behind them has to hold."""
    ec2, networks = boto3.client("ec2"), ["10.20.0.0/16", CORPORATE_NETWORK]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": one} for one in networks]}
    groups = [instance(name)["SecurityGroups"][0]["GroupId"] for name in names]
    for group in groups:
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[rule])
    try:
        yield
    finally:
        for group in groups:
            ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])
            ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[rule])


def refuses_twice(target: str, prefix: list[str], groups: list[str], sshd: Host) -> None:
    """The security group drops; where it is open sshd refuses; with neither the door is open."""
    assert "timed out" in ssh(target, "true", prefix=prefix).stderr
    with groups_opened(*groups):
        until(lambda: "Permission denied" in ssh(target, "true", prefix=prefix).stderr, 15)
        with without_drop_in(sshd):
            assert ssh(target, "true", prefix=prefix).returncode == 0, "the probe does not see an open door"
    until(lambda: "timed out" in ssh(target, "true", prefix=prefix).stderr, 15)


def test_every_host_answers_through_the_bastion() -> None:
    done = ansible(
        "ansible", "-i", "inventories/preprod", "role_bastion:role_workstation", "-m", "ansible.builtin.ping"
    )
    assert done.stdout.count("SUCCESS") == 3


@pytest.mark.parametrize("name", [ALPHA, BETA])
def test_machine_sees_the_bastion_as_the_source(name: str) -> None:
    done = ansible(
        "ansible", "-i", "inventories/preprod", name, "-m", "ansible.builtin.shell", "-a", "echo $SSH_CONNECTION"
    )
    assert instance(BASTION)["PrivateIpAddress"] in done.stdout


def test_machine_refuses_the_corporate_network(alpha: Host) -> None:
    refuses_twice(f"datalab-admin@{instance(ALPHA)['PrivateIpAddress']}", CORPORATE, [ALPHA], alpha)


def test_machine_refuses_another_machine(beta: Host) -> None:
    """beta's sshd is asked from alpha's network namespace, with the right key."""
    inside_alpha = ["ip", "netns", "exec", LAB.namespace(instance(ALPHA)["InstanceId"])]
    target = f"datalab-admin@{instance(BETA)['PrivateIpAddress']}"
    refuses_twice(target, inside_alpha, [ALPHA, BETA], beta)


def test_machines_have_no_public_address() -> None:
    assert not instance(ALPHA).get("PublicIpAddress")
    assert not instance(BETA).get("PublicIpAddress")
    assert instance(BASTION)["PublicIpAddress"]


@pytest.mark.parametrize("account", ["root", "alice"])
def test_bastion_gives_no_shell_to(account: str) -> None:
    address = instance(BASTION)["PrivateIpAddress"]
    done = ssh("-o", f"ProxyCommand={visitor(address)}", f"{account}@{address}", "true")
    assert "Permission denied" in done.stderr


def test_passwords_do_not_open_ssh(alpha: Host, bastion: Host) -> None:
    for host in (alpha, bastion):
        effective = host.check_output("sshd -T -C user=alice,host=x,addr=10.20.0.10")
        assert "passwordauthentication no" in effective
        assert "kbdinteractiveauthentication no" in effective
        assert "allowagentforwarding no" in effective


def test_changed_host_key_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The pin of alpha is exchanged for another key: the next connection must fail, not ask."""
    pins = ROOT / ".state/preprod.known_hosts"
    kept = pins.read_text()
    other = tmp_path_factory.mktemp("key") / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    key = " ".join(other.with_suffix(".pub").read_text().split()[:2])
    machine = instance(ALPHA)["InstanceId"]
    assert machine in kept, "the first contact did not pin the host key under the instance's id"
    shutil.rmtree(ROOT / ".state/cp", ignore_errors=True)
    try:
        pins.write_text(
            "".join(f"{line}\n" for line in kept.splitlines() if machine not in line) + f"{machine} {key}\n"
        )
        done = ansible(
            "ansible", "-i", "inventories/preprod", ALPHA, "-m", "ansible.builtin.ping",
            check=False, ANSIBLE_SSH_ARGS="-o ControlMaster=no -o ControlPath=none",
        )  # fmt: skip
        assert done.returncode != 0
        assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stdout + done.stderr
    finally:
        pins.write_text(kept)
    again = ansible("ansible", "-i", "inventories/preprod", ALPHA, "-m", "ansible.builtin.ping")
    assert "SUCCESS" in again.stdout
