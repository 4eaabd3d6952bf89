"""Accounts of a project, looked at as its members and as somebody else."""

from __future__ import annotations

import pytest
from testinfra.host import Host

from tests.hosts import plain

testinfra_hosts = plain.hosts()
FOLDER = "/srv/data/projects/epsilon"


@pytest.fixture(autouse=True)
def _clean(host: Host):
    yield
    with host.sudo():
        host.run(f"rm -f {FOLDER}/from-*")


@pytest.mark.parametrize("login", ["maja", "nils"])
def test_home_is_private(host: Host, login: str) -> None:
    with host.sudo():
        home = host.file(f"/srv/data/home/{login}")
        assert (home.user, home.group, home.mode) == (login, login, 0o700)
    other = {"maja": "nils", "nils": "maja"}[login]
    with host.sudo(other):
        assert "Permission denied" in host.run(f"ls /srv/data/home/{login}").stderr


def test_file_of_one_is_writable_for_the_other_whatever_the_umask(host: Host) -> None:
    with host.sudo("maja"):
        host.check_output(f"umask 077; mkdir -p {FOLDER}/from-dir; echo one > {FOLDER}/from-maja")
    with host.sudo("nils"):
        host.check_output(f"echo two >> {FOLDER}/from-maja")
        assert host.check_output(f"cat {FOLDER}/from-maja") == "one\ntwo"
        host.check_output(f"rmdir {FOLDER}/from-dir")


def test_folder_is_linked_in_the_home(host: Host) -> None:
    with host.sudo("maja"):
        assert host.file("/srv/data/home/maja/projects/epsilon").linked_to == FOLDER
        assert host.file("/srv/data/home/maja/projects").user == "maja"


def test_outsider_is_kept_out(host: Host) -> None:
    with host.sudo("nobody"):
        for command in (f"ls {FOLDER}", f"touch {FOLDER}/from-nobody", "ls /srv/data/home", "ls /srv/data/archive"):
            assert "Permission denied" in host.run(command).stderr


def test_hash_is_set_and_nobody_else_has_a_password(host: Host) -> None:
    with host.sudo():
        shadow = dict(line.split(":")[:2] for line in host.file("/etc/shadow").content_string.splitlines())
    assert shadow["maja"].startswith("$6$saltsaltsalt$")
    assert shadow["nils"].startswith("!")


def test_only_members_are_in_the_group(host: Host) -> None:
    assert set(host.group("proj-epsilon").members) == {"maja", "nils"}
    assert host.group("proj-epsilon").gid == 420000
