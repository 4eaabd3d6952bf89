"""The machine's numbers against its own tools, and who is warned when a disk fills. Disks are really filled."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.hosts import plain

testinfra_hosts = plain.hosts()
DATA = "/srv/data"
NOTICES = "/run/atelier/notices"


def measure(host: Host) -> None:
    """Let the unit of the timer run once."""
    host.check_output("systemctl start datalab-metrics.service")


@pytest.fixture
def space(host: Host) -> Iterator[None]:
    """Whatever a test fills is freed, and measured again."""
    yield
    host.check_output(f"rm -f {DATA}/home/*/filler {DATA}/filler")
    measure(host)


def notices(host: Host, name: str) -> list[dict[str, str]]:
    """What is told in a file; nothing when it is absent."""
    file = host.file(f"{NOTICES}/{name}.json")
    return json.loads(file.content_string) if file.exists else []


def test_a_home_that_grows_warns_its_owner_alone(host: Host, space) -> None:
    assert notices(host, "members/lena") == []
    host.check_output(f"fallocate -l 170M {DATA}/home/lena/filler")
    measure(host)
    assert notices(host, "members/lena")[0]["level"] == "warning"
    host.check_output(f"fallocate -l 190M {DATA}/home/lena/filler")
    measure(host)
    told = notices(host, "members/lena")[0]
    assert told["level"] == "error"
    assert "Your home is 9" in told["text"]
    assert notices(host, "members/marc") == []
    with host.sudo("lena"):
        assert told["text"] in host.check_output(f"cat {NOTICES}/members/lena.json")
    with host.sudo("marc"):
        assert host.run(f"cat {NOTICES}/members/lena.json").rc != 0
    host.check_output(f"rm {DATA}/home/lena/filler")
    measure(host)
    assert notices(host, "members/lena") == []


def test_a_volume_that_fills_warns_everybody(host: Host, space) -> None:
    assert notices(host, "all/volume") == []
    used, free = (int(n) for n in host.check_output(f"df -B1 --output=used,avail {DATA} | tail -1").split())
    for percent, level in ((83, "warning"), (93, "error")):
        host.check_output(f"fallocate -l {(used + free) * percent // 100 - used} {DATA}/filler")
        measure(host)
        told = notices(host, "all/volume")[0]
        assert told["level"] == level
        assert f"is {percent} % full" in told["text"]
        assert host.file("/run/motd.d/atelier-disk").content_string.strip() == told["text"]
    host.check_output(f"rm {DATA}/filler")
    measure(host)
    assert notices(host, "all/volume") == []
    assert not host.file("/run/motd.d/atelier-disk").exists


def test_the_timer_runs(host: Host) -> None:
    assert host.check_output("systemctl is-active datalab-metrics.timer") == "active"
    assert host.check_output("systemctl is-enabled datalab-metrics.timer") == "enabled"
