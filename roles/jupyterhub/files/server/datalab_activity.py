"""A server extension: a kernel at work counts as activity, even when it prints nothing and nobody looks.

Without it a cell that computes in silence for longer than the idle limit loses its server.
"""

from __future__ import annotations

import datetime
from typing import Any

from tornado.ioloop import PeriodicCallback

SECONDS = 10


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Tell Jupyter Server where to start."""
    return [{"module": "datalab_activity"}]


def note(kernels: Any, times: dict[str, datetime.datetime]) -> None:
    """Write the time into Jupyter Server's table of activities while any kernel is busy."""
    if any(kernels.get_kernel(i).execution_state == "busy" for i in kernels.list_kernel_ids()):
        times["datalab_activity"] = datetime.datetime.now(datetime.UTC)


def _load_jupyter_server_extension(app: Any) -> None:
    """Look every few seconds."""
    times = app.web_app.settings["last_activity_times"]
    app.datalab_activity = PeriodicCallback(lambda: note(app.kernel_manager, times), SECONDS * 1000)
    app.datalab_activity.start()
