"""One seeded account for these tests, and what an audit of it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit import seed
from tests.emulator import emulator, variables


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seed.Account]:
    """60 machines by hand, 40 of stacks, in an emulator of these tests' own."""
    with emulator(tmp_path_factory.mktemp("emulator"), "127.201.10.0/24", seed.IMAGES) as endpoint:
        yield seed.Account(endpoint).build()


@pytest.fixture
def cloud(account: seed.Account, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment in which AWS's tools find the account."""
    values = variables(account.endpoint)
    for key, value in values.items():
        monkeypatch.setenv(key, value)
    return values


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return seed.ROOT
