"""Views of the hosts of the lab that `lab env` points at."""

from __future__ import annotations

import os
from pathlib import Path

from lab.identity import Lab

# Which lab: the one whose key `lab env` names.
LAB = Lab(Path(os.environ["ANSIBLE_PRIVATE_KEY_FILE"]).parent.name)
