"""sshd answers to its sources only. The plain hosts' source is the corporate network."""

from __future__ import annotations

from testinfra.host import Host

from tests.hosts import plain

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
        "permitrootlogin no",
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "allowagentforwarding no",
        "allowtcpforwarding no",
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
