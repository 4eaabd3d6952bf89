"""Limits of memory and processors as the kernel holds them: per member, group and project."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.hosts import plain
from tests.hosts.control_groups import Groups, unit

testinfra_hosts = plain.hosts()[:1]  # one of the hosts is enough
MIB = 2**20
SETTINGS = "/etc/jupyterhub/settings.json"
SPIN = """import time
own, wall = time.process_time(), time.time()
while time.time() - wall < 3: pass
print(time.process_time() - own)"""


@pytest.fixture(scope="module")
def fresh(hub) -> dict[str, str]:
    """Both members with a new server each, and their kernels."""
    return {login: hub.visit(login, "pass", fresh=True)["kernel"] for login in hub.members}


@pytest.fixture
def stated(hub, host: Host) -> Iterator[dict]:
    """The limits of the project; what a test puts in `new` is applied as at a start of the hub, and taken back."""

    def apply(settings: dict) -> str:
        text = json.dumps(settings)
        host.check_output(f"printf %s '{text}' > {SETTINGS}")
        done = host.run(f"{hub.python} /etc/jupyterhub/apply_limits.py")
        assert done.rc == 0, done.stderr
        return done.stdout

    before = json.loads(host.file(SETTINGS).content_string)
    host.check_output(f"cp --preserve=all {SETTINGS} /run/settings.before")
    try:
        yield {"now": before, "apply": apply}
    finally:
        host.check_output(f"mv /run/settings.before {SETTINGS}; {hub.python} /etc/jupyterhub/apply_limits.py")


def test_each_level_is_in_the_control_groups(hub, host: Host, fresh) -> None:
    ines, otto = (Groups(host, unit(login)) for login in hub.members)
    assert ines.memory == 400 * MIB  # the default
    assert otto.memory == 600 * MIB  # the group
    assert ines.processors == 1.0  # the member
    assert otto.processors == 1.5  # the project
    together = Groups(host, "datalab-delta.slice")
    assert (together.memory, together.processors) == (800 * MIB, 1.8)
    assert ines.path.startswith(f"{together.path}/")
    assert otto.path.startswith(f"{together.path}/")


def test_total_binds_although_each_is_below_its_own(hub, host: Host, fresh) -> None:
    ines, otto = hub.members

    def hold(login: str, mib: int) -> dict:
        room = mib - Groups(host, unit(login)).used // MIB
        return hub.visit(login, f"a = b'x' * ({room} * 2**20); print('fits')", kernel=fresh[login])

    # Alone in the project it fits: the same cell is what the other member's memory makes impossible.
    assert hold(otto, 520)["output"] == "fits"
    hub.visit(otto, "del a", kernel=fresh[otto])
    assert hold(ines, 340)["output"] == "fits"
    greedy = hold(otto, 520)
    assert greedy["died"] is True
    assert hub.visit(ines, "print(len(a) > 0); del a", kernel=fresh[ines])["output"] == "True"
    assert host.check_output(f"systemctl is-active {unit(otto)}") == "active"


def test_the_kernel_dies_before_the_server(hub, host: Host, fresh) -> None:
    login = hub.members[0]
    pids = host.check_output(f"systemctl show --property MainPID --value {unit(login)}")
    shown = hub.visit(login, "print(open('/proc/self/oom_score_adj').read())", kernel=fresh[login])["output"]
    assert int(shown) > int(host.file(f"/proc/{pids}/oom_score_adj").content_string)


def test_changed_limits_bind_running_servers_and_kill_nobody(hub, host: Host, fresh, stated) -> None:
    ines, otto = hub.members
    kept = hub.visit(otto, "a = b'x' * (150 * 2**20)", kernel=fresh[otto])["kernel"]
    new = json.loads(json.dumps(stated["now"]))
    new["projects"][0]["limits"]["members"] = {
        ines: {"memory": "500M", "cpu": 0.3},
        otto: {"memory": "100M"},
    }
    said = stated["apply"](new)
    assert Groups(host, unit(ines)).memory == 500 * MIB
    before = Groups(host, unit(ines)).throttled
    seconds = float(hub.visit(ines, SPIN, kernel=fresh[ines])["output"])
    assert seconds < 3 * 0.3 + 0.3
    assert Groups(host, unit(ines)).throttled > before + 5  # the quota, not a busy machine
    assert f"{unit(otto)} uses" in said
    assert Groups(host, unit(otto)).memory == 600 * MIB
    assert hub.visit(otto, "print(len(a) >> 20); del a", kernel=kept)["output"] == "150"


def test_bad_limits_are_refused_together(hub, host: Host, stated) -> None:
    wrong = {**stated["now"], "memory_limit": "much", "cpu_limit": -1}
    text = json.dumps(wrong)
    host.check_output("rm -rf /run/staged; mkdir /run/staged; cp /etc/jupyterhub/*.py /run/staged")
    host.check_output(f"printf %s '{text}' > /run/staged/settings.json")
    refused = host.run(f"{hub.python} /run/staged/check_config.py /run/staged/jupyterhub_config.py")
    host.check_output("rm -r /run/staged")
    assert refused.rc != 0
    assert "default.memory: 'much'" in refused.stderr
    assert "default.cpu: -1" in refused.stderr
