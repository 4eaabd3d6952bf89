"""What every Jupyter server of this host loads; the values are in jupyter_server_config.json beside this file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

c = get_config()  # noqa: F821 - traitlets puts it here
# Servers run from an environment that never changes; our class is not part of it.
sys.path.append(json.loads(Path("/etc/jupyter/jupyter_server_config.json").read_text())["ProjectKernels"]["library"])
c.ServerApp.kernel_spec_manager_class = "datalab_kernels.ProjectKernels"
