"""Who is in no project of a machine finds each door closed. With the protection taken away the same probe gets in."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.hosts.platform import ALPHA, BETA, host, log_in

OUTSIDER = "oscar"
FOLDER, HOME, KERNELS = "/srv/data/projects/alpha", "/srv/data/home/alice", "/opt/atelier/jupyter/projects/alpha"


@pytest.fixture(scope="module")
def outsider() -> Iterator[str]:
    """An account with a password on alpha's machine, in no project; returns the password."""
    alpha, password = host(ALPHA), secrets.token_urlsafe(16)
    alpha.run_expect([0], f"useradd -m -d /srv/data/home/{OUTSIDER} -s /bin/bash {OUTSIDER}")
    alpha.run_expect([0], f"echo '{OUTSIDER}:{password}' | chpasswd")
    try:
        yield password
    finally:
        alpha.run_expect([0], f"userdel -r {OUTSIDER}")


@pytest.mark.usefixtures("outsider")
@pytest.mark.parametrize("path", [FOLDER, HOME, KERNELS])
def test_files(alpha: Host, path: str) -> None:
    probe = f"runuser -u {OUTSIDER} -- ls {path}"
    assert "Permission denied" in alpha.run(probe).stderr
    mode = alpha.check_output(f"stat -c %a {path}")
    alpha.run_expect([0], f"chmod o+rx {path}")
    try:
        assert alpha.run(probe).rc == 0, "the probe sees no open door"
    finally:
        alpha.run_expect([0], f"chmod {mode} {path}")


def test_login(alpha: Host, outsider: str) -> None:
    assert log_in(ALPHA, OUTSIDER, outsider) == "/hub/login"
    alpha.run_expect([0], f"usermod -aG proj-alpha {OUTSIDER}")
    try:
        assert log_in(ALPHA, OUTSIDER, outsider) == "/hub/home", "the probe cannot log in even where it may"
    finally:
        alpha.run_expect([0], f"gpasswd -d {OUTSIDER} proj-alpha")


def test_each_member_opens_the_own_hub_only(passwords: dict[str, str]) -> None:
    for login, own, other in (("alice", ALPHA, BETA), ("bob", ALPHA, BETA), ("carol", BETA, ALPHA)):
        assert log_in(own, login, passwords[login]) == "/hub/home"
        assert log_in(other, login, passwords[login]) == "/hub/login"
    assert log_in(ALPHA, "alice", "wrong") == "/hub/login"


def test_members_share_and_keep_apart(alpha: Host) -> None:
    """alice writes under the strictest umask, bob edits; their homes stay their own."""
    file = f"{FOLDER}/shared.txt"
    alpha.run_expect([0], f"runuser -u alice -- sh -c 'umask 077; echo alice > {file}'")
    alpha.run_expect([0], f"runuser -u bob -- sh -c 'echo bob >> {file}'")
    assert alpha.file(file).content_string == "alice\nbob\n"
    assert alpha.file(file).group == "proj-alpha"
    assert "Permission denied" in alpha.run(f"runuser -u bob -- ls {HOME}").stderr
    alpha.run_expect([0], f"rm {file}")


def test_members_cannot_change_what_the_platform_installed(alpha: Host) -> None:
    for path in ("/opt/atelier/conda/envs/alpha-base/current/bin", "/opt/atelier/conda/envs", "/etc/jupyterhub"):
        assert alpha.run(f"runuser -u alice -- touch {path}/probe").rc != 0


def test_members_are_no_administrators(alpha: Host) -> None:
    assert alpha.run("runuser -u alice -- sudo -n true").rc != 0
