"""JupyterHub's configuration. The values are in settings.json beside this file; the code is the same everywhere.

One module beside this file per concern; each has `configure(c, settings)`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here))

import datalab_announcement  # noqa: E402
import datalab_generations  # noqa: E402
import datalab_members  # noqa: E402
import datalab_metrics  # noqa: E402
import datalab_servers  # noqa: E402
import datalab_services  # noqa: E402
import datalab_serving  # noqa: E402
import datalab_sharing  # noqa: E402
import datalab_watch  # noqa: E402

c = get_config()  # noqa: F821 - traitlets puts it here
settings = json.loads((here / "settings.json").read_text(encoding="utf-8"))

# The parts add to these.
c.JupyterHub.services = []
c.JupyterHub.load_roles = []
c.JupyterHub.load_groups = {}
c.JupyterHub.template_paths = []
c.JupyterHub.template_vars = {}
parts = (
    datalab_serving,
    datalab_members,
    datalab_servers,
    datalab_sharing,
    datalab_services,
    datalab_announcement,
    datalab_metrics,
    datalab_watch,
    datalab_generations,
)
for part in parts:
    part.configure(c, settings)

for name, traits in settings["extra"].items():
    for trait, value in traits.items():
        setattr(c[name], trait, value)
