"""A machine stopped through the API: its host goes, the inventory still lists it, a converge does as the data asks."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest

from tests.hosts.platform import ALPHA, BETA, LAB, ROOT, ansible, host, instance, site
from tests.hosts.power import containers_up, start
from tests.waiting import until


def stop(name: str) -> str:
    identifier = instance(name)["InstanceId"]
    boto3.client("ec2").stop_instances(InstanceIds=[identifier])
    until(lambda: LAB.namespace(identifier) not in containers_up(), 60)
    return identifier


@pytest.fixture
def both_running_after() -> Iterator[None]:
    yield
    for name in (ALPHA, BETA):
        if instance(name)["State"]["Name"] != "running":
            start(name)


def listed() -> dict:
    return json.loads(ansible("ansible-inventory", "-i", "inventories/preprod", "--list").stdout)


@pytest.mark.usefixtures("both_running_after")
def test_stopped_machine_that_is_to_be_skipped() -> None:
    host(BETA).run_expect([0], "echo kept > /srv/data/projects/beta/notebook.ipynb")
    stop(BETA)
    groups = listed()
    assert BETA in groups["role_workstation"]["hosts"]
    assert BETA in groups["state_stopped"]["hosts"]

    report = site()
    assert BETA not in report["stats"] or report["stats"][BETA]["ok"] == 0
    assert report["changed"] == []
    told = json.dumps(
        [result for _, task, result in report["all"] if task == "Say which stopped machines are passed over"]
    )
    assert f"{BETA} is stopped; its when_stopped is skip" in told
    assert instance(BETA)["State"]["Name"] == "stopped"

    start(BETA)
    assert host(BETA).file("/srv/data/projects/beta/notebook.ipynb").content_string == "kept\n"
    assert site("--limit", f"localhost,{BETA}")["changed"] == []


@pytest.mark.usefixtures("both_running_after")
def test_stopped_machine_that_is_to_be_started() -> None:
    host(ALPHA).run_expect([0], "echo kept > /srv/data/projects/alpha/notebook.ipynb")
    stop(ALPHA)
    report = site()
    assert instance(ALPHA)["State"]["Name"] == "running"
    assert report["stats"][ALPHA]["ok"] > 0
    assert host(ALPHA).file("/srv/data/projects/alpha/notebook.ipynb").content_string == "kept\n"
    assert host(ALPHA).service("jupyterhub").is_running


def test_inventory_groups() -> None:
    groups = listed()
    for group in (
        "role_bastion",
        "role_workstation",
        "project_alpha",
        "project_beta",
        "environment_preprod",
        "schedule_office",
    ):
        assert groups[group]["hosts"], group
    # Values from an inventory plugin are marked as not to be templated.
    address = groups["_meta"]["hostvars"][ALPHA]["ansible_host"]["__ansible_unsafe"]
    assert address == instance(ALPHA)["PrivateIpAddress"]
    assert (ROOT / "inventories/preprod/aws_ec2.yml").is_file()
