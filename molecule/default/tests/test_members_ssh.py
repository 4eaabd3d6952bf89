"""Members pass the bastion to their own project's machines, and nobody gets any further. One test per attempt."""

from __future__ import annotations

import datetime
import importlib
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from testinfra.host import Host

from tests.emulator import free_port
from tests.hosts import ssh
from tests.hosts.platform import ALPHA, BASTION, BETA, ENVIRONMENT, LAB, ROOT, hub, instance, play
from tests.hosts.ssh import Person
from tests.waiting import until

LOGINS = ["alice", "bob", "carol"]
REFUSED = "Permission denied"
PROHIBITED = "administratively prohibited"


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An inventory in which the members have keys of which we hold the private halves."""
    top = tmp_path_factory.mktemp("data")
    shutil.copytree(ROOT / "inventories", top / "inventories", symlinks=True)
    (top / ".state").mkdir()
    (top / ".state" / f"{ENVIRONMENT}.known_hosts").symlink_to(ROOT / ".state" / f"{ENVIRONMENT}.known_hosts")
    yield top / "inventories" / ENVIRONMENT
    done = ssh.converge(ROOT / "inventories" / ENVIRONMENT)
    assert done["rc"] == 0


@pytest.fixture(scope="module")
def people(inventory: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Person]:
    """Alice, bob and carol with certificates."""
    folder = tmp_path_factory.mktemp("ssh")
    keys = {}
    for login in LOGINS:
        (folder / login).mkdir()
        keys[login] = ssh.make_key(folder / login / "id")
    ssh.write_members(inventory, keys)
    ssh.converge(inventory)
    ssh.hand_out(inventory, folder, LOGINS)
    return {login: Person(login, folder / login) for login in LOGINS}


@pytest.fixture
def alice(people: dict[str, Person]) -> Person:
    return people["alice"]


@pytest.fixture
def bob(people: dict[str, Person]) -> Person:
    return people["bob"]


def signed(person: Person, login: str, sources: list[str], begin: datetime.timedelta, hours: int = 1) -> Path:
    """A certificate that the authority's key really signed, though nobody should have asked for it."""
    certificates = importlib.import_module(  # found by conftest.py, which is read before
        "ansible_collections.atelier.datalab.plugins.module_utils._ssh_certificates"
    )

    key = certificates.KmsKey(boto3.client("kms"), f"alias/{ENVIRONMENT}-ssh-authority")
    public = person.key.with_suffix(".pub").read_text()
    wanted = certificates.Wanted(login, public, ENVIRONMENT, hours, sources, "a test")
    line, _ = certificates.sign(key, wanted, datetime.datetime.now(tz=datetime.UTC) + begin)
    file = person.folder / f"other-{login}-{hours}.pub"
    file.write_text(line + "\n")
    return file


def with_certificate(person: Person, file: Path) -> str:
    """A configuration of the person's with another certificate; its name."""
    text = (person.folder / "config").read_text()
    mine = f"CertificateFile {person.folder}/cert.pub"
    assert mine in text
    (person.folder / "other").write_text(text.replace(mine, f"CertificateFile {file}"))
    return "other"


# -- what works


def test_a_second_run_changes_nothing(people: dict[str, Person], inventory: Path) -> None:
    assert people
    assert {host: stats["changed"] for host, stats in ssh.converge(inventory)["stats"].items()} == dict.fromkeys(
        (ALPHA, BASTION, BETA), 0
    )


def test_a_member_reaches_the_own_machine_with_the_folder_alone(alice: Person) -> None:
    done = alice.ssh(ALPHA, "id -un; hostname")
    assert done.stdout.split() == ["alice", ALPHA], done.stderr


def test_a_terminal_has_limits_too(alice: Person, alpha: Host) -> None:
    with alice.tunnel("-o", "SessionType=default", ALPHA, "sleep 60"):
        uid = alpha.check_output("id -u alice")
        until(lambda: alpha.run(f"loginctl show-user {uid}").rc == 0, 15)
        assert alpha.check_output(f"systemctl show -P MemoryMax user-{uid}.slice") == str(2 * 2**30)
        assert alpha.check_output(f"systemctl show -P CPUQuotaPerSecUSec user-{uid}.slice") == "2s"


def test_notebooks_open_through_the_bastion(alice: Person) -> None:
    """As the folder's configuration says: a SOCKS proxy, names resolved by the bastion, the certificate holds."""
    name, _ = hub(ALPHA)
    port = free_port()
    with alice.tunnel("-o", f"DynamicForward=127.0.0.1:{port}", "-o", "ExitOnForwardFailure=yes", BASTION):
        curl = ["curl", "-sS", "--cacert", str(LAB.state / "ca.pem"), "--socks5-hostname", f"127.0.0.1:{port}"]
        curl += ["-o", "/dev/null", "-w", "%{http_code}", f"https://{name}/hub/login"]

        def answers() -> bool:
            return subprocess.run(curl, capture_output=True, text=True, check=False).stdout == "200"

        until(answers, 20)


# -- what does not


