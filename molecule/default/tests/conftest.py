"""The hosts of the environment and its members' passwords as fixtures."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

from tests.hosts.platform import ALPHA, BASTION, BETA, LAB, host


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
