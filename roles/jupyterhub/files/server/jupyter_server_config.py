"""What every member's server gets from the hub's side; role jupyter writes the rest to /etc/jupyter."""

from __future__ import annotations

import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here))

import datalab_notices  # noqa: E402

c = get_config()  # noqa: F821 - traitlets puts it here
c.ServerApp.jpserver_extensions = {"datalab_activity": True, "datalab_notices": True}
c.LabApp.extra_labextensions_path = [str(here / "labextensions")]
# Added to what JupyterHub sets on a member's server (Content-Security-Policy, cookies).
c.ServerApp.tornado_settings = {
    "headers": {
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Referrer-Policy": "same-origin",
        "Server": "Jupyter",
        "Strict-Transport-Security": "max-age=31536000",
        "X-Content-Type-Options": "nosniff",
    },
    # JupyterHub passes its cookies' options to its own cookie of this server only.
    "xsrf_cookie_kwargs": {"secure": True, "samesite": "Lax"},
}

# The status bar shows what binds, and turns red from 80 % on.
c.ResourceUseDisplay.mem_limit = datalab_notices.memory_limit
c.ResourceUseDisplay.mem_warning_threshold = 0.2
# Per cent, where JupyterHub's CPU_LIMIT, which it would take, counts processors.
c.ResourceUseDisplay.cpu_limit = 100 * (datalab_notices.own_group().processors() or 0.0)
c.ResourceUseDisplay.track_cpu_percent = True
c.ResourceUseDisplay.track_disk_usage = True
c.ResourceUseDisplay.disk_warning_threshold = 0.2
