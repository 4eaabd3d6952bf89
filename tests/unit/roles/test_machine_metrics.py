"""The machine's numbers: the exposition and the warnings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import machine_metrics
import pytest

GIB = 2**30
CONFIG: dict[str, Any] = {"warn_percent": 80, "alarm_percent": 90, "home_gib": 5, "projects": []}


@pytest.mark.parametrize(
    ("used", "level"), [(0, None), (79.9, None), (80, "warning"), (89.9, "warning"), (90, "error"), (120, "error")]
)
def test_warned_from_the_thresholds_on(used: float, level: str | None) -> None:
    said = machine_metrics.disk_notice("Your home is", "home", used * GIB, 100 * GIB, CONFIG)
    assert [n["level"] for n in said] == ([level] if level else [])
    assert all(len(n["text"]) <= 140 for n in said)


def test_a_place_without_limit_never_warns() -> None:
    assert machine_metrics.disk_notice("Your home is", "home", GIB, 0, CONFIG) == []


def test_largest_home_of_the_members_projects(monkeypatch: pytest.MonkeyPatch) -> None:
    members = {"a": ["ines"], "b": ["ines", "otto"]}

    def group(name: str) -> Any:
        return type("Group", (), {"gr_mem": members[name]})  # KeyError for an unknown one, as the real one

    monkeypatch.setattr(machine_metrics.grp, "getgrnam", group)
    projects = [{"name": "a", "group": "a", "home_gib": 10}, {"name": "b", "group": "b", "home_gib": 2}]
    projects.append({"name": "c", "group": "unmade", "home_gib": 99})
    found = machine_metrics.soft_limits(["ines", "otto", "lea"], {**CONFIG, "projects": projects})
    assert {login: size / GIB for login, size in found.items()} == {"ines": 10, "otto": 2, "lea": 5}


def test_units_become_samples() -> None:
    base = {"ActiveState": "active", "MemoryCurrent": "100", "ControlGroup": "", "CPUUsageNSec": "2500000000"}
    shown = [
        {**base, "Id": "jupyter-ines-singleuser.service", "MemoryMax": "400", "CPUQuotaPerSecUSec": "1s 500ms"},
        {**base, "Id": "jupyter-otto-singleuser.service", "MemoryMax": "400", "CPUQuotaPerSecUSec": "infinity"}
        | {"CPUUsageNSec": "[not set]", "MemoryCurrent": str(2**64 - 1)},
        {**base, "Id": "datalab-my_lab.slice", "MemoryMax": "infinity", "CPUQuotaPerSecUSec": "infinity"},
        {**base, "Id": "jupyterhub.service", "ActiveState": "failed"},
    ]
    assert list(machine_metrics.of_units(shown)) == [
        ("atelier_server_cpu_seconds_total", {"login": "ines"}, 2.5),
        ("atelier_server_oom_kills_total", {"login": "ines"}, 0),
        ("atelier_server_memory_bytes", {"login": "ines"}, 100.0),
        ("atelier_server_memory_limit_bytes", {"login": "ines"}, 400.0),
        ("atelier_server_cpu_limit", {"login": "ines"}, 1.5),
        ("atelier_server_oom_kills_total", {"login": "otto"}, 0),
        ("atelier_server_memory_limit_bytes", {"login": "otto"}, 400.0),
        ("atelier_project_memory_bytes", {"project": "my-lab"}, 100.0),
        ("atelier_unit_active", {"unit": "jupyterhub.service"}, 0.0),
    ]


def test_exposition_groups_families_and_quotes_labels() -> None:
    text = machine_metrics.exposition(
        [
            ("atelier_home_used_bytes", {"login": 'a"b\\c'}, 5),
            ("atelier_culler_running", {}, 1),
            ("atelier_home_used_bytes", {"login": "otto"}, 2.0**53),
        ]
    )
    assert text.splitlines()[2:4] == [
        'atelier_home_used_bytes{login="a\\"b\\\\c"} 5',
        'atelier_home_used_bytes{login="otto"} 9007199254740992',
    ]
    assert text.count("# TYPE") == 2


def test_homes_are_measured(tmp_path: Path) -> None:
    for login, size in (("ines", 300_000), ("otto", 10)):
        folder = tmp_path / "home" / login
        folder.mkdir(parents=True)
        (folder / "data").write_bytes(b"x" * size)
    (tmp_path / "home" / "link").symlink_to(tmp_path)
    found = machine_metrics.homes(str(tmp_path))
    assert set(found) == {"ines", "otto"}
    assert found["ines"] >= 300_000 > found["otto"]
    assert machine_metrics.homes(str(tmp_path / "home" / "otto")) == {}


def test_notices_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_metrics.os, "chown", lambda *_: None)
    file = tmp_path / "volume.json"
    machine_metrics.tell(file, [{"id": "x", "level": "error", "text": "é"}], 0o400)
    assert json.loads(file.read_text())[0]["text"] == "é"
    assert file.stat().st_mode & 0o777 == 0o400
    machine_metrics.tell(file, [])
    assert not file.exists()
