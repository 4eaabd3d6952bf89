"""The hub as its members use it, for scenarios beside `jupyterhub`, whose tests these visits belong to."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any

from tests.hosts.platform import ROOT

spec = importlib.util.spec_from_file_location("hub_visits", ROOT / "molecule/jupyterhub/tests/conftest.py")
assert spec
assert spec.loader
_visits = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = _visits  # dataclasses look there
spec.loader.exec_module(_visits)
Hub = _visits.Hub


def hub(members: str, kernel: str, limit: int = 400) -> Any:
    """Return the fixture, unless the environment says otherwise for these members, kernel and limit (MiB)."""
    os.environ.setdefault("ATELIER_HUB_MEMBERS", members)
    os.environ.setdefault("ATELIER_HUB_KERNEL", kernel)
    os.environ.setdefault("ATELIER_HUB_LIMIT", str(limit))
    return _visits.hub
