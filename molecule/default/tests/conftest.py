"""The hosts and the data of the environment as fixtures."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from testinfra.host import Host

from tests.hosts.platform import ALPHA, BASTION, BETA, DATA, LAB, host


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
def projects() -> dict[str, Any]:
    """The projects of the environment by name, as the data says."""
    return {p["name"]: p for p in yaml.safe_load((DATA / "projects.yml").read_text())["projects"]}


@pytest.fixture(scope="session")
def passwords() -> dict[str, str]:
    return json.loads((LAB.state / "passwords.json").read_text())
