"""machine_metrics.py CONFIG: measure this machine once; write what a scraper reads and what members must know.

A timer runs it as root. It writes Prometheus' text format into files (node_exporter's textfile collector and the hub's
/hub/metrics read them), notices for JupyterLab, and a line for who logs in by ssh.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

NOTICES = Path("/run/atelier/notices")
MOTD = Path("/run/motd.d/atelier-disk")
CGROUPS = Path("/sys/fs/cgroup")
UNITS = ("jupyter-*-singleuser.service", "datalab-*.slice", "jupyterhub.service", "jupyterhub-proxy.service")
PROPERTIES = "Id,ActiveState,MemoryCurrent,MemoryMax,CPUUsageNSec,CPUQuotaPerSecUSec,ControlGroup"
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
# Name, help; all are gauges but what ends in _total.
HELP = {
    "atelier_disk_size_bytes": "Size of a file system.",
    "atelier_disk_used_bytes": "Bytes in use of a file system.",
    "atelier_disk_available_bytes": "Bytes that members can still write.",
    "atelier_home_used_bytes": "Bytes in a member's home.",
    "atelier_home_soft_limit_bytes": "Size of a home at which its owner is told that it is full.",
    "atelier_unit_active": "1 when a unit of the hub runs.",
    "atelier_server_memory_bytes": "Memory of a member's server with its kernels, cache of files included.",
    "atelier_server_memory_limit_bytes": "Memory limit of a member's server.",
    "atelier_server_cpu_seconds_total": "Processor time of a member's server.",
    "atelier_server_cpu_limit": "Processors that a member's server may use.",
    "atelier_server_oom_kills_total": "Processes of a member's server that the kernel ended for want of memory.",
    "atelier_project_memory_bytes": "Memory of all servers of a project together, cache of files included.",
    "atelier_project_memory_limit_bytes": "Memory limit of a project.",
    "atelier_project_cpu_limit": "Processors that all servers of a project may use together.",
    "atelier_culler_running": "1 when the culler of idle servers runs.",
    "atelier_conda_generations": "Generations of a conda environment that are kept.",
    "atelier_conda_live_timestamp_seconds": "When the live generation of an environment was switched to.",
    "atelier_metrics_timestamp_seconds": "When these numbers were taken.",
}
Sample = tuple[str, dict[str, str], float]


def exposition(samples: Iterable[Sample]) -> str:
    """Samples in Prometheus' text format, each family with its help and type.

    >>> print(exposition([("atelier_culler_running", {}, 1)]), end="")
    # HELP atelier_culler_running 1 when the culler of idle servers runs.
    # TYPE atelier_culler_running gauge
    atelier_culler_running 1
    """
    families: dict[str, list[str]] = {}
    for name, labels, value in samples:
        quoted = ",".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in sorted(labels.items()))
        text = repr(int(value)) if value == int(value) else repr(float(value))
        families.setdefault(name, []).append(f"{name}{{{quoted}}} {text}" if quoted else f"{name} {text}")
    lines = []
    for name, rows in families.items():
        lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}"]
        lines += rows
    return "".join(f"{line}\n" for line in lines)


def size(number: float) -> str:
    """Bytes for people.

    >>> size(973 * 2**20), size(1.5 * 2**30)
    ('973 MiB', '1.5 GiB')
    """
    return f"{number / 2**30:.3g} GiB" if number >= 2**30 else f"{number / 2**20:.3g} MiB"


def disk_notice(what: str, key: str, used: float, whole: float, config: dict[str, Any]) -> list[dict[str, str]]:
    """What to tell about a place that is nearly full; nothing below the first threshold.

    :param what: the place, as a sentence's beginning. The text keeps to the 140 characters that JupyterLab shows.
    """
    percent = 100 * used / whole if whole else 0.0
    if percent < config["warn_percent"]:
        return []
    text = f"{what} {percent:.0f} % full ({size(used)} of {size(whole)})."
    if percent >= config["alarm_percent"]:
        return [{"id": f"{key}-alarm", "level": "error", "text": f"{text} Saving may fail soon: delete files now."}]
    return [{"id": f"{key}-warn", "level": "warning", "text": f"{text} Delete what you no longer need."}]


def volume(root: str) -> tuple[float, float, float]:
    """Size, bytes in use and bytes available to members, as df counts them."""
    found = os.statvfs(root)
    return (
        found.f_blocks * found.f_frsize,
        (found.f_blocks - found.f_bfree) * found.f_frsize,
        found.f_bavail * found.f_frsize,
    )


def homes(root: str) -> dict[str, int]:
    """Bytes by login in the homes below a data volume; one walk for all."""
    folders = sorted(p for p in Path(root, "home").glob("*") if p.is_dir() and not p.is_symlink())
    if not folders:
        return {}
    # du ends with 1 when a file vanished while it looked; what it printed counts.
    done = subprocess.run(
        ["du", "--summarize", "--one-file-system", "--block-size=1", "--null", "--", *folders],
        check=False,
        capture_output=True,
        text=True,
    )
    rows = (row.split("\t", 1) for row in done.stdout.split("\0") if row)
    return {Path(path).name: int(number) for number, path in rows}


def soft_limits(logins: Iterable[str], config: dict[str, Any]) -> dict[str, float]:
    """Bytes by login at which a home counts as full: the largest of the member's projects, else the default."""
    groups = {}
    for project in config["projects"]:
        try:
            groups[project["name"]] = set(grp.getgrnam(project["group"]).gr_mem)
        except KeyError:  # the project's group is still to be made
            groups[project["name"]] = set()
    found = {}
    for login in logins:
        stated = [p.get("home_gib") or 0 for p in config["projects"] if login in groups[p["name"]]]
        found[login] = (max(stated, default=0) or config["home_gib"]) * 2**30
    return found


