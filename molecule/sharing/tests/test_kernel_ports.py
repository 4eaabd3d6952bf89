"""A kernel's ports are open to every account of the host: what can be heard there, with the key and without it."""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.hosts import plain

testinfra_hosts = plain.hosts()
PYTHON = "/opt/atelier/conda/envs/delta-base/current/bin/python"
PROGRAM = base64.b64encode(Path(__file__).with_name("listen.py").read_bytes()).decode()
FOLDER = "/srv/listen"
LISTENERS = ("pia", "quim", "ruth")


def wait_for(host: Host, suffix: str) -> None:
    """Wait until every listener has made a file."""
    files = " && ".join(f"test -e {FOLDER}/{login}.{suffix}" for login in LISTENERS)
    done = host.run(f"for i in $(seq 450); do {files} && exit 0; sleep 0.2; done; exit 1")
    assert done.rc == 0, host.run("journalctl -u 'listen-*' -n 30 --no-pager").stdout


@pytest.fixture(scope="module")
def heard(hub: Any, host: Host) -> dict[str, list[str]]:
    """What each heard while pia's cell printed a secret: pia with the key of the kernel, the others without it."""
    kernel = hub.visit("pia", "1")["kernel"]
    file = f"/srv/data/home/pia/.local/share/jupyter/runtime/kernel-{kernel}.json"
    connection = json.loads(host.file(file).content_string)
    assert connection["transport"] == "tcp"
    made = f"rm -rf {FOLDER}; install -d -m 1777 {FOLDER}; echo {PROGRAM} | base64 -d > {FOLDER}/listen.py"
    host.run_expect([0], f"{made}; chmod 644 {FOLDER}/listen.py")
    for login in LISTENERS:
        other = file if login == "pia" else connection["shell_port"]
        words = f"{PYTHON} {FOLDER}/listen.py {FOLDER}/{login} {connection['iopub_port']} {other}"
        host.run_expect([0], f"systemd-run -q --collect --uid={login} --unit=listen-{login} {words}")
    wait_for(host, "ready")
    secret = secrets.token_hex()
    assert hub.visit("pia", f"print('{secret}')", kernel=kernel)["output"] == secret
    host.run_expect([0], f"touch {FOLDER}/end")
    wait_for(host, "heard")
    found = {login: json.loads(host.file(f"{FOLDER}/{login}.heard").content_string) for login in LISTENERS}
    host.run(f"rm -rf {FOLDER}")
    return {"secret": [secret], **found}


def test_who_has_the_key_hears_the_kernel(heard: dict[str, list[str]]) -> None:
    """The listener works: this is what would be heard."""
    assert any(heard["secret"][0] in message for message in heard["pia"])


@pytest.mark.parametrize("login", ["quim", "ruth"])
def test_others_hear_nothing_and_get_no_answer(heard: dict[str, list[str]], login: str) -> None:
    """A colleague and an outsider: not the secret, not even that there is something."""
    assert heard[login] == []
