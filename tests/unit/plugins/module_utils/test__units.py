from __future__ import annotations

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _units as units

SHOWN = "Id=a.service\nActiveState=active\nActiveEnterTimestamp=@100\n\nId=b.service\nActiveState=inactive\n"


def test_each_unit_has_its_own_block() -> None:
    states = units.read_states(SHOWN)
    assert sorted(states) == ["a.service", "b.service"]
    assert states["b.service"]["ActiveState"] == "inactive"


@pytest.mark.parametrize(
    ("unit", "newest", "restart", "action"),
    [
        ("a.service", 0, False, ""),
        ("a.service", 100.9, False, ""),
        ("a.service", 101.0, False, "restart"),
        ("a.service", 0, True, "restart"),
        ("b.service", 0, False, "start"),
        ("b.service", 0, True, "restart"),
    ],
)
def test_verdict(unit: str, newest: float, restart: bool, action: str) -> None:
    assert units.verdict(units.read_states(SHOWN)[unit], newest, restart)[0] == action