def units() -> list[dict[str, str]]:
    """What systemd knows of the hub, the servers and the projects."""
    text = subprocess.run(
        ["systemctl", "show", "--property", PROPERTIES, *UNITS], check=True, capture_output=True, text=True
    ).stdout
    return [dict(line.split("=", 1) for line in block.splitlines()) for block in text.strip().split("\n\n") if block]


def processors(text: str) -> float | None:
    """Processors from systemd's quota, such as `1s 500ms`; None for infinity."""
    if text in ("", "infinity"):
        return None
    total = 0.0
    for part in text.split():
        name = part.lstrip("0123456789.")
        total += float(part[: len(part) - len(name)]) * SECONDS[name]
    return total


def killed(group: str) -> int:
    """Processes of a control group that the kernel ended for want of memory."""
    for file in (CGROUPS / "memory" / group[1:] / "memory.oom_control", CGROUPS / group[1:] / "memory.events"):
        if group and file.exists():
            rows = dict(line.split() for line in file.read_text(encoding="ascii").splitlines())
            return int(rows.get("oom_kill", 0))
    return 0


def of_units(shown: list[dict[str, str]]) -> Iterator[Sample]:
    """Samples of the units."""
    for unit in shown:
        name, active = unit["Id"], unit["ActiveState"] == "active"
        if name in UNITS:
            yield "atelier_unit_active", {"unit": name}, float(active)
            continue
        if not active:
            continue
        if name.endswith(".slice"):
            kind, labels = "project", {"project": name[len("datalab-") : -len(".slice")].replace("_", "-")}
        else:
            kind, labels = "server", {"login": name[len("jupyter-") : -len("-singleuser.service")]}
            if known(unit["CPUUsageNSec"]):
                yield "atelier_server_cpu_seconds_total", labels, int(unit["CPUUsageNSec"]) / 1e9
            yield "atelier_server_oom_kills_total", labels, killed(unit["ControlGroup"])
        if known(unit["MemoryCurrent"]):
            yield f"atelier_{kind}_memory_bytes", labels, float(unit["MemoryCurrent"])
        if unit["MemoryMax"] != "infinity":
            yield f"atelier_{kind}_memory_limit_bytes", labels, float(unit["MemoryMax"])
        quota = processors(unit["CPUQuotaPerSecUSec"])
        if quota is not None:
            yield f"atelier_{kind}_cpu_limit", labels, quota


