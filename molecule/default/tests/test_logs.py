"""The bastion's log in CloudWatch Logs: who came in, who and what was refused; nothing lost while AWS was away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from testinfra.host import Host

from lab import launcher, processes
from tests.hosts.platform import ALPHA, BASTION, ENVIRONMENT, LAB, instance
from tests.waiting import until

GROUP = f"/atelier/{ENVIRONMENT}/bastion"
KEY = ["-i", os.environ.get("ANSIBLE_PRIVATE_KEY_FILE", "")]
# Throw-away connections that prove nothing about host keys: test_access.py does.
OPTIONS = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]
OPTIONS += ["-o", "UserKnownHostsFile=/dev/null", "-o", "ControlPath=none"]
FIRST_TEST = int(time.time() * 1000)
AWAY = 90  # seconds in which a shipper that waits up to a minute between two tries is back


def ssh(target: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["ssh", *KEY, *OPTIONS, target, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL)


def logged(*words: str, since: int = FIRST_TEST) -> list[dict[str, Any]]:
    """Events of the bastion whose message has all of these words."""
    pages = (
        boto3.client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName=GROUP, logStreamNames=[instance(BASTION)["InstanceId"]], startTime=since)
    )
    found = [json.loads(event["message"]) for page in pages for event in page["events"]]
    return [event for event in found if all(word in event["message"] for word in words)]


@contextmanager
def aws_away() -> Iterator[None]:
    """No AWS for anybody: the emulator is ended, and who would start it again sleeps."""
    supervisor = processes.recorded(LAB.state / "supervisor.pid")
    assert supervisor
    os.kill(supervisor, signal.SIGSTOP)
    try:
        launcher.stop(LAB.state / "emulator")
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)
        until(answers, 30)


def answers() -> bool:
    """Whether AWS is there."""
    try:
        boto3.client("logs", config=Config(retries={"total_max_attempts": 1})).describe_log_groups()
    except BotoCoreError:
        return False
    return True


def test_who_came_in_and_who_was_refused_is_there_within_seconds() -> None:
    bastion = instance(BASTION)["PublicIpAddress"]
    assert ssh(f"datalab-admin@{bastion}", "true").returncode == 0
    assert ssh(f"nobody-we-know@{bastion}", "true").returncode == 255
    until(lambda: logged("Accepted publickey for datalab-admin") and logged("Invalid user nobody-we-know"), 15)
    accepted = logged("Accepted publickey for datalab-admin")[-1]
    assert "198.51.100.20" in accepted["message"], "from where"
    assert "SHA256:" in accepted["message"], "with which key"
    assert accepted["exe"].startswith(("/usr/sbin/sshd", "/usr/lib/openssh/"))
    until(
        lambda: logged("session opened for user datalab-admin") and logged("session closed for user datalab-admin"), 15
    )


def test_a_refused_forwarding_is_there(bastion: Host) -> None:
    """For a moment the bastion forwards to nowhere but a machine's port."""
    address, machine = instance(BASTION)["PublicIpAddress"], instance(ALPHA)["PrivateIpAddress"]
    file = "/etc/ssh/sshd_config.d/01-test.conf"
    bastion.check_output(f"printf 'PermitOpen {machine}:22\\n' > {file} && systemctl reload ssh")
    try:
        until(lambda: ssh("-W", "192.0.2.1:9", f"datalab-admin@{address}").returncode == 255, 15)
    finally:
        bastion.check_output(f"rm {file} && systemctl reload ssh")
    until(lambda: logged("to connect to host 192.0.2.1 port 9, but the request was denied"), 15)


def test_sudo_on_the_bastion_is_there() -> None:
    assert ssh(f"datalab-admin@{instance(BASTION)['PublicIpAddress']}", "sudo", "true").returncode == 0
    until(lambda: logged("COMMAND=/usr/bin/true", "USER=root"), 15)


def test_nothing_of_what_happened_while_aws_was_away_is_lost(bastion: Host) -> None:
    """One refusal only: a newer sshd shuts out whoever fails often, and with it the other tests."""
    address, marks = instance(BASTION)["PublicIpAddress"], [f"while-away-{time.time_ns()}" for _ in range(4)]
    assert json.loads(bastion.check_output("cat /run/datalab-journal/status.json"))["state"] == "shipping"
    with aws_away():
        for mark in marks:
            assert ssh(f"datalab-admin@{address}", "sudo", "echo", mark).returncode == 0
        assert ssh(f"stranger@{address}", "true").returncode == 255
        told = "systemctl show --property StatusText datalab-journal.service"
        until(lambda: "does not accept" in bastion.check_output(told), 60)
    wanted = [*marks, "Invalid user stranger "]
    until(lambda: all(logged(mark) for mark in wanted), AWAY)
    until(lambda: "shipping" in bastion.check_output("cat /run/datalab-journal/status.json"), 10)


def test_its_role_may_write_this_log_and_no_other() -> None:
    """The emulator enforces no policy: what it says is looked at."""
    profile = instance(BASTION)["IamInstanceProfile"]["Arn"].rpartition("/")[2]
    iam = boto3.client("iam")
    (role,) = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
    (name,) = iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
    (statement,) = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]["Statement"]
    assert set(statement["Action"]) == {"logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"}
    assert statement["Resource"].endswith(f":log-group:{GROUP}:*")


def test_the_way_to_aws_is_the_endpoint_alone(bastion: Host) -> None:
    group = instance(BASTION)["SecurityGroups"][0]["GroupId"]
    rules = boto3.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    assert {network["CidrIp"] for rule in rules for network in rule.get("IpRanges", [])} == {"127.0.0.1/32"}
    ask = "timeout 3 bash -c 'exec 3<>/dev/tcp/{}/443'"
    assert bastion.run(ask.format("logs.eu-west-1.amazonaws.com")).rc == 0
    assert bastion.run(ask.format("1.1.1.1")).rc != 0
    assert bastion.run("getent hosts ec2.eu-west-1.amazonaws.com").rc != 0, "no endpoint, no way"
