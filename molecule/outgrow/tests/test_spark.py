"""The example notebook on the machine and, by one line of data, on another host; the local server is its owner's."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable, Iterator

import pytest
from testinfra import get_host
from testinfra.host import Host

from tests.hosts import LAB, plain
from tests.hosts.control_groups import Groups, unit
from tests.hosts.platform import ROOT, ansible
from tests.hosts.visits import Hub

MACHINE, CLUSTER = "plain-debian12", "plain-debian13"
ADDRESS = "10.99.0.13"  # the cluster's
testinfra_hosts = plain.hosts()[:1]

CELLS = json.loads((ROOT / "docs/examples/spark.ipynb").read_text(encoding="utf-8"))["cells"]
NOTEBOOK = "\n".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code")
TOTALS = str([3 * sum(range(shop, 1_000_000, 7)) for shop in range(7)])

SPARK = "{}/lib/python3.12/site-packages/pyspark"
DISCOVERY = "/tmp/spark-connect-yara/connect-local.json"  # noqa: S108 - in the server's own /tmp

# Somebody's attempt to use another's server, with what they know.
ATTEMPT = """import os
from pyspark.sql import SparkSession
os.environ["SPARK_CONNECT_AUTHENTICATE_TOKEN"] = {token!r}
try:
    print("inside", SparkSession.builder.remote("sc://localhost:15002").create().range(3).count())
except Exception as error:
    print("refused", error)
"""
CODECS = """import os
path = os.path.expanduser("~/scratch.parquet")
print(bool(os.statvfs("/tmp").f_flag & os.ST_NOEXEC))
for codec in ("snappy", "zstd"):
    spark.range(1000).write.mode("overwrite").option("compression", codec).parquet(path)
    print(spark.read.parquet(path).count())
"""
# All of it at once in Java's memory.
FILL = """texts = spark.range(600_000).selectExpr("sha2(string(id), 256) AS text")
print(texts.selectExpr("size(collect_list(text))").first()[0])
"""
# What a kernel does that is slow to end on a busy machine: it hears nothing.
STUCK = "import os, signal, threading; threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGSTOP)).start()"


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Callable[[], None]]:
    """A Spark Connect server on the other host, from the same environment; what is given waits until it answers."""
    host = get_host(f"podman://{LAB.namespace(plain.instances()[CLUSTER])}")
    prefix = host.check_output("readlink -e /opt/atelier/conda/envs/sigma-spark/current")
    home = "/var/lib/spark"
    variables = {
        "PATH": f"{prefix}/bin:/usr/bin:/bin", "HOME": home, "SPARK_LOCAL_DIRS": home, "SPARK_LOG_DIR": home,
        "SPARK_PID_DIR": home, "SPARK_SUBMIT_OPTS": f"-Djava.io.tmpdir={home}",
    }  # fmt: skip
    settings = {
        "spark.connect.grpc.binding.address": ADDRESS, "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "localhost", "spark.ui.enabled": "false", "spark.jars.ivy": f"{home}/ivy",
    }  # fmt: skip
    command = ["systemd-run", "--unit=spark-connect", "--collect"]
    command += ["--property=User=nobody", "--property=StateDirectory=spark", "--property=MemoryMax=1200M"]
    command += [f"--setenv={name}={value}" for name, value in variables.items()]
    command += [f"{SPARK.format(prefix)}/sbin/start-connect-server.sh", "--wait", "--master=local[2]"]
    command += ["--driver-memory=600m", *(f"--conf={name}={value}" for name, value in settings.items())]
    host.check_output(shlex.join(command))

    def ready() -> None:
        end = time.monotonic() + 120
        while host.run(f"ss -Hlnt sport = 15002 | grep -F {ADDRESS}").rc:
            assert time.monotonic() < end, host.check_output("journalctl -u spark-connect -n 30 --no-pager")
            time.sleep(1)

    yield ready
    host.run("systemctl stop spark-connect; rm -rf /var/lib/spark /tmp/hsperfdata_nobody")


@pytest.fixture(scope="module")
def kernel(hub: Hub) -> str:
    """The kernel in which yara's first session is."""
    seen = hub.visit("yara", NOTEBOOK, fresh=True)
    assert seen["output"].splitlines() == [TOTALS, MACHINE]
    return seen["kernel"]


def java(host: Host, login: str = "yara") -> int:
    """The process of somebody's local server; there is one."""
    return int(host.check_output(f"pgrep -x -u {login} java"))


def compute(hub: Hub) -> list[str]:
    """What the notebook shows in a kernel of its own, which is closed afterwards: each takes its share of the limit."""
    seen = hub.visit("yara", NOTEBOOK)
    close(hub, seen["kernel"])
    return seen["output"].splitlines()


def close(hub: Hub, kernel: str) -> None:
    """Shut a kernel of yara's down."""
    assert hub.visit("yara", calls=[["DELETE", f"/user/yara/api/kernels/{kernel}", None]])["answers"] == [[204, ""]]


