"""Accounts of a project, looked at as its members and as somebody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.hosts import leaving, plain

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


def converge(host: Host, *arguments: str, **values: object) -> str:
    """Converge this host with other values than those of the scenario; return what was printed, in one line."""
    return leaving.converge(host, "members", *arguments, **values)


def test_read_only_folder_is_written_by_its_writer_alone(host: Host) -> None:
    folder = "/srv/data/reference/epsilon/survey"
    with host.sudo():
        host.check_output(f"runuser -u nils -- sh -c 'umask 077; echo 1 > {folder}/figures'")
        try:
            assert (
                host.check_output("runuser -u maja -- cat /srv/data/home/maja/reference/epsilon/survey/figures") == "1"
            )
            for command in (f"tee -a {folder}/figures", f"touch {folder}/new", f"rm -f {folder}/figures"):
                assert "Permission denied" in host.run(f"runuser -u maja -- {command} </dev/null").stderr
            assert "Permission denied" in host.run(f"runuser -u nobody -- ls {folder}").stderr
        finally:
            host.run(f"rm -f {folder}/figures")


@pytest.fixture
def working(host: Host) -> Iterator[str]:
    """nils has all that would let a leaver stay; returns the ssh command that lets him in."""
    with leaving.at_work(host, "nils") as ssh:
        yield ssh


def test_who_leaves_keeps_no_way_in_and_loses_nothing(host: Host, working: str) -> None:
    """Check mode says it all and ends nothing; then every way in is closed; whoever comes back finds the home."""
    host.run_expect([0], working)
    foreseen = converge(host, "--check", "--diff", staying=["maja"])
    assert "nils: home archived as /srv/data/archive/nils" in foreseen
    host.run_expect([0], working)
    try:
        said = converge(host, staying=["maja"])
        assert (
            "the whole home was moved to /srv/data/archive/nils, crontab and at jobs to /srv/data/archive/nils.jobs"
            in said
        )
        assert host.run(working).rc == 255
        assert not host.process.filter(user="nils")
        assert host.check_output("ls /srv/data/archive/nils.jobs").split() == ["atjobs-a00001", "crontabs-nils"]
        assert not host.file("/var/lib/systemd/linger/nils").exists
        assert host.file("/srv/data/archive/nils/file").content_string == "kept\n"
        assert (host.file("/srv/data/archive").user, host.file("/srv/data/archive").mode) == ("root", 0o700)
        assert host.group("proj-epsilon").members == ["maja"]
        assert "changed=0" in converge(host, staying=["maja"])
    finally:
        converge(host)
    host.run_expect([0], working)
    assert host.file("/srv/data/home/nils/file").content_string == "kept\n"


def test_collaborative_account_comes_and_goes(host: Host) -> None:
    """Nobody logs in with it; switched off it is closed and its home archived, switched on it is there again."""
    account = host.user("epsilon-collab")
    assert (account.uid, account.gid, account.shell, account.password) == (420000, 420000, "/usr/sbin/nologin", "!")
    try:
        converge(host, collaboration=False)
        assert host.file("/srv/data/archive/epsilon-collab").is_directory
        assert host.check_output("getent shadow epsilon-collab").split(":")[7] == "1"
        assert "changed=0" in converge(host, collaboration=False)
    finally:
        converge(host)
    assert host.check_output("getent shadow epsilon-collab").split(":")[7] == ""
    assert host.file("/srv/data/home/epsilon-collab").is_directory
