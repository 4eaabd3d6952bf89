"""One seeded account for these tests, and what an audit of it says."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import launcher
from tests.audit import seed


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seed.Account]:
    """60 machines by hand, 40 of stacks, in an emulator of these tests' own."""
    state = tmp_path_factory.mktemp("emulator")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = launcher.start(state, port, "127.201.10.0/24")
    launcher.register_images(running, seed.IMAGES)
    try:
        yield seed.Account(running.endpoint).build()
    finally:
        launcher.stop(state)


@pytest.fixture
def cloud(account: seed.Account, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment in which AWS's tools find the account."""
    values = {
        "AWS_ENDPOINT_URL": account.endpoint, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": seed.REGION, "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    for key, value in values.items():
        monkeypatch.setenv(key, value)
    return values


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return seed.ROOT
