"""What a host says of itself: parsers against the real tools' formats, and the whole against this very machine."""

from __future__ import annotations

import ast
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import (
    _audit_host,
    _audit_host_disk,
    _audit_host_net,
    _audit_host_people,
    _audit_host_system,
)

from tests.audit import hosts

ROOT = Path(__file__).resolve().parents[4]
ON_HOSTS = [*ROOT.glob("plugins/module_utils/_audit_host*.py"), ROOT / "plugins/modules/audit_evidence.py"]
# Of Python's standard library or Ansible's own; nothing else may be needed on an unknown machine.
ALLOWED = {*sys.stdlib_module_names, "ansible", "ansible_collections"}


@pytest.mark.parametrize("path", ON_HOSTS, ids=lambda path: path.name)
def test_it_reads_as_python_39_and_needs_only_its_library(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= ALLOWED
    words = path.read_text()
    for newer in (
        "datetime.UTC",
        "strict=True",
        "itertools.batched",
        "itertools.pairwise",
        "slots=True",
        "isinstance(x, int |",
    ):
        assert newer not in words


def test_addresses_of_proc_net() -> None:
    assert _audit_host_net.address("0100007F:1F90") == ("127.0.0.1", 8080)
    assert _audit_host_net.address("00000000000000000000000001000000:0016") == ("::1", 22)
    assert _audit_host_net.address("0000000000000000FFFF00000A1E0A0A:01BB") == ("10.10.30.10", 443)
    assert _audit_host_net.address("B80D0120000000000000000001000000:0050") == ("2001:db8::1", 80)


@pytest.fixture
def jupyter(tmp_path: Path) -> dict:
    return hosts.JUPYTER.evidence(tmp_path / "host")


def test_listeners_with_their_processes(jupyter: dict) -> None:
    assert [(one["protocol"], one["port"], one["process"]) for one in jupyter["listeners"]] == [
        ("tcp", 22, "sshd"), ("tcp", 8888, "jupyter-lab"),
    ]  # fmt: skip


def test_peers_by_direction_and_service(jupyter: dict) -> None:
    assert [(one["direction"], one["address"], one["port"], one["process"]) for one in jupyter["peers"]] == [
        ("in", "10.30.16.90", 8888, "jupyter-lab"), ("out", "10.30.16.91", 5432, "jupyter-lab"),
    ]  # fmt: skip


def test_units_and_timers_without_the_distribution_s_own(jupyter: dict) -> None:
    assert jupyter["units"] == [
        {"unit": "export.service", "state": "enabled", "origin": "written here"},
        {"unit": "jupyterhub.service", "state": "running", "origin": "package"},
    ]
    assert jupyter["timers"] == [{"unit": "feed.timer", "activates": "feed.service"}]


def test_logins_counted_by_account(jupyter: dict) -> None:
    assert [(one["user"], one["count"], one["hosts"]) for one in jupyter["logins"]] == [
        ("alice", 2, ["10.1.2.4", "10.1.2.3"]), ("datalab-admin", 1, ["10.30.0.10"]),
    ]  # fmt: skip
    assert jupyter["logins"][0]["last"] == "2023-11-15T23:13:20Z"  # SECOND + 90 000 s


def test_last_use_is_told_with_its_sign(jupyter: dict) -> None:
    said = [one["what"] for one in jupyter["last_use"]]
    assert said == ["login of alice", "a file changed in /home/alice", "connected at the audit: 10.30.16.90"]


def test_no_argument_of_a_command_is_read_out(jupyter: dict) -> None:
    assert not hosts.words(str(jupyter)) & {"hush", "s3cret", "secret", "TOKEN"}


@pytest.mark.parametrize(
    ("line", "owner", "found"),
    [
        ("*/5 * * * * carol /srv/run.sh -p x", None, ("*/5 * * * *", "carol", "/srv/run.sh")),
        ("@daily /usr/bin/python3 /srv/a.py --x", "bob", ("@daily", "bob", "/usr/bin/python3 /srv/a.py")),
        ("0 1 * * * A=b /bin/true", "bob", ("0 1 * * *", "bob", "/bin/true")),
        ("0 1 * * * bash -c 'secret'", "bob", ("0 1 * * *", "bob", "bash")),
        ("0 1 * * * broken 'quote", "bob", ("0 1 * * *", "bob", "broken")),
        ("SHELL=/bin/sh", None, None),
        ("17 * * * * root cd / && run-parts --report /etc/cron.hourly", None, None),
        ("# nothing", None, None),
        ("0 1 * *", None, None),
    ],
)
def test_lines_of_crontabs(line: str, owner: str | None, found: tuple[str, str, str] | None) -> None:
    read = _audit_host_system.cron_line(line, owner)
    assert (read and (read["schedule"], read["user"], read["command"])) == found


def process(tmp_path: Path, comm: str, command: list[str]) -> str:
    folder = tmp_path / "77"
    folder.mkdir()
    (folder / "comm").write_text(f"{comm}\n")
    (folder / "cmdline").write_text("\0".join(command) + "\0")
    return _audit_host_system.process_name(tmp_path, 77)


@pytest.mark.parametrize(
    ("comm", "command", "name"),
    [
        ("postgres", ["/usr/lib/postgresql/15/bin/postgres", "-D", "/x"], "postgres"),
        ("python3", ["python3", "/srv/feed.py", "--password=x"], "feed.py"),
        ("python3.11", ["python3", "-u", "-m", "jupyterlab"], "jupyterlab"),
        ("python3", ["python3", "-c", "print('secret')"], "python3"),
        ("configurable-ht", ["node", "/opt/bin/configurable-http-proxy"], "configurable-http-proxy"),
        ("bash", ["-bash"], "bash"),
    ],
)
def test_names_of_processes(tmp_path: Path, comm: str, command: list[str], name: str) -> None:
    assert process(tmp_path, comm, command) == name


@pytest.mark.skipif(not shutil.which("last"), reason="no last here")
def test_the_real_last_reads_our_wtmp_alike(tmp_path: Path) -> None:
    """The records that tests write are those of the real tool."""
    hosts.write(hosts.JUPYTER, tmp_path)
    said = subprocess.run(
        ["last", "-w", "-f", str(tmp_path / "var/log/wtmp")], capture_output=True, text=True, check=True,
        env=os.environ | {"TZ": "UTC"},
    ).stdout  # fmt: skip
    theirs = [line.split()[0] for line in said.splitlines() if "pts/" in line]
    ours = [user for user, _, _ in _audit_host_people.wtmp(tmp_path / "var/log/wtmp")]
    assert sorted(theirs) == sorted(ours) == ["alice", "alice", "datalab-admin"]


def test_the_newest_of_a_huge_wtmp_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_audit_host_people, "_NEWEST", 2)
    records = [hosts.utmp(7, f"u{n}", "pts/0", "", hosts.SECOND + n) for n in range(5)]
    (tmp_path / "wtmp").write_bytes(b"".join(records) + b"half a record")
    assert [user for user, _, _ in _audit_host_people.wtmp(tmp_path / "wtmp")] == ["u3", "u4"]


