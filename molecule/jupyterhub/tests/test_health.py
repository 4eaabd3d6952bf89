"""The health check: well on a hub that works; on one that does not, it names the step and where to look."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

from tests.hosts import plain

testinfra_hosts = plain.hosts()[1:]  # one of the hosts is enough


def check(host: Host) -> tuple[int, dict]:
    with host.sudo():
        done = host.run("datalab-health --json")
    return done.rc, json.loads(done.stdout)


def test_it_computes_in_every_kernel_and_leaves_nothing_running(hub, host: Host) -> None:
    status, found = check(host)
    assert (status, found["reason"]) == (0, "")
    assert [step["name"] for step in found["steps"]] == ["certificate", "login", "server", f"kernel {hub.kernel}"]
    with host.sudo():
        assert json.loads(host.file("/var/lib/datalab-health/last.json").content_string) == found
        units = host.check_output("systemctl list-units --plain --no-legend 'jupyter-datalab-health*'")
    assert units == ""


def test_its_account_is_in_no_project_and_enters_no_other_way(host: Host) -> None:
    assert host.user("datalab-health").groups == ["datalab-health"]
    assert host.user("datalab-health").shell == "/usr/sbin/nologin"
    with host.sudo():
        assert host.file("/etc/jupyterhub/secrets/health.env").mode == 0o600


KERNELS = "/opt/atelier/jupyter/projects"
KERNEL = f"{KERNELS}/delta/kernels/delta-base/kernel.json"
FAULTS = {
    "a kernel nobody can read": (
        f"chmod 000 {KERNEL}",
        f"chmod 640 {KERNEL}",
        "kernels",
        "/opt/atelier/jupyter/projects",
    ),
    "the hub stopped": ("systemctl stop jupyterhub", "systemctl start jupyterhub", "login", "journalctl -u jupyterhub"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_where_to_look(hub, host: Host, fault: str) -> None:
    breaking, mending, step, look = FAULTS[fault]
    with host.sudo():
        host.check_output(breaking)
    try:
        status, found = check(host)
    finally:
        with host.sudo():
            host.check_output(mending)
        hub.wait()
    assert status == 1
    assert found["reason"].startswith(f"{step}: ")
    assert look in found["reason"]
