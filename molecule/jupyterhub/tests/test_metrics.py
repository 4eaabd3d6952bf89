"""What a scraper reads, held against what the machine itself says."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

from tests.hosts import plain

testinfra_hosts = plain.hosts()[1:]  # one of the hosts is enough
DATA = "/srv/data"
# The header of the scraper, never on a command line.
BEARER = "(. /etc/jupyterhub/secrets/metrics.env; printf 'Authorization: Bearer %s' $DATALAB_METRICS_TOKEN)"
# Parses with the reference parser, which refuses a malformed exposition.
PARSE = """import json, sys
from prometheus_client.parser import text_string_to_metric_families as parse
print(json.dumps([[s.name, s.labels, s.value] for f in parse(sys.stdin.read()) for s in f.samples]))"""


def measure(host: Host) -> None:
    """Let the unit of the timer run once."""
    host.check_output("systemctl start datalab-metrics.service")


@pytest.fixture
def scrape(hub, host: Host):
    """Samples by name and label value, as a scraper gets them through the proxy."""

    def now() -> dict[tuple[str, str], float]:
        measure(host)
        text = f"{BEARER} | curl -sfk -H @- {hub.url}/hub/metrics"
        samples = json.loads(host.check_output(f"{text} | {hub.python} -c '{PARSE}'"))
        return {(name, "/".join(labels.values())): value for name, labels, value in samples}

    return now


def test_numbers_are_the_machines_own(hub, host: Host, scrape) -> None:
    login = hub.members[0]
    hub.visit(login, "pass")
    seen = scrape()
    df = host.check_output(f"df --block-size=1 --output=size,used,avail {DATA}").splitlines()[1].split()
    names = ("atelier_disk_size_bytes", "atelier_disk_used_bytes", "atelier_disk_available_bytes")
    assert [seen[name, DATA] for name in names] == pytest.approx([int(n) for n in df], abs=2**20)
    du = int(host.check_output(f"du -sx --block-size=1 {DATA}/home/{login}").split()[0])
    assert seen["atelier_home_used_bytes", login] == pytest.approx(du, abs=2**20)
    assert seen["atelier_home_soft_limit_bytes", login] == pytest.approx(0.2 * 2**30)
    shown = host.check_output(
        f"systemctl show jupyter-{login}-singleuser -p MemoryCurrent -p MemoryMax -p CPUUsageNSec"
    )
    unit = dict(line.split("=", 1) for line in shown.splitlines())
    assert seen["atelier_server_memory_limit_bytes", login] == int(unit["MemoryMax"])
    assert seen["atelier_server_memory_bytes", login] == pytest.approx(int(unit["MemoryCurrent"]), rel=0.2)
    # Where systemd does not know it, as on hosts whose cpuacct stands apart, nothing is said.
    assert (("atelier_server_cpu_seconds_total", login) in seen) is unit["CPUUsageNSec"].isdigit()
    assert seen["atelier_server_cpu_limit", login] == 1.0
    assert seen["atelier_project_memory_limit_bytes", "delta"] == 800 * 2**20
    assert seen["atelier_conda_generations", "delta-base"] >= 1
    assert seen["atelier_culler_running", ""] == 1
    assert seen["atelier_unit_active", "jupyterhub.service"] == 1
    # And the hub's own.
    assert seen["jupyterhub_running_servers", ""] >= 1


def test_a_kill_for_memory_is_counted(hub, scrape) -> None:
    login = hub.members[0]
    hub.visit(login, "pass")
    before = scrape()["atelier_server_oom_kills_total", login]
    assert hub.visit(login, f"a = b'x' * ({2 * hub.limit} * 2**20)")["died"] is True
    assert scrape()["atelier_server_oom_kills_total", login] > before


def test_only_the_scraper_reads_them(hub, host: Host) -> None:
    for header in ("X-None: 1", "Authorization: Bearer 0123456789abcdef0123456789abcdef"):
        status = host.check_output(f"curl -sk -o /dev/null -w '%{{http_code}}' -H '{header}' {hub.url}/hub/metrics")
        assert status == "403"
    secret = host.file("/etc/jupyterhub/secrets/metrics.env")
    assert (secret.user, secret.mode) == ("root", 0o600)
    assert host.file("/var/lib/atelier/metrics").mode == 0o750
    # The token opens nothing else.
    users = f"{BEARER} | curl -sk -o /dev/null -w '%{{http_code}}' -H @- {hub.url}/hub/api/users"
    assert host.check_output(users) == "403"
