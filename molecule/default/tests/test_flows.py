"""The flow matrix on the wire, asked from the hosts; a flow taken out of it is closed by the next run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import yaml
from testinfra.host import Host

from tests.hosts.platform import ALPHA, BASTION, BETA, ENVIRONMENT, ROOT, instance, play
from tests.waiting import until

HERE = ROOT / "inventories" / ENVIRONMENT
PACKAGES = ("198.51.100.10", 8080)


def asked(inventory: Path, check: bool = True) -> dict[str, dict[str, Any]]:
    """What playbooks/flows.yml asked, by host."""
    done = play("playbooks/flows.yml", "-i", inventory, check=check)
    return {host: result for host, task, result in done["all"] if task == "Ask what the matrix says"}


def opened(result: dict[str, Any]) -> set[tuple[str, int]]:
    return {(one["address"], one["port"]) for one in result["probes"] if one["found"]}


def test_hosts_reach_what_the_matrix_says_and_nothing_else() -> None:
    found = asked(HERE)
    addresses = {name: instance(name)["PrivateIpAddress"] for name in (ALPHA, BETA)}
    assert opened(found[BASTION]) == {(address, port) for address in addresses.values() for port in (22, 443)}
    assert opened(found[ALPHA]) == opened(found[BETA]) == {PACKAGES}
    assert all(len(result["probes"]) > len(opened(result)) for result in found.values())


def test_a_flow_taken_out_is_closed_and_a_rule_made_by_hand_is_found(alpha: Host, edited: Path) -> None:
    file = edited / "group_vars/all/flows.yml"
    flows = yaml.safe_load(file.read_text())
    flows["flows"] = [flow for flow in flows["flows"] if flow["name"] != "packages-alpha"]
    file.write_text(yaml.safe_dump(flows))
    ask = "timeout 2 bash -c 'exec 3<>/dev/tcp/{}/{}'".format(*PACKAGES)
    assert alpha.run(ask).rc == 0
    ec2, group = boto3.client("ec2"), instance(ALPHA)["SecurityGroups"][0]["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "IpRanges": [{"CidrIp": f"{PACKAGES[0]}/32"}]}
    try:
        play("playbooks/provision.yml", "-i", edited)
        until(lambda: alpha.run(ask).rc != 0, 10)
        assert PACKAGES not in opened(asked(edited)[ALPHA])
        ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[rule])
        until(lambda: alpha.run(ask).rc == 0, 10)
        said = asked(edited, check=False)[ALPHA]["msg"]
        assert said.startswith("1 of ")
        assert "198.51.100.10 tcp/8080) answers, though no flow permits it" in said
        ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[rule])
    finally:
        play("playbooks/provision.yml", "-i", HERE)
    until(lambda: alpha.run(ask).rc == 0, 10)
