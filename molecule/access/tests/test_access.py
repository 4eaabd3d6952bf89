"""sshd answers to its sources only. The plain hosts' source is the corporate network; they are their own bastion."""

from __future__ import annotations

import os
import subprocess

import pytest
from testinfra.host import Host

from tests.hosts import plain
from tests.hosts.ssh import visitor

testinfra_hosts = plain.hosts()
INSIDE, OUTSIDE = "198.51.100.20", "10.99.0.1"


def effective(host: Host, address: str, user: str = "datalab-admin") -> list[str]:
    """What sshd would apply to a connection from `address`."""
    return host.check_output(f"sshd -T -C user={user},host=any,addr={address}").splitlines()


def test_sources_only(host: Host) -> None:
    assert "denyusers *" in effective(host, OUTSIDE)
    assert "denyusers *" not in effective(host, INSIDE)


def test_named_accounts_with_keys_only(host: Host) -> None:
    settings = effective(host, INSIDE)
    for line in (
        "allowusers datalab-admin",
        "allowusers mona",
        "permitrootlogin no",
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "allowagentforwarding no",
        "x11forwarding no",
    ):
        assert line in settings


def test_drop_in_belongs_to_root(host: Host) -> None:
    file = host.file("/etc/ssh/sshd_config.d/10-datalab.conf")
    assert (file.user, file.group, file.mode) == ("root", "root", 0o644)


def test_running_sshd_has_read_it(host: Host) -> None:
    """An address outside of the sources is refused by the daemon that runs, not only by the file."""
    key = "/root/probe_key"
    host.run(f"rm -f {key}*; ssh-keygen -q -t ed25519 -N '' -f {key}")
    keys = "/home/datalab-admin/.ssh/authorized_keys"
    host.check_output(f"cp {keys} /root/kept && cat {key}.pub >> {keys}")
    try:
        options = "-o BatchMode=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=/root/probe_hosts"
        refused = host.run(f"ssh -i {key} {options} datalab-admin@127.0.0.1 true")
        assert refused.rc == 255
        assert "Permission denied" in refused.stderr
        drop_in = "/etc/ssh/sshd_config.d/10-datalab.conf"
        host.check_output(f"mv {drop_in} /root/away && systemctl reload ssh")
        try:
            assert host.run(f"ssh -i {key} {options} datalab-admin@127.0.0.1 true").rc == 0, (
                "the probe sees no open door"
            )
        finally:
            host.check_output(f"mv /root/away {drop_in} && systemctl reload ssh")
    finally:
        host.check_output(f"cat /root/kept > {keys}; rm -f {key}* /root/kept /root/probe_hosts")


# -- a member with a key of the data


def member(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    """ssh as mona, who has one key and was given one place to go to."""
    address = host.check_output("hostname -I").split()[0]
    options = ["-F", "none", "-i", f"{os.environ['MOLECULE_EPHEMERAL_DIRECTORY']}/mona", "-v"]
    for option in (
        "IdentitiesOnly=yes", "IdentityAgent=none", "BatchMode=yes", "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null", f"ProxyCommand={visitor(address)}",
    ):  # fmt: skip
        options += ["-o", option]
    return subprocess.run(
        ["ssh", *options, *words, f"mona@{address}"],
        capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_member_is_forwarded_to_the_named_place(host: Host) -> None:
    done = member(host, "-W", "127.0.0.1:22")
    assert done.stdout.startswith("SSH-2.0-"), done.stderr


@pytest.mark.parametrize("place", ["127.0.0.1:80", "localhost:22", "198.51.100.10:8080"])
def test_a_member_is_forwarded_nowhere_else(host: Host, place: str) -> None:
    assert "administratively prohibited" in member(host, "-W", place).stderr


def test_a_member_gets_no_shell(host: Host) -> None:
    done = member(host, "-T")
    assert done.returncode == 255
    assert "open failed" in done.stderr


def test_a_members_account_is_good_for_nothing_else(host: Host) -> None:
    account = host.user("mona")
    assert (account.uid, account.shell, account.home) == (101234, "/usr/sbin/nologin", "/nonexistent")
    assert host.check_output("passwd -S mona").split()[1] == "L"
    assert "never" in host.check_output("chage -l mona | grep 'Password expires'")


def test_who_fails_is_slowed_down_where_sshd_can(host: Host) -> None:
    settings = "\n".join(effective(host, INSIDE, "mona"))
    assert "persourcemaxstartups 25" in settings
    if int(host.check_output("ssh -V 2>&1 | grep -o '_[0-9]*' | head -1 | tr -d _")) >= 10:
        assert "persourcepenalties" in settings
        assert "authfail:10" in settings
