"""Counts the calls to AWS that a module makes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _aws


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """By operation, from here on."""
    counter: Counter[str] = Counter()
    made = _aws.client

    def counting(module: Any, service: str) -> Any:
        client = made(module, service)
        client.meta.events.register("before-call.*", lambda model, **_: counter.update([model.name]))
        return client

    monkeypatch.setattr(_aws, "client", counting)
    return counter
