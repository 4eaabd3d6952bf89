"""Announcements: what /opt/atelier/bin/announce wrote, on the hub's pages and at /hub/announcement for JupyterLab."""

from __future__ import annotations

import datetime
import html
import json
from pathlib import Path
from typing import Any

from tornado.web import RequestHandler

FILE = Path("/var/lib/atelier/announcement.json")


def current(file: Path = FILE, now: datetime.datetime | None = None) -> dict[str, str]:
    """The announcement that holds now: id, message, until (ISO 8601 with offset). Empty when there is none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        until = datetime.datetime.fromisoformat(found["until"])
    except (FileNotFoundError, KeyError, ValueError):  # a file broken by hand must not take the hub's pages along
        return {}
    return found if (now or datetime.datetime.now(datetime.UTC)) < until else {}


class Banner:
    """What JupyterHub's page template prints as `announcement`: looked up anew for each page."""

    def __bool__(self) -> bool:
        return bool(current())

    def __str__(self) -> str:
        return html.escape(current().get("message", ""))


class AnnouncementHandler(RequestHandler):
    """The announcement for JupyterLab. Nothing in it is secret: the login page shows it too."""

    def set_default_headers(self) -> None:
        """The headers of every page of the hub, and no copy in a cache."""
        for name, value in {**self.settings["headers"], "Cache-Control": "no-store"}.items():
            self.set_header(name, value)

    def get(self) -> None:
        """Answer with the announcement, or with an empty object."""
        self.write(current())

    def _log(self) -> None:
        """No line in the hub's log for each look of each open tab."""


def configure(c: Any, settings: dict[str, Any]) -> None:  # noqa: ARG001 - every part has the same signature
    """Add this part to the hub's configuration `c`."""
    c.JupyterHub.template_vars["announcement"] = Banner()
    # JupyterHub would rather have a service; for one small answer that is a process of root's and a port more.
    c.JupyterHub.extra_handlers = [(r"/announcement", AnnouncementHandler)]
