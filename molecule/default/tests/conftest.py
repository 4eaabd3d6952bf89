"""The hosts of the environment, its members' passwords and an inventory to edit as fixtures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader
from testinfra.host import Host

from tests.hosts.platform import ALPHA, BASTION, BETA, ENVIRONMENT, LAB, ROOT, host

init_plugin_loader([str(ROOT / "collections")])


@pytest.fixture
def alpha() -> Host:
    return host(ALPHA)


@pytest.fixture
def beta() -> Host:
    return host(BETA)


@pytest.fixture
def bastion() -> Host:
    return host(BASTION)


@pytest.fixture(scope="session")
def passwords() -> dict[str, str]:
    return json.loads((LAB.state / "passwords.json").read_text())


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """Return a copy of the environment's inventory that a test may edit; pins of host keys are shared."""
    shutil.copytree(ROOT / "inventories", tmp_path / "inventories", symlinks=True)
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / f"{ENVIRONMENT}.known_hosts").symlink_to(ROOT / ".state" / f"{ENVIRONMENT}.known_hosts")
    return tmp_path / "inventories" / ENVIRONMENT
