"""Somebody who is about to leave a project: all that would let them stay, and a converge without them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from testinfra.host import Host

from tests.hosts import LAB, plain
from tests.hosts.platform import ROOT, ansible

# Where role access was applied before (the scenarios share their hosts) members have no ssh at all.
CLOSED = "/etc/ssh/sshd_config.d/10-datalab.conf"


def converge(host: Host, scenario: str, *arguments: str, **values: object) -> str:
    """Converge a host with other values than those of the scenario; return what was printed, in one line."""
    names = {LAB.namespace(identifier): name for name, identifier in plain.instances().items()}
    playbook, inventory = ROOT / f"molecule/{scenario}/converge.yml", ROOT / "molecule/inventory/plain.aws_ec2.yml"
    given = ["-i", inventory, "-l", names[host.backend.name], "-e", json.dumps(values), *arguments]
    done = ansible("ansible-playbook", playbook, *given)
    return " ".join((done.stdout + done.stderr).split())


@contextmanager
def at_work(host: Host, login: str) -> Iterator[str]:
    """Give somebody a key, a process, a crontab, an at job and lingering; the value is the ssh command that lets in."""
    key, home = f"/root/of-{login}", f"/srv/data/home/{login}"
    ssh = f"ssh -i {key} -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR {login}@127.0.0.1 true"
    host.run(f"test -f {CLOSED} && mv {CLOSED} {CLOSED}.away && systemctl reload ssh")
    host.run_expect(
        [0],
        f"rm -f {key} {key}.pub; ssh-keygen -q -t ed25519 -N '' -f {key}"
        f" && install -d -o {login} -g {login} -m 700 {home}/.ssh"
        f" && install -o {login} -g {login} -m 600 {key}.pub {home}/.ssh/authorized_keys"
        f" && runuser -u {login} -- sh -c 'echo kept > {home}/file'"
        " && install -d /var/spool/cron/crontabs /var/spool/cron/atjobs /var/lib/systemd/linger"
        f" && echo '* * * * * true' > /var/spool/cron/crontabs/{login}"
        f" && install -o {login} /dev/null /var/spool/cron/atjobs/a00001 && touch /var/lib/systemd/linger/{login}"
        f" && systemd-run -q --uid={login} sleep 900",
    )
    try:
        yield ssh
    finally:
        host.run(f"rm -rf {key} {key}.pub {home}/.ssh/authorized_keys /srv/data/archive/{login}.jobs")
        host.run(f"test -f {CLOSED}.away && mv {CLOSED}.away {CLOSED} && systemctl reload ssh")