@pytest.mark.parametrize(("kind", "command"), [("default", ""), ("default", "true"), ("subsystem", "sftp")])
def test_no_shell_on_the_bastion(alice: Person, kind: str, command: str) -> None:
    done = alice.ssh("-o", f"SessionType={kind}", BASTION, *command.split())
    assert done.returncode == 255
    assert "Authenticated to" in done.stderr, "the door was shut before the question"
    assert "open failed" in done.stderr


def test_no_forward_to_another_project(alice: Person) -> None:
    beta = instance(BETA)["PrivateIpAddress"]
    assert PROHIBITED in alice.ssh("-W", f"{beta}:22", BASTION).stderr
    assert PROHIBITED in alice.ssh("-W", f"{beta}:443", BASTION).stderr


@pytest.mark.parametrize("place", ["127.0.0.1:22", "{alpha}:8081", "198.51.100.10:8080"])
def test_no_forward_to_what_is_not_named(alice: Person, place: str) -> None:
    place = place.format(alpha=instance(ALPHA)["PrivateIpAddress"])
    assert PROHIBITED in alice.ssh("-W", place, BASTION).stderr


def test_no_listening_on_the_bastion(alice: Person) -> None:
    done = alice.ssh("-N", "-o", "ExitOnForwardFailure=yes", "-R", "2222:127.0.0.1:22", BASTION)
    assert "remote port forwarding failed" in done.stderr


def test_no_agent_is_forwarded(alice: Person, tmp_path: Path) -> None:
    socket_file = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket_file], stdout=subprocess.DEVNULL) as agent:
        try:
            until(socket_file.exists, 5)
            done = alice.ssh("-o", f"ForwardAgent={socket_file}", ALPHA, "echo agent=$SSH_AUTH_SOCK")
            assert done.stdout.strip() == "agent="
            over = alice.ssh("-A", "-o", "SessionType=default", BASTION, "true")
            assert over.returncode == 255
        finally:
            agent.terminate()


def test_a_key_alone_opens_nothing(alice: Person) -> None:
    config = with_certificate(alice, alice.folder / "none.pub")
    done = alice.ssh(BASTION, config=config)
    assert REFUSED in done.stderr


def test_a_certificate_opens_no_other_account(alice: Person) -> None:
    assert REFUSED in alice.ssh("-l", "bob", BASTION).stderr
    assert REFUSED in alice.ssh("-l", "datalab-admin", BASTION).stderr


def test_not_even_the_authority_opens_the_administrator(alice: Person) -> None:
    forged = signed(alice, "datalab-admin", ["0.0.0.0/0"], datetime.timedelta())
    config = with_certificate(alice, forged)
    assert REFUSED in alice.ssh("-l", "datalab-admin", BASTION, config=config).stderr


def test_an_expired_certificate_opens_nothing(alice: Person) -> None:
    old = signed(alice, "alice", ["0.0.0.0/0"], datetime.timedelta(hours=-3), hours=2)
    assert REFUSED in alice.ssh(BASTION, config=with_certificate(alice, old)).stderr
    fresh = signed(alice, "alice", ["0.0.0.0/0"], datetime.timedelta(), hours=3)
    assert (
        alice.ssh(
            "-W", f"{instance(ALPHA)['PrivateIpAddress']}:22", BASTION, config=with_certificate(alice, fresh)
        ).returncode
        == 0
    )


def test_a_certificate_opens_nothing_from_elsewhere(alice: Person) -> None:
    elsewhere = signed(alice, "alice", ["203.0.113.0/24"], datetime.timedelta(), hours=4)
    assert REFUSED in alice.ssh(BASTION, config=with_certificate(alice, elsewhere)).stderr


def test_a_key_that_a_member_put_into_the_own_home_opens_nothing(alice: Person, alpha: Host, tmp_path: Path) -> None:
    other = ssh.make_key(tmp_path / "mine")
    home = alpha.check_output("getent passwd alice | cut -d: -f6")
    alpha.check_output(f"install -d -o alice -m 700 {home}/.ssh && echo '{other}' > {home}/.ssh/authorized_keys")
    alpha.check_output(f"chown alice {home}/.ssh/authorized_keys")
    try:
        jump = ["-o", f"ProxyCommand={' '.join(alice.command())} -W %h:%p {BASTION}"]
        options = [
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ]
        target = f"alice@{instance(ALPHA)['PrivateIpAddress']}"
        words = ["ssh", *options, *jump, "-o", "IdentitiesOnly=yes", "-i", str(tmp_path / "mine"), target, "true"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=40, check=False, stdin=subprocess.DEVNULL)
        assert REFUSED in done.stderr
    finally:
        alpha.check_output(f"rm -r {home}/.ssh")


def test_a_host_with_another_key_is_not_believed(alice: Person, tmp_path: Path) -> None:
    pins = (alice.folder / "known_hosts").read_text()
    machine = instance(ALPHA)["InstanceId"]
    assert machine in pins
    other = " ".join(ssh.make_key(tmp_path / "host").split()[:2])
    changed = [f"{machine} {other}" if line.startswith(machine) else line for line in pins.splitlines()]
    (alice.folder / "known_hosts").write_text("\n".join(changed) + "\n")
    try:
        assert "HOST IDENTIFICATION HAS CHANGED" in alice.ssh(ALPHA, "true").stderr
    finally:
        (alice.folder / "known_hosts").write_text(pins)


