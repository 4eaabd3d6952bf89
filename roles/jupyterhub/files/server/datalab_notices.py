"""Server extension: what a member must know, for JupyterLab to show; and the limits that bind this server.

Everything is read from the kernel's control group of the server and from files of the machine below NOTICES:
`all/*.json` for everybody and `members/LOGIN.json`, each a list of {"id", "level", "text"}.
"""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

NOTICES = Path("/run/atelier/notices")
CGROUPS = Path("/sys/fs/cgroup")
LEVELS = ("info", "warning", "error")
HUGE = 2**60  # what the kernel writes for "no limit"


def content(file: Path, absent: str) -> str:
    """Text of a kernel's file; a controller that a host lacks must not keep a server from starting."""
    return file.read_text(encoding="ascii").strip() if file.exists() else absent


class Group:
    """The control group of this server, in either version."""

    def __init__(self, own: str, cgroups: Path = CGROUPS) -> None:
        """Find it in the text of /proc/self/cgroup."""
        paths = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in own.splitlines()}
        self.old = "memory" in paths
        self.memory = cgroups / "memory" / paths["memory"][1:] if self.old else cgroups / paths.get("", "/")[1:]
        cpu = next((name for name in paths if "cpu" in name.split(",")), "")
        self.cpu = cgroups / cpu / paths[cpu][1:] if self.old and cpu else self.memory

    def limit(self, above: int = 0) -> int | None:
        """Bytes that this group may hold, or the one so many levels above it; None without limit."""
        folder = [self.memory, *self.memory.parents][above]
        text = content(folder / ("memory.limit_in_bytes" if self.old else "memory.max"), "max")
        return None if text == "max" or int(text) >= HUGE else int(text)

    def processors(self) -> float | None:
        """Processors that this group may use; None without limit."""
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if self.old else ("cpu.max",)
        quota, period = " ".join(
            content(self.cpu / name, "max 1" if len(names) == 1 else "-1") for name in names
        ).split()
        return None if quota in ("max", "-1") else int(quota) / int(period)

    def killed(self) -> int:
        """How many processes the kernel has ended for want of memory since the server started."""
        name = "memory.oom_control" if self.old else "memory.events"
        lines = content(self.memory / name, "").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def own_group() -> Group:
    """The group this process is in."""
    return Group(Path("/proc/self/cgroup").read_text(encoding="ascii"))


def memory_limit(rss: int = 0, pss: int | None = None) -> int:  # noqa: ARG001 - jupyter-resource-usage calls it so
    """The limit that binds now, for the status bar; 0 for none."""
    return own_group().limit() or 0


def size(number: int) -> str:
    """Bytes for people.

    >>> size(400 * 2**20), size(3 * 2**29)
    ('400 MiB', '1.5 GiB')
    """
    return f"{number / 2**30:.3g} GiB" if number >= 2**30 else f"{number / 2**20:.3g} MiB"


def memory_notice(killed: int, own: int | None, together: int | None) -> list[dict[str, str]]:
    """Why a kernel died."""
    if not killed:
        return []
    limit = "the machine's memory" if own is None else size(own)
    project = "" if together is None else f" (whole project {size(together)})"
    # JupyterLab cuts a notice after 140 characters.
    text = f"Out of memory: a kernel of yours was killed. Limit: {limit}{project}."
    text += " Shut down other kernels, read less, or ask for more."
    return [{"id": f"killed-{killed}", "level": "error", "text": text}]


def read_notices(login: str, folder: Path = NOTICES) -> list[dict[str, str]]:
    """What the machine tells everybody, and this member."""
    found: list[dict[str, str]] = []
    for file in [*sorted(folder.glob("all/*.json")), folder / "members" / f"{login}.json"]:
        if file.exists():
            found += json.loads(file.read_text(encoding="utf-8"))
    return [{"id": str(n["id"]), "level": n["level"], "text": str(n["text"])} for n in found if n["level"] in LEVELS]


def everything() -> list[dict[str, str]]:
    """All that holds now for who owns this server."""
    group = own_group()
    return memory_notice(group.killed(), group.limit(), group.limit(above=1)) + read_notices(getpass.getuser())


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "datalab_notices"}]


def _load_jupyter_server_extension(app: Any) -> None:
    """Answer at datalab/notices."""
    from jupyter_server.base.handlers import APIHandler  # noqa: PLC0415 - the rest is tested without Jupyter
    from tornado import web  # noqa: PLC0415

    class Notices(APIHandler):
        @web.authenticated
        def get(self) -> None:
            self.finish(json.dumps(everything()))

    base = app.web_app.settings["base_url"].rstrip("/")
    app.web_app.add_handlers(".*$", [(f"{base}/datalab/notices", Notices)])
