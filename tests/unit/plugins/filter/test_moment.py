from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.atelier.datalab.plugins.filter.moment import moment

NOW = datetime.datetime(2026, 11, 23, 17, 15, tzinfo=ZoneInfo("Europe/Paris"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("18:00", "2026-11-23T18:00:00+01:00"),
        ("2026-11-24T06:00", "2026-11-24T06:00:00+01:00"),
        ("2026-11-23T16:30+00:00", "2026-11-23T16:30:00+00:00"),
    ],
)
def test_times(text: str, expected: str) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize(("text", "why"), [("17:15", "is past"), ("6pm", "is no time"), ("tomorrow", "is no time")])
def test_refused(text: str, why: str) -> None:
    with pytest.raises(AnsibleFilterError, match=why):
        moment(text, NOW)
