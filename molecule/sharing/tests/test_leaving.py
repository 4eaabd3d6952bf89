"""Two people leave a project: quim leaves the machine, tess keeps her other project. All that was open is closed."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.hosts import leaving, plain
from tests.hosts.platform import ROOT

# One host: what ends accounts and processes is tested on both in scenario members.
testinfra_hosts = plain.hosts()[:1]
DRIVER = [Path(__file__).with_name("doors.py"), ROOT / "roles/jupyterhub/files/datalab_visit.py"]
FOLDER = "/run/doors"
SECONDS = 10
STATUS, KERNEL = "/user/{}/api/status", "kappa-base"
DOORS = {
    "own server": {"login": "quim", "server": "quim", "path": STATUS.format("quim")},
    "own kernel, open connection": {"login": "quim", "server": "quim", "kernel": KERNEL},
    "session at the hub": {"login": "quim", "path": "/hub/api/user"},
    "token": {"login": "quim", "token": True, "path": "/hub/api/user"},
    "colleague's server": {"login": "quim", "token": True, "server": "pia", "path": STATUS.format("pia")},
    "colleague's kernel, open connection": {"login": "quim", "token": True, "server": "pia", "kernel": KERNEL},
    "collaborative server": {"login": "quim", "server": "kappa-collab", "path": STATUS.format("kappa-collab")},
    "collaborative kernel, open connection": {"login": "quim", "server": "kappa-collab", "kernel": KERNEL},
    "server that the leaver shared": {"login": "pia", "token": True, "server": "quim", "path": STATUS.format("quim")},
    "kernel that the leaver shared, open connection": {
        "login": "pia", "token": True, "server": "quim", "kernel": KERNEL,
    },
}  # fmt: skip


@dataclass
class Left:
    """What became of each door, and the moments when the account was locked and the group was left."""

    doors: dict[str, dict[str, Any]]
    locked: float
    out: float
    said: str
    ssh: str


def knock(hub: Any, people: Any, host: Host, ssh: str) -> None:
    """Begin to knock at every door; return when each was open once."""
    doors = {"start of pia's server": {"login": "pia", "server": "pia", "path": STATUS.format("pia")}, **DOORS}
    wanted = {
        "url": hub.url,
        "certificate": "/etc/jupyterhub/tls/certificate.pem",
        "passwords": hub.passwords,
        "tokens": people.tokens,
        "doors": {**doors, "ssh": {"command": ssh}},
    }
    put = f"umask 077; rm -rf {FOLDER}; mkdir {FOLDER};"
    for name, data in [("in", json.dumps(wanted).encode()), *((file.name, file.read_bytes()) for file in DRIVER)]:
        put += f"echo {base64.b64encode(data).decode()} | base64 -d > {FOLDER}/{name};"
    host.run_expect([0], put)
    run = f"cd {FOLDER}; {hub.python} doors.py {FOLDER}/end < in > out 2> err; echo $? > rc"
    host.run_expect([0], f"systemd-run --quiet --collect --unit=doors sh -c {shlex.quote(run)}")
    host.run(f"for i in $(seq 240); do test -e {FOLDER}/end.open || test -e {FOLDER}/rc && break; sleep 0.5; done")
    assert host.file(f"{FOLDER}/end.open").exists, host.run(f"cat {FOLDER}/err").stdout


@pytest.fixture(scope="module")
def left(hub: Any, people: Any, host: Host) -> Iterator[Left]:
    """quim works, shares with pia and pia with him; tess shares with ruth and pia with her; then both leave kappa."""
    for owner, guest in (("quim", "pia"), ("pia", "quim"), ("tess", "ruth"), ("pia", "tess")):
        hub.visit(owner, "1" if owner != "pia" else None, kernel="kappa-base")
        assert people.ask(owner, "POST", f"/hub/api/shares/{owner}/", {"user": guest})[0] == 200
    with leaving.at_work(host, "quim") as ssh:
        knock(hub, people, host, ssh)
        try:
            said = leaving.converge(host, "sharing", "--tags", "members", staying=["pia"])
            locked, out = (float(host.check_output(f"stat -c %.Y /etc/{file}")) for file in ("shadow", "group"))
            host.run_expect(
                [0], f"sleep {SECONDS / 2}; touch {FOLDER}/end; while [ ! -e {FOLDER}/rc ]; do sleep 0.1; done"
            )
            assert host.file(f"{FOLDER}/rc").content_string == "0\n", host.file(f"{FOLDER}/err").content_string
            yield Left(json.loads(host.file(f"{FOLDER}/out").content_string), locked, out, said, ssh)
        finally:
            host.run("systemctl stop doors")
            leaving.converge(host, "sharing", "--tags", "members")
            host.run_expect([0], ssh)


@pytest.mark.parametrize("door", [*DOORS, "ssh"])
def test_every_door_of_a_leaver_closes_within_seconds(left: Left, door: str, record_property) -> None:
    """For good: it is closed at the end too. Measured from the moment the group was left, as the hub may see it."""
    seen = left.doors[door]
    record_property("seconds", round(seen["last"] - left.out, 2))
    assert seen["times"] > 1
    assert seen["now"] is False
    assert seen["last"] - left.out < SECONDS


def test_nobody_of_that_name_is_left(left: Left, people: Any, host: Host) -> None:
    """No user, no share, no process, no job; the home is archived with what was in it."""
    assert people.status("pia", "/hub/api/users/quim") == 404
    assert "quim" not in people.ask("pia", "GET", "/hub/api/shares/pia/")[1]
    assert host.run("pgrep -U quim").rc == 1
    assert host.run("test -e /var/spool/cron/crontabs/quim").rc == 1
    assert host.file("/srv/data/archive/quim/file").content_string == "kept\n"
    assert host.run(left.ssh).rc == 255


def test_who_keeps_another_project_keeps_it_and_loses_this_one(left: Left, hub: Any, people: Any, host: Host) -> None:
    """Before tess makes any request: the hub must not wait for one."""
    assert "tess" not in people.ask("pia", "GET", "/hub/api/shares/pia/")[1]
    assert people.ask("pia", "POST", "/hub/api/shares/pia/", {"user": "tess"})[0] == 403
    code, page = hub.visit("pia", calls=[["GET", "/hub/home", None]])["answers"][0]
    assert code == 200
    assert "<option>tess</option>" not in page
    assert host.user("tess").groups == ["tess", "proj-lambda"]
    for server in ("pia", "kappa-collab"):
        hub.visit("pia", "1", server=server)
    for path in (STATUS.format("pia"), STATUS.format("kappa-collab"), "/hub/api/users/kappa-collab"):
        assert people.status("tess", path) in (403, 404), path
    seen = hub.visit("tess", "import os; print(os.listdir('/srv/data/home/tess/projects'))", kernel="lambda-base")
    assert seen["output"] == "['lambda']"
    assert seen["kernels"] == ["lambda-base"]
    assert people.status("ruth", STATUS.format("tess")) == 200, "what she shares in the other project stays shared"


def test_those_who_stay_go_on(left: Left, hub: Any) -> None:
    """Their common server was stopped, for the sake of open connections; it starts again."""
    assert hub.visit("pia", "print(2 + 2)", server="kappa-collab")["output"] == "4"