def listening(host: Host, process: int) -> set[tuple[str, int]]:
    """Addresses and ports on which a process listens."""
    lines = host.check_output("ss -Hlntp").splitlines()
    names = [line.split()[3].rpartition(":") for line in lines if f"pid={process}," in line]
    return {(address.strip("[]").removeprefix("::ffff:"), int(port)) for address, _, port in names}


def move(remote: str) -> None:
    """Change where the project's kernels compute, as docs/howto/spark.md says."""
    ansible(
        "ansible-playbook", "-i", ROOT / "molecule/inventory/plain.aws_ec2.yml", ROOT / "molecule/outgrow/converge.yml",
        "--limit", MACHINE, "--tags", "jupyter", "-e", json.dumps({"spark_remote": remote}),
    )  # fmt: skip


def test_the_next_kernel_uses_the_server_that_runs(hub: Hub, host: Host, kernel: str) -> None:
    before = java(host)
    assert compute(hub) == [TOTALS, MACHINE]
    assert java(host) == before


def test_compiled_code_loads_although_tmp_runs_nothing(hub: Hub, host: Host, kernel: str) -> None:
    assert hub.visit("yara", CODECS, kernel=kernel)["output"].split() == ["True", "1000", "1000"]
    mapped = host.check_output(f"cat /proc/{java(host)}/maps")
    for library in ("snappy", "zstd"):
        assert re.search(rf" /srv/data/home/yara/\.cache/spark/\S*{library}\S*\.so", mapped), library


def test_java_takes_about_half_of_the_limit_and_fits(hub: Hub, host: Host, kernel: str) -> None:
    process, group = java(host), Groups(host, unit("yara"))
    assert group.memory == hub.limit * 2**20
    assert f"-Xmx{hub.limit // 3}m" in host.check_output(f"ps -ww -o args= -p {process}").split()
    assert hub.visit("yara", FILL, kernel=kernel)["output"] == "600000"
    peak = int(re.search(r"VmHWM:\s+(\d+)", host.file(f"/proc/{process}/status").content_string)[1]) // 1024
    assert hub.limit // 3 < peak < hub.limit * 0.6, "the heap was used, and notebooks have room"
    assert group.killed == 0
    assert java(host) == process


def test_it_listens_to_this_machine_only_and_has_no_page(host: Host, kernel: str) -> None:
    found = listening(host, java(host))
    assert ("127.0.0.1", 15002) in found
    assert {address for address, _ in found} == {"127.0.0.1"}
    assert not host.socket("tcp://4040").is_listening


def test_another_account_is_refused_without_the_token(hub: Hub, host: Host, kernel: str) -> None:
    token = json.loads(host.check_output(f"nsenter -t {java(host)} -m cat {DISCOVERY}"))["token"]
    seen = hub.visit("zeno", ATTEMPT.format(token=""))
    assert seen["output"].startswith("refused")
    assert "token" in seen["output"].lower()
    seen = hub.visit("zeno", ATTEMPT.format(token="0" * len(token)), kernel=seen["kernel"])
    assert seen["output"].startswith("refused")
    # Nothing else is in the way: the token, and only it, opens.
    assert hub.visit("zeno", ATTEMPT.format(token=token), kernel=seen["kernel"])["output"] == "inside 3"
    assert "No such file" in hub.visit("zeno", f"open({DISCOVERY!r})", kernel=seen["kernel"])["output"]
    assert token not in host.check_output("ps axww -o args")


def test_a_colleague_has_a_server_of_their_own(hub: Hub, host: Host, kernel: str) -> None:
    assert hub.visit("zeno", NOTEBOOK)["output"].splitlines() == [TOTALS, MACHINE]
    addresses = listening(host, java(host, "zeno"))
    assert {address for address, _ in addresses} == {"127.0.0.1"}
    assert 15002 not in {port for _, port in addresses}


def test_it_outlives_the_kernel_that_started_it(hub: Hub, host: Host, kernel: str) -> None:
    """Also when that kernel has to be killed: others compute on it."""
    before = java(host)
    hub.visit("yara", STUCK, kernel=kernel)
    time.sleep(0.5)
    close(hub, kernel)
    assert compute(hub) == [TOTALS, MACHINE]
    assert java(host) == before


def test_the_next_kernel_replaces_a_server_that_was_killed(hub: Hub, host: Host) -> None:
    """As the kernel does it when memory is short."""
    host.check_output(f"kill -9 {java(host)}")
    assert compute(hub) == [TOTALS, MACHINE]
    java(host)


def test_the_same_notebook_computes_on_the_cluster(hub: Hub, cluster: Callable[[], None], kernel: str) -> None:
    move(f"sc://{ADDRESS}:15002")
    try:
        cluster()
        assert compute(hub) == [TOTALS, CLUSTER]
    finally:
        move("local[*]")


def test_it_ends_with_its_owners_server(hub: Hub, host: Host) -> None:
    java(host)
    calls = [["GET", "/hub/home", None], ["DELETE", "/hub/api/users/yara/server", None]]
    assert hub.visit("yara", calls=calls)["answers"][1][0] in (202, 204)
    end = time.monotonic() + 60
    while host.run("pgrep -x -u yara java").rc == 0:
        assert time.monotonic() < end, "Java runs on"
        time.sleep(0.5)