def known(text: str) -> bool:
    """Whether systemd has a number: it may say `[not set]`, or the largest number there is."""
    return text.isdigit() and int(text) < 2**63


def culler() -> bool:
    """Whether a culler of idle servers runs."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"jupyterhub_idle_culler" in file.read_bytes():
                return True
        except OSError:  # it ended while we looked
            continue
    return False


def of_conda(root: str) -> Iterator[Sample]:
    """Samples of the conda environments."""
    for current in sorted(Path(root, "envs").glob("*/current")):
        labels = {"environment": current.parent.name}
        yield "atelier_conda_generations", labels, len(list(Path(current.parent, "generations").glob("[!.]*")))
        yield "atelier_conda_live_timestamp_seconds", labels, current.lstat().st_mtime


def put(path: Path, text: str, mode: int = 0o644, uid: int = 0, gid: int = 0) -> None:
    """Replace a file in one step; an empty text removes it."""
    if not text:
        path.unlink(missing_ok=True)
        return
    scratch = path.with_name(f".{path.name}")
    scratch.unlink(missing_ok=True)
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
    os.chown(scratch, uid, gid)
    scratch.chmod(mode)
    scratch.replace(path)


def tell(path: Path, notices: list[dict[str, str]], mode: int = 0o644, uid: int = 0) -> None:
    """Write notices, or take them away."""
    put(path, json.dumps(notices, ensure_ascii=False) + "\n" if notices else "", mode, uid)


def measure_machine(config: dict[str, Any], out: Path, gid: int) -> None:
    """The cheap numbers, and the notice about the volume."""
    whole, used, free = volume(config["data_root"])
    labels = {"path": config["data_root"]}
    samples: list[Sample] = [
        ("atelier_disk_size_bytes", labels, whole),
        ("atelier_disk_used_bytes", labels, used),
        ("atelier_disk_available_bytes", labels, free),
        *of_units(units()),
        ("atelier_culler_running", {}, float(culler())),
        *of_conda(config["conda_root"]),
        ("atelier_metrics_timestamp_seconds", {}, time.time()),
    ]
    put(out / "atelier.prom", exposition(samples), 0o640, gid=gid)
    # What only root may still use counts as full.
    said = disk_notice("The data volume is", "volume", used, used + free, config)
    tell(NOTICES / "all" / "volume.json", said)
    put(MOTD, "".join(f"{n['text']}\n" for n in said))


def measure_homes(config: dict[str, Any], out: Path, gid: int) -> None:
    """The homes, each time but not more often than configured: the walk costs reads."""
    file = out / "homes.prom"
    if file.exists() and time.time() - file.stat().st_mtime < config["home_seconds"]:
        return
    found = homes(config["data_root"])
    limits = soft_limits(found, config)
    samples: list[Sample] = [("atelier_home_used_bytes", {"login": login}, used) for login, used in found.items()]
    samples += [("atelier_home_soft_limit_bytes", {"login": n}, limit) for n, limit in limits.items() if limit]
    put(file, exposition(samples) or "\n", 0o640, gid=gid)
    for stale in (NOTICES / "members").glob("*.json"):
        if stale.stem not in found:
            stale.unlink()
    for login, used in found.items():
        try:
            uid = pwd.getpwnam(login).pw_uid
        except KeyError:  # an archived home
            continue
        said = disk_notice("Your home is", "home", used, limits[login], config)
        tell(NOTICES / "members" / f"{login}.json", said, 0o400, uid)


def main(path: str) -> int:
    """Measure once."""
    os.umask(0o022)
    config = json.loads(Path(path).read_text(encoding="utf-8"))
    out = Path(config["directory"])
    for folder in (NOTICES / "all", NOTICES / "members", MOTD.parent):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    gid = out.stat().st_gid
    measure_machine(config, out, gid)
    measure_homes(config, out, gid)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
