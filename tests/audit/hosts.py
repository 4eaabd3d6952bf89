"""Machines as the audit sees them from inside, written by hand in the formats of the real tools.

/proc as proc(5) has it, systemctl's listings, crontabs, wtmp and lastlog as glibc writes them. The audit's own parsers
read these trees, so that what a test knows of a machine is what stands here.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _audit_host

SECOND = 1_700_000_000  # 2023-11-14T22:13:20Z


@dataclass
class Host:
    """What a machine is made of."""

    name: str
    # (pid, comm, command line, account's uid)
    processes: list[tuple[int, str, str, int]] = field(default_factory=list)
    # (address, port, pid)
    listens: list[tuple[str, int, int]] = field(default_factory=list)
    # (local port, remote address, remote port, pid)
    connected: list[tuple[int, str, int, int]] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    crontabs: dict[str, str] = field(default_factory=dict)
    # (account, from, seconds after SECOND)
    logins: list[tuple[str, str, int]] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)
    data: dict[str, int] = field(default_factory=dict)

    def evidence(self, root: Path) -> dict[str, Any]:
        """Write the tree, let the audit read it."""
        write(self, root)
        return _audit_host.collect(5, 5, root=str(root), run=self.systemctl)

    def systemctl(self, argv: list[str], _seconds: float) -> str:
        """What systemctl prints on such a machine."""
        assert argv[0] == "systemctl"
        if "--state=running" in argv:
            base = ["ssh.service", "cron.service", "systemd-journald.service", "user@1000.service"]
            return "".join(f"{unit} loaded active running Something of {unit}\n" for unit in base + self.running)
        if "--state=enabled" in argv:
            return "ssh.service                enabled enabled\nexport.service             enabled disabled\n"
        if "--type=timer" in argv:
            return "apt-daily.timer loaded active waiting Daily apt\nfeed.timer loaded active waiting Feed the lake\n"
        units = [word for word in argv if word.endswith((".service", ".timer"))]
        return "\n".join(_shown(unit) for unit in units)


def _shown(unit: str) -> str:
    path = "/etc/systemd/system" if unit.startswith(("export", "feed")) else "/lib/systemd/system"
    activates = f"Unit={unit.replace('.timer', '.service')}\n" if unit.endswith(".timer") else ""
    return f"{activates}Id={unit}\nFragmentPath={path}/{unit}\n"


def hexed(address: str, port: int) -> str:
    """As /proc/net/tcp has it: four bytes in the order of a little machine."""
    return f"{struct.unpack('<I', socket.inet_aton(address))[0]:08X}:{port:04X}"


def tcp_row(number: int, ends: tuple[str, str], state: str, uid: int, inode: int) -> str:
    """One line of /proc/net/tcp."""
    return (
        f"{number:4d}: {ends[0]} {ends[1]} {state} 00000000:00000000 00:00000000 00000000 {uid:5d}        0 {inode} 1 "
        "0000000000000000 100 0 0 10 0\n"
    )


HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def write(host: Host, root: Path) -> None:
    """The tree of one machine."""
    proc = root / "proc"
    (proc / "net").mkdir(parents=True)
    (proc / "sys/kernel").mkdir(parents=True)
    (proc / "sys/kernel/hostname").write_text(f"{host.name}\n")
    for pid, comm, command, _ in host.processes:
        folder = proc / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "comm").write_text(f"{comm}\n")
        (folder / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
        (folder / "stat").write_text(f"{pid} ({comm}) S 1 {pid} {pid} 0 -1 4194560\n")
    rows = [HEAD]
    uids = {pid: uid for pid, _, _, uid in host.processes}
    sockets = [(hexed(a, p), hexed("0.0.0.0", 0), "0A", pid) for a, p, pid in host.listens]  # noqa: S104
    sockets += [(hexed("10.30.16.77", lp), hexed(ra, rp), "01", pid) for lp, ra, rp, pid in host.connected]
    for number, (local, remote, state, pid) in enumerate(sockets):
        inode = 20_000 + number
        rows.append(tcp_row(number, (local, remote), state, uids.get(pid, 0), inode))
        (proc / str(pid) / "fd" / str(number + 3)).symlink_to(f"socket:[{inode}]")
    (proc / "net/tcp").write_text("".join(rows))
    (proc / "mounts").write_text("proc /proc proc rw 0 0\n" + "".join(f"{line}\n" for line in host.mounts))
    for path, text in host.crontabs.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    _write_logins(host, root)
    for path, count in host.data.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(os.urandom(count))
        os.utime(root / path, (SECOND, SECOND))


def utmp(kind: int, account: str, line: str, host: str, seconds: int) -> bytes:
    """A record of utmp(5) on x86_64."""
    return struct.pack(
        "<hxxi32s4s32s256shhiii16s20x",
        kind, 1234, line.encode(), b"ts/0", account.encode(), host.encode(), 0, 0, 0, seconds, 0, b"",
    )  # fmt: skip


def _write_logins(host: Host, root: Path) -> None:
    (root / "var/log").mkdir(parents=True, exist_ok=True)
    records = [utmp(2, "reboot", "~", "6.1.0-18-amd64", SECOND)]
    for account, origin, after in host.logins:
        records += [utmp(7, account, "pts/0", origin, SECOND + after), utmp(8, "", "pts/0", "", SECOND + after + 60)]
    (root / "var/log/wtmp").write_bytes(b"".join(records))


# -- machines of the seeded account

JUPYTER = Host(
    "forecast-box",
    [(400, "jupyter-lab", "/opt/py/bin/python /opt/py/bin/jupyter-lab --token=secret", 1000), (10, "sshd", "sshd:", 0)],
    [("0.0.0.0", 8888, 400), ("0.0.0.0", 22, 10)],  # noqa: S104
    [(8888, "10.30.16.90", 50111, 400), (42000, "10.30.16.91", 5432, 400)],
    ["jupyterhub.service"],
    {"var/spool/cron/crontabs/alice": "0 5 * * 1-5 TOKEN=s3cret /usr/bin/python3 /srv/alpha/feed.py --password hush\n"},
    [("alice", "10.1.2.3", 100), ("alice", "10.1.2.4", 90_000), ("datalab-admin", "10.30.0.10", 50)],
    ["fs-1.efs:/ /mnt/alpha-data nfs4 rw 0 0"],
    {"home/alice/notebooks/a.ipynb": 50_000, "srv/alpha/feed.csv": 9_000},
)
DATABASE = Host(
    "pg-1",
    [(500, "postgres", "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql", 26)],
    [("0.0.0.0", 5432, 500)],  # noqa: S104
    running=["postgresql@15-main.service"],
    logins=[("alice", "10.1.2.3", 10), ("carol", "10.1.2.9", 20)],
    mounts=[
        "/dev/nvme1n1 /pgdata ext4 rw 0 0",
        "fs-1.efs:/a /mnt/alpha-data nfs4 rw 0 0",
        "fs-2.efs:/b /mnt/beta-share nfs4 rw 0 0",
    ],
    data={"var/lib/postgresql/15/main/base": 200_000},
)
SINGLE = Host("box", [(600, "nginx", "nginx: master process /usr/sbin/nginx", 0)], [("0.0.0.0", 80, 600)])  # noqa: S104
AIRFLOW = Host(
    "sched",
    [(700, "airflow", "airflow scheduler", 1001)],
    [("0.0.0.0", 8793, 700)],  # noqa: S104
    running=["airflow-scheduler.service"],
    logins=[("carol", "10.1.2.9", 5_000)],
    mounts=["fs-2.efs:/b /mnt/beta-share nfs4 rw 0 0"],
    crontabs={"etc/cron.d/beta": "*/5 * * * * carol /srv/beta/run.sh\n", "etc/cron.d/e2scrub_all": "x\n"},
)


def words(text: str) -> set[str]:
    """Words of a text, for looking for what must not be in it."""
    return set(re.findall(r"[\w.-]+", text))