def test_who_fails_has_to_wait_and_nobody_else(alice: Person, tmp_path: Path) -> None:
    ssh.make_key(tmp_path / "guess")
    address = instance(BASTION)["PrivateIpAddress"]
    options = ["-F", "none", "-i", str(tmp_path / "guess"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
    options += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    # One visitor for all attempts, unlike everywhere else here.
    words = ["ssh", *options, "-o", f"ProxyCommand={ssh.visitor(address)}", f"alice@{address}", "true"]

    def attempt() -> str:
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL)
        return done.stderr

    said = [attempt() for _ in range(4)]
    assert REFUSED in said[0]
    assert "Connection closed" in said[-1]
    assert REFUSED not in said[-1]
    assert alice.ssh("-W", f"{instance(ALPHA)['PrivateIpAddress']}:22", BASTION).returncode == 0


# -- who leaves


def test_the_log_names_the_member_the_key_and_the_certificate(alice: Person, bastion: Host) -> None:
    alice.ssh("-W", f"{instance(ALPHA)['PrivateIpAddress']}:22", BASTION)
    said = bastion.check_output("journalctl -u ssh --since -5min --no-pager")
    assert f"alice@{ENVIRONMENT} until" in said
    assert "Accepted publickey for alice" in said


def test_removal_cuts_what_is_open_and_shuts_the_door(
    people: dict[str, Person], inventory: Path, bastion: Host, alpha: Host
) -> None:
    """Bob leaves. The certificate is still valid for hours."""
    bob, carol = people["bob"], people["carol"]
    port, other = free_port(), free_port()
    target = instance(ALPHA)["PrivateIpAddress"]
    with (
        bob.tunnel("-L", f"127.0.0.1:{port}:{target}:22", BASTION) as mine,
        carol.tunnel("-L", f"127.0.0.1:{other}:{instance(BETA)['PrivateIpAddress']}:22", BASTION) as hers,
    ):
        assert ssh.connects(port)
        assert ssh.connects(other)
        held = socket.create_connection(("127.0.0.1", port), 5)  # a connection that is open while it happens
        held.settimeout(10)
        assert held.recv(4) == b"SSH-"
        ssh.write_members(inventory, {}, alpha=["alice"])
        done = play("playbooks/bastions.yml", "-i", inventory, "--tags", "access", "--diff")
        assert [result["ended"] for _, _, result in done["all"] if "ended" in result] == [["bob"]]
        mine.wait(10)
        while held.recv(4096):  # to its end, not to a time-out
            pass
        held.close()
        assert hers.poll() is None
        assert ssh.connects(other), "somebody else was cut off too"
    assert REFUSED in bob.ssh("-W", f"{target}:22", BASTION).stderr
    assert bastion.check_output("passwd -S bob").split()[1] == "L"
    # And behind it: alpha does not let him in either, once it has run.
    play("playbooks/workstations.yml", "-i", inventory, "--tags", "access")
    assert "bob" not in alpha.check_output("sshd -T | grep -i ^allowusers")


def test_a_killed_run_is_completed_by_the_next(alice: Person, inventory: Path, bastion: Host) -> None:
    """Killed after sshd has read the new configuration and before anybody was cut off: noted, and done next time."""
    target, port = instance(ALPHA)["PrivateIpAddress"], free_port()
    with alice.tunnel("-L", f"127.0.0.1:{port}:{target}:22", BASTION) as mine:
        assert ssh.connects(port)
        note = bastion.file("/var/lib/atelier/access.json").content_string.replace('"cut": []', '"cut": ["alice"]')
        assert '"alice"]' in note
        bastion.check_output(f"printf %s {shlex.quote(note)} > /var/lib/atelier/access.json")
        play("playbooks/bastions.yml", "-i", inventory, "--tags", "access")
        mine.wait(10)
    assert alice.ssh("-W", f"{target}:22", BASTION).returncode == 0


@pytest.fixture(scope="module")
def later(people: dict[str, Person], inventory: Path) -> None:
    """Alice gets another key, and bob comes back."""
    alice = people["alice"]
    assert alice.ssh("-W", f"{instance(ALPHA)['PrivateIpAddress']}:22", BASTION).returncode == 0
    ssh.write_members(inventory, {"alice": ssh.make_key(alice.folder / "new")}, alpha=["alice", "bob"])
    play("playbooks/bastions.yml", "-i", inventory, "--tags", "access")


@pytest.mark.usefixtures("later")
def test_a_lost_key_is_revoked_with_its_certificates(alice: Person) -> None:
    """Whoever has the old key and its certificate, valid for hours, stays outside."""
    assert REFUSED in alice.ssh("-W", f"{instance(ALPHA)['PrivateIpAddress']}:22", BASTION).stderr


@pytest.mark.usefixtures("later")
def test_a_member_who_comes_back_is_let_in(bob: Person) -> None:
    assert bob.ssh("-W", f"{instance(ALPHA)['PrivateIpAddress']}:22", BASTION).returncode == 0
