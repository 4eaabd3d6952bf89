"""A real journal in a log stream, through metadata service and endpoint; and when a part of it is away."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from testinfra.host import Host

from tests.hosts import plain
from tests.waiting import until

testinfra_hosts = plain.hosts()
GROUP, SERVICE = "/atelier/molecule/plain", "datalab-journal.service"
AWAY = 90  # seconds in which a shipper that waits up to a minute between two tries is back


def events(host: Host) -> list[dict[str, Any]]:
    """What AWS has of this host; all pages."""
    stream = json.loads(host.file("/etc/atelier/journal.json").content_string)["stream"]
    logs = boto3.client("logs")
    found = logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP, logStreamNames=[stream])
    return [json.loads(event["message"]) for page in found for event in page["events"]]


def arrived(host: Host, mark: str) -> list[str]:
    """Messages with this mark."""
    return [event["message"] for event in events(host) if mark in event["message"]]


def log(host: Host, *messages: str, identifier: str = "sshd") -> None:
    for message in messages:
        host.check_output(f"logger -t {identifier} '{message}'")


@pytest.fixture
def mark() -> str:
    return f"mark-{time.time_ns()}"


@contextmanager
def endpoint_closed() -> Iterator[None]:
    """The rule that lets the hosts reach the endpoint is taken away: AWS does not answer."""
    ec2 = boto3.client("ec2")
    groups = ec2.describe_security_groups()["SecurityGroups"]
    (group,) = (one for one in groups if one["Description"] == "Endpoint of CloudWatch Logs")
    (rule,) = group["IpPermissions"]
    wanted = [{"Name": "group-id", "Values": [group["GroupId"]]}]
    rules = ec2.describe_security_group_rules(Filters=wanted)["SecurityGroupRules"]
    ids = [one["SecurityGroupRuleId"] for one in rules if not one["IsEgress"]]
    ec2.revoke_security_group_ingress(GroupId=group["GroupId"], SecurityGroupRuleIds=ids)
    try:
        yield
    finally:
        ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[rule])


def status(host: Host) -> dict[str, Any]:
    return json.loads(host.file("/run/datalab-journal/status.json").content_string)


def test_what_is_chosen_arrives_within_seconds_and_tells_who_wrote_it(host: Host, mark: str) -> None:
    log(host, f"{mark} not chosen", identifier="another")
    log(host, f"{mark} chosen")
    until(lambda: arrived(host, mark), 10)
    (found,) = (event for event in events(host) if mark in event["message"])
    assert found["message"] == f"{mark} chosen"
    assert (found["identifier"], found["uid"]) == ("sshd", "0")
    assert found["host"] == host.check_output("hostname")
    assert status(host)["state"] == "shipping"


def test_the_service_may_read_the_journal_and_nothing_else(host: Host) -> None:
    pid = host.check_output(f"systemctl show --property MainPID --value {SERVICE}")
    shown = dict(line.split(":\t", 1) for line in host.check_output(f"cat /proc/{pid}/status").splitlines())
    assert int(shown["Uid"].split()[0]) > 1000
    assert int(shown["CapEff"], 16) == int(shown["CapBnd"], 16) == 0
    assert shown["NoNewPrivs"] == "1"
    options = host.check_output(f"nsenter --target {pid} --mount findmnt --noheadings --output OPTIONS --target /etc")
    assert "ro" in options.split(",")
    assert host.run(f"nsenter --target {pid} --mount ls /home/datalab-admin").rc != 0
    shadow = f"nsenter --target {pid} --mount setpriv --reuid {shown['Uid'].split()[0]} --clear-groups cat /etc/shadow"
    assert host.run(shadow).rc != 0


def test_the_journal_is_kept_within_its_limits(host: Host) -> None:
    settings = host.check_output("systemd-analyze cat-config systemd/journald.conf")
    for line in ("Storage=persistent", "SystemMaxUse=64M", "MaxRetentionSec=3day"):
        assert line in settings.splitlines()
    assert host.check_output("find /var/log/journal -name system.journal")
    assert "permission" not in host.run("journalctl --lines=1").stderr.lower()


def test_killed_again_and_again_it_loses_nothing(host: Host, mark: str) -> None:
    wanted = [f"{mark} {number}" for number in range(12)]
    for number, message in enumerate(wanted):
        log(host, message)
        if number % 4 == 3:
            host.run(f"systemctl kill --signal=KILL {SERVICE}")
    until(lambda: set(arrived(host, mark)) == set(wanted), 40)
    found = [event for event in events(host) if mark in event["message"]]
    assert len({event["id"] for event in found}) == len(wanted)


def test_while_aws_is_away_the_journal_waits(host: Host, mark: str) -> None:
    with endpoint_closed():
        # As on AWS, a security group lets an open connection be; a service that starts has none.
        host.check_output(f"systemctl restart {SERVICE}")
        log(host, f"{mark} while away")
        until(lambda: status(host)["state"] == "waiting", 60)
        assert "does not accept" in status(host)["error"]
        assert "does not accept" in host.check_output(f"systemctl show --property StatusText {SERVICE}")
        assert host.check_output(f"systemctl is-active {SERVICE}") == "active"
        assert arrived(host, mark) == []
    log(host, f"{mark} afterwards")
    until(lambda: arrived(host, mark) == [f"{mark} while away", f"{mark} afterwards"], AWAY)
    until(lambda: status(host)["state"] == "shipping", 10)


def test_another_version_of_the_library_would_lie_beside_this_one(host: Host) -> None:
    (folder,) = host.check_output("ls /opt/atelier/aws").split()
    assert folder.startswith("1.")
    size = int(host.check_output(f"du --summarize --bytes /opt/atelier/aws/{folder}").split()[0])
    assert size < 16 * 2**20
    assert host.check_output("ls -A /opt/atelier/aws").split() == [folder]
