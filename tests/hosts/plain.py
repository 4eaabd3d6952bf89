"""The plain hosts as testinfra sees them: from inside, as root. A command takes a tenth of a second this way;
through Ansible's connection plugin it takes two seconds."""

from __future__ import annotations

import boto3

from tests.hosts import LAB


def instances(role: str = "plain") -> dict[str, str]:
    """Return instance id by Name of the running hosts that scenarios share."""
    wanted = [
        {"Name": "tag:Environment", "Values": ["molecule"]},
        {"Name": "tag:Role", "Values": [role]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    found = boto3.client("ec2").describe_instances(Filters=wanted)["Reservations"]
    names = {
        next(t["Value"] for t in i["Tags"] if t["Key"] == "Name"): i["InstanceId"]
        for r in found
        for i in r["Instances"]
    }
    return dict(sorted(names.items()))


def hosts(role: str = "plain") -> list[str]:
    """Return what `testinfra_hosts` takes."""
    found = [f"podman://{LAB.namespace(identifier)}" for identifier in instances(role).values()]
    if not found:
        raise LookupError(f"no running {role} host; run the scenario's create step")
    return found