def test_lastlog_and_the_databases_of_newer_systems(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n")
    (tmp_path / "var/log").mkdir(parents=True)
    with (tmp_path / "var/log/lastlog").open("wb") as file:  # sparse, as the real one
        file.seek(292 * 1000)
        file.write(hosts.SECOND.to_bytes(4, "little") + b"pts/0".ljust(32, b"\0") + b"10.9.9.9".ljust(256, b"\0"))
    (tmp_path / "var/lib/wtmpdb").mkdir(parents=True)
    when = [hosts.SECOND * 10**6]
    with sqlite3.connect(tmp_path / "var/lib/wtmpdb/wtmp.db") as base:
        base.execute("PRAGMA journal_mode=WAL")  # in which plain reading would write files beside it
        base.execute(WTMPDB)
        base.execute("INSERT INTO wtmp VALUES (1, 3, 'ben', ?, NULL, 'pts/0', '10.8.8.8', 'sshd')", when)
        base.execute("INSERT INTO wtmp VALUES (2, 1, 'reboot', ?, NULL, '~', '', '')", when)
    base.close()
    before = (tmp_path / "var/lib/wtmpdb").stat().st_mtime_ns
    found = {one["user"]: (one["count"], one["last"]) for one in _audit_host_people.logins(str(tmp_path), "x86_64")}
    assert found == {"ann": (0, "2023-11-14T22:13:20Z"), "ben": (1, "2023-11-14T22:13:20Z")}
    assert (tmp_path / "var/lib/wtmpdb").stat().st_mtime_ns == before, "nothing is written beside the database"


def test_sizes_stop_in_time_and_say_so(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "srv" / name).mkdir(parents=True)
        (tmp_path / "srv" / name / "file").write_bytes(b"x" * 40_000)
    whole = _audit_host_disk.directories(5, str(tmp_path))
    assert [(one["path"], one["complete"]) for one in whole] == [("/srv/a", True), ("/srv/b", True)]
    assert all(one["bytes"] >= 40_000 for one in whole)
    none = _audit_host_disk.measure(tmp_path / "srv/a", time.monotonic() - 1, str(tmp_path))
    assert none["complete"] is False


def test_a_question_that_hangs_is_a_gap() -> None:
    began = time.monotonic()
    with pytest.raises(_audit_host.SilentError, match=r"no answer within 0\.2 s"):
        _audit_host.bounded(lambda: time.sleep(5), 0.2)
    assert time.monotonic() - began < 2
    with pytest.raises(_audit_host.SilentError, match="ZeroDivisionError"):
        _audit_host.bounded(lambda: 1 / 0, 1)


def test_a_host_without_systemd_and_proc_has_gaps_and_the_rest(tmp_path: Path) -> None:
    def run(argv: list[str], _seconds: float) -> str:
        raise _audit_host.SilentError(f"no {argv[0]} here")

    found = _audit_host.collect(1, 1, root=str(tmp_path), run=run)
    reasons = {gap["probe"]: gap["reason"] for gap in found["gaps"]}
    assert reasons["units"] == "no systemctl here"
    assert "FileNotFoundError" in reasons["processes"]
    assert found["crons"] == []


# As wtmpdb(8) makes it.
WTMPDB = (
    "CREATE TABLE wtmp (ID INTEGER PRIMARY KEY, Type INTEGER NOT NULL, User TEXT NOT NULL, Login INTEGER, "
    "Logout INTEGER, TTY TEXT, RemoteHost TEXT, Service TEXT)"
)


CHILD = """
import socket, sys, time
server = socket.create_server((sys.argv[1], 0))
print(server.getsockname()[1], flush=True)
held, _ = server.accept()
print("accepted", flush=True)
time.sleep(60)
"""


def test_on_this_machine_it_finds_a_listener_its_process_and_a_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real kernel: a process listens, this test connects to it from another address of the machine."""
    script = tmp_path / "notebook-server.py"
    script.write_text(CHILD)
    monkeypatch.setattr(_audit_host_net, "_LOOPBACK", ())
    server, client = "127.0.0.77", "127.0.0.78"
    child = subprocess.Popen([sys.executable, str(script), server], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout
        port = int(child.stdout.readline())
        with socket.create_connection((server, port), timeout=5, source_address=(client, 0)):
            assert child.stdout.readline() == "accepted\n"  # before that the kernel holds it for nobody
            found = _audit_host.collect(20, 0.1)
    finally:
        child.kill()
        child.wait(10)
    assert {
        "protocol": "tcp", "address": server, "port": port, "process": "notebook-server.py",
        "user": _audit_host_system.user(os.getuid()),
    } in found["listeners"]  # fmt: skip
    assert {"direction": "in", "address": client, "port": port, "process": "notebook-server.py", "count": 1} in found[
        "peers"
    ]
    assert {"name": "notebook-server.py", "user": _audit_host_system.user(os.getuid()), "count": 1} in found[
        "processes"
    ]
    # This test's own end of it belongs to the one who asks, as the audit's way in does.
    assert not [peer for peer in found["peers"] if peer["direction"] == "out" and peer["port"] == port]
    assert next(one for one in found["mounts"] if one["path"] == "/")["size"] > 0
