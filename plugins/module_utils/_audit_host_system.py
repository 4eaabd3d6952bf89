"""Processes, units, timers and crons of this host. Standard library, Python 3.9 on.

For internal use of this collection. Arguments of commands are not told: people put passwords there.
"""

from __future__ import annotations

import fnmatch
import os
import platform
import pwd
import re
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_COMM = 15  # characters of a process's name that the kernel keeps
_INTERPRETERS = re.compile(r"(python|pypy|perl|ruby|node|java|bash|sh|dash|Rscript|R)[\d.]*(-config)?")
# What a distribution brings by itself says nothing about what a machine is for.
BASE_UNITS = (
    "accounts-daemon*", "acpid*", "amazon-ssm*", "apparmor*", "apt-daily*", "atd*", "auditd*", "autofs*",
    "blk-availability*", "chrony*", "cloud-*", "console-setup*", "cron.service", "crond*", "dbus*", "dm-event*",
    "dpkg-db*", "dracut*", "e2scrub*", "exim4*", "fail2ban*", "firewalld*", "fstrim*", "fwupd*", "getty*",
    "gssproxy*", "hibinit*", "ifup@*", "import-state*", "irqbalance*", "keyboard-setup*", "kdump*",
    "libstoragemgmt*", "logrotate*", "lvm2*", "man-db*", "mdadm*", "mdmonitor*", "ModemManager*", "motd-news*",
    "multipathd*", "networkd-dispatcher*", "networking*", "NetworkManager*", "nis-domainname*", "ntp*",
    "open-vm-tools*", "packagekit*", "polkit*", "policy-routes*", "postfix*", "rc-local*", "remote-fs*",
    "resolvconf*", "rpcbind*", "rsyslog*", "rtkit*", "selinux*", "serial-getty*", "snap.*", "snapd*",
    "ssh.service", "sshd*", "sssd*", "sysstat*", "systemd-*", "thermald*", "tuned*", "ua-*", "ubuntu-*",
    "udisks2*", "ufw*", "unattended-upgrades*", "unbound-anchor*", "update-engine*", "update-notifier*", "upower*",
    "user@*", "uuidd*", "vgauth*", "wpa_supplicant*", "dnf-*", "mlocate*", "plocate*", "raid-check*", "pmlogger*",
    "update-motd*",
)  # fmt: skip
_BASE_CRONS = frozenset((
    "e2scrub_all", "popularity-contest", "sysstat", "anacron", "0hourly", "raid-check", "mdadm", "php", "apport",
    "apt-compat", "aptitude", "bsdmainutils", "dpkg", "logrotate", "man-db", "mlocate", "passwd",
    "update-notifier-common", "plocate", "cracklib-runtime", "debtags", "exim4-base", "fake-hwclock", "rhsmd",
    "man-db.cron", "0anacron", "0yum-hourly.cron", "google-chrome", ".placeholder",
))  # fmt: skip
_NICKNAMES = ("@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


def user(uid: int) -> str:
    """Name of an account, its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def parent(proc: Path, pid: int) -> int:
    """The parent of a process; 0 when it is gone."""
    try:
        text = (proc / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[1])  # the name before may hold spaces and brackets


def process_name(proc: Path, pid: int) -> str:
    """What a process is called; of an interpreter what it interprets. Empty when it is gone."""
    try:
        name = (proc / str(pid) / "comm").read_text(errors="replace").strip()
        words = [word for word in (proc / str(pid) / "cmdline").read_text(errors="replace").split("\0") if word]
    except OSError:
        return ""
    if _INTERPRETERS.fullmatch(name):
        return _interpreted(words) or name
    if len(name) == _COMM:
        whole = [os.path.basename(word.split(" ")[0]) for word in words[:2]]  # noqa: PTH119  text, not a path to open
        name = next((word for word in whole if word.startswith(name)), name)
    return name.rstrip(":")


def _interpreted(words: list[str]) -> str:
    """The script or module behind an interpreter."""
    for number, word in enumerate(words[1:], start=1):
        if word == "-m" and number + 1 < len(words):
            return words[number + 1]
        if word in ("-c", "-e"):
            return ""
        if not word.startswith("-"):
            return os.path.basename(word)  # noqa: PTH119
    return ""


def processes(root: str = "/proc") -> list[dict[str, Any]]:
    """Programs that run, counted by name and account; the kernel's own threads are not among them."""
    proc = Path(root)
    counts: dict[tuple[str, str], int] = {}
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if not (folder / "cmdline").read_bytes():
                continue
            owner = user(folder.stat().st_uid)
        except OSError:
            continue  # it ended meanwhile
        name = process_name(proc, int(folder.name))
        if name:
            counts[(name, owner)] = counts.get((name, owner), 0) + 1
    return [{"name": name, "user": owner, "count": counts[(name, owner)]} for name, owner in sorted(counts)]


def units(run: Callable[[list[str]], str], more_base: Iterable[str] = ()) -> dict[str, list[dict[str, str]]]:
    """Services that run or are enabled, and timers, that the distribution's base does not bring."""
    plain = ["--plain", "--no-legend", "--no-pager"]
    running = _first(run(["systemctl", "list-units", "--type=service", "--state=running", *plain]))
    enabled = _first(run(["systemctl", "list-unit-files", "--type=service", "--state=enabled", *plain[1:]]))
    timers = _first(run(["systemctl", "list-units", "--type=timer", "--all", *plain]))
    base = (*BASE_UNITS, *more_base)
    wanted = {name for name in running | enabled | timers if not any(fnmatch.fnmatchcase(name, one) for one in base)}
    wanted = {name for name in wanted if not name.endswith("@.service")}  # a pattern, not a service
    if not wanted:
        return {"units": [], "timers": []}
    shown = run(["systemctl", "show", "--no-pager", "-p", "Id", "-p", "FragmentPath", "-p", "Unit", *sorted(wanted)])
    facts = {one["Id"]: one for one in _blocks(shown) if one.get("Id")}
    return {
        "units": [
            {
                "unit": name,
                "state": "running" if name in running else "enabled",
                "origin": _origin(facts.get(name, {}).get("FragmentPath", "")),
            }
            for name in sorted(wanted - timers)
        ],
        "timers": [
            {"unit": name, "activates": facts.get(name, {}).get("Unit", "")} for name in sorted(wanted & timers)
        ],
    }


def _first(text: str) -> set[str]:
    return {line.split()[0] for line in text.splitlines() if line.split()}


def _blocks(text: str) -> list[dict[str, str]]:
    """Blocks of KEY=VALUE, an empty line between them."""
    return [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]


def _origin(path: str) -> str:
    if path.startswith(("/etc/", "/usr/local/")):
        return "written here"
    return "package" if path.startswith(("/lib/", "/usr/lib/")) else "generated"


def crons(root: str = "/") -> list[dict[str, str]]:
    """Lines of all crontabs, without the arguments of their commands."""
    base = Path(root)
    found = []
    for path in [base / "etc/crontab", *_files(base / "etc/cron.d")]:
        found += [one for line in _lines(path) if (one := cron_line(line, None))]
    for folder in ("var/spool/cron/crontabs", "var/spool/cron"):
        for path in _files(base / folder):
            found += [one for line in _lines(path) if (one := cron_line(line, path.name))]
    for period in ("hourly", "daily", "weekly", "monthly"):
        for path in _files(base / "etc" / f"cron.{period}"):
            found.append({"schedule": f"@{period}", "user": "root", "command": path.name})
    return sorted(found, key=lambda one: (one["user"], one["command"], one["schedule"]))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name not in _BASE_CRONS)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def cron_line(line: str, owner: str | None) -> dict[str, str] | None:
    """A line of a crontab; owner: None where the line names the account itself. None when it starts nothing."""
    line = line.strip()
    if not line or line.startswith("#") or re.match(r"\w+\s*=", line):
        return None
    schedule_words = 1 if line.startswith(_NICKNAMES) else 5
    parts = line.split(None, schedule_words + (owner is None))
    if len(parts) <= schedule_words + (owner is None):
        return None
    command = _command(parts[-1])
    if not command or "run-parts" in parts[-1]:
        return None
    name = owner if owner is not None else parts[schedule_words]
    return {"schedule": " ".join(parts[:schedule_words]), "user": name, "command": command}


def _command(text: str) -> str:
    """The program and, of an interpreter, its script: never more, arguments may hold passwords."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        words = text.split()
    words = [word for word in words if not re.match(r"\w+=", word)]
    if not words:
        return ""
    if _INTERPRETERS.fullmatch(os.path.basename(words[0])) and len(words) > 1 and not words[1].startswith("-"):  # noqa: PTH119
        return " ".join(words[:2])
    return words[0]


def identity(root: str = "/") -> dict[str, str]:
    """Which system this is, and what it calls itself."""
    name = _lines(Path(root) / "proc/sys/kernel/hostname")
    found = {"hostname": "".join(name[:1]), "python": platform.python_version()}
    for line in _lines(Path(root) / "etc/os-release"):
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            found["os"] = value.strip('"')
    return found
