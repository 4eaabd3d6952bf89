"""The module of the plan: from the data alone, and refused in words where that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.action import hours_plan as action
from ansible_collections.atelier.datalab.plugins.modules import hours_plan

OFFICE = {
    "name": "office", "timezone": "Europe/Paris",
    "periods": [{"days": ["mon-fri"], "begin": "09:00", "end": "18:00"}],
}  # fmt: skip
ARGUMENTS = {
    "environment": "prod",
    "region": "eu-west-1",
    "machines": [{"name": "m", "project": "alpha", "schedule": "office", "instance_type": "m6i.large"}],
    "schedules": [OFFICE],
    "first": "2027-03-01",
    "destination": "/nowhere",
}


def run(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    with patch_module_args(ARGUMENTS | arguments), pytest.raises(SystemExit):
        hours_plan.main()
    return json.loads(capsys.readouterr().out)


def test_it_needs_no_cloud_and_changes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = run(capsys)
    assert not found["changed"]
    report = found["report"]
    assert report["machines"][0]["hours"] == 45
    files = action.write(report, tmp_path / "made")
    assert [Path(one).name for one in files] == ["prod-plan.html", "prod-plan.svg", "prod-plan.ics"]
    assert all(Path(one).stat().st_size > 500 for one in files)
    assert (
        action.summary(report) == "prod from 2027-03-01 on, 7 days: 1 machines run 45 of 168 hours; 0 things to look at"
    )


def test_what_ran_before_comes_from_the_history(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    lines = [("2027-02-26T08:00:00+00:00", "start"), ("2027-02-26T19:00:00+00:00", "stop")]
    history.write_text(
        "".join(json.dumps({"at": at, "id": "i", "machine": "m", "action": do}) + "\n" for at, do in lines)
    )
    (alpha,) = run(capsys, history=str(history))["report"]["past"]
    assert alpha["hours"]["ran"] == 11
    assert (alpha["hours"]["hours"], alpha["hours"]["by_hand"]) == (9, 2)
    assert run(capsys, history=str(tmp_path / "none"))["report"]["past"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"first": "soon"}, "soon"),
        ({"days": 0}, "from 1 to 31"),
        ({"timezone": "Paris"}, "Paris"),
        ({"schedules": [OFFICE | {"holidays": ["spain"]}]}, "calendar.holidays has no spain"),
        ({"extensions": [{"machine": "m", "start": "2027-03-01T18:00:00", "until": "x"}]}, "cannot be made"),
    ],
)
def test_what_cannot_be_read_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: dict[str, Any], said: str
) -> None:
    found = run(capsys, **arguments)
    assert found["failed"]
    assert said in found["msg"]
