"""Looks into a host: every question bounded in time, what is not answered is a gap. Reads only, changes nothing.

For internal use of this collection. Standard library, Python 3.9 on: it runs on machines nobody knows.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import (
    _audit_host_disk,
    _audit_host_net,
    _audit_host_people,
    _audit_host_system,
)

LOCALE = {"LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}


class SilentError(Exception):
    """A question that got no answer; the message says why."""


def output(argv: list[str], seconds: float) -> str:
    """What a command prints.

    :raises SilentError: when it is not there, fails, or takes too long.
    """
    environment = dict(os.environ, **LOCALE)
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, env=environment, check=False
        )
    except FileNotFoundError:
        raise SilentError(f"no {argv[0]} here") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SilentError(str(error)) from None
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise SilentError(f"{argv[0]} ended with code {done.returncode}: {said}")
    return done.stdout.decode(errors="replace")


def bounded(ask: Callable[[], Any], seconds: float) -> Any:
    """The answer of a question, waited for no longer than this.

    A thread, because a file system that hangs cannot be interrupted: it is left behind, and ends with the module.

    :raises SilentError: when there is no answer in time, or it fails.
    """
    answer: dict[str, Any] = {}

    def work() -> None:
        try:
            answer["value"] = ask()
        except SilentError as error:
            answer["error"] = str(error)
        except Exception as error:
            answer["error"] = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if "value" in answer:
        return answer["value"]
    raise SilentError(answer.get("error") or f"no answer within {seconds:g} s")


def collect(
    seconds: float = 10.0,
    sizes: float = 20.0,
    base_units: tuple[str, ...] = (),
    root: str = "/",
    run: Callable[[list[str], float], str] = output,
) -> dict[str, Any]:
    """All evidence of this host. seconds: for each question; sizes: for measuring directories, which ends in time.

    root, run: another tree and other commands than this host's own.
    """
    proc = os.path.join(root, "proc")  # noqa: PTH118
    began = time.time()

    def measure(path: str) -> os.statvfs_result:
        return bounded(lambda: os.statvfs(path), seconds / 4)

    ask = {
        "sockets": lambda: _audit_host_net.sockets(proc),
        "processes": lambda: _audit_host_system.processes(proc),
        "units": lambda: _audit_host_system.units(lambda argv: run(argv, seconds / 2), base_units),
        "crons": lambda: _audit_host_system.crons(root),
        "mounts": lambda: _audit_host_disk.mounts(measure, os.path.join(proc, "mounts")),  # noqa: PTH118
        "logins": lambda: _audit_host_people.logins(root),
        "directories": lambda: _audit_host_disk.directories(sizes, root),
        "system": lambda: _audit_host_system.identity(root),
    }
    found: dict[str, Any] = {}
    gaps = []
    for name, question in ask.items():
        try:
            found[name] = bounded(question, sizes + seconds if name == "directories" else seconds)
        except SilentError as error:
            gaps.append({"probe": name, "reason": str(error)})
    if os.geteuid() != 0:
        gaps.append({"probe": "sockets", "reason": "not root: processes of other users are not told"})
    return assemble(found, gaps, began)


def assemble(found: dict[str, Any], gaps: list[dict[str, str]], now: float) -> dict[str, Any]:
    """Answers as one record, in a fixed order."""
    sockets = found.get("sockets") or {"listeners": [], "peers": []}
    units = found.get("units") or {"units": [], "timers": []}
    record = {
        "hostname": (found.get("system") or {}).get("hostname", ""),
        "listeners": sockets["listeners"],
        "peers": sockets["peers"],
        "processes": found.get("processes") or [],
        "units": units["units"],
        "timers": units["timers"],
        "crons": found.get("crons") or [],
        "mounts": found.get("mounts") or [],
        "logins": found.get("logins") or [],
        "directories": found.get("directories") or [],
        "system": found.get("system") or {},
        "gaps": gaps,
    }
    return dict(record, last_use=last_use(record, now))


def last_use(record: dict[str, Any], now: float) -> list[dict[str, str]]:
    """Signs of use: the last login, the newest file among the data, whoever is connected now."""
    signs = []
    logins = [one for one in record["logins"] if one["last"]]
    if logins:
        latest = max(logins, key=lambda one: one["last"])
        signs.append({"at": latest["last"], "what": "login of {}".format(latest["user"])})
    newest = [one for one in record["directories"] if one["newest"]]
    if newest:
        latest = max(newest, key=lambda one: one["newest"])
        signs.append({"at": latest["newest"], "what": "a file changed in {}".format(latest["path"])})
    inbound = sorted({one["address"] for one in record["peers"] if one["direction"] == "in"})
    if inbound:
        today = time.strftime("%Y-%m-%d", time.gmtime(now))
        signs.append({"at": today, "what": "connected at the audit: {}".format(", ".join(inbound[:5]))})
    return signs
