from __future__ import annotations

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _units as units

SHOWN = """Id=a.service
ActiveState=active
ExecMainStartTimestamp=Thu 1970-01-01 00:01:40.500000 UTC
ActiveEnterTimestamp=Thu 1970-01-01 00:01:49.000000 UTC

Id=b.service
ActiveState=inactive
ExecMainStartTimestamp=
ActiveEnterTimestamp=

Id=c.timer
ActiveState=active
ActiveEnterTimestamp=Thu 1970-01-01 00:01:40.000000 UTC
"""


def test_each_unit_has_its_own_block() -> None:
    states = units.read_states(SHOWN)
    assert sorted(states) == ["a.service", "b.service", "c.timer"]
    assert states["b.service"]["ActiveState"] == "inactive"


@pytest.mark.parametrize(
    ("unit", "newest", "restart", "action"),
    [
        ("a.service", 0, False, ""),
        ("a.service", 100.4, False, ""),
        ("a.service", 100.6, False, "restart"),  # written while it started: it may have read the file before
        ("a.service", 0, True, "restart"),
        ("b.service", 0, False, "start"),
        ("b.service", 0, True, "restart"),
        ("c.timer", 99.0, False, ""),
        ("c.timer", 101.0, False, "restart"),
    ],
)
def test_verdict(unit: str, newest: float, restart: bool, action: str) -> None:
    assert units.verdict(units.read_states(SHOWN)[unit], newest, restart)[0] == action
