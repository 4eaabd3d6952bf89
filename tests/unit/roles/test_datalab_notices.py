"""What a member is told, and the numbers of a control group in both versions."""

from __future__ import annotations

import json
from pathlib import Path

import datalab_notices
import pytest

MIB = 2**20
OLD = (
    "5:memory:/datalab.slice/datalab-a.slice/x.service\n4:cpu,cpuacct:/datalab.slice/datalab-a.slice/x.service\n0::/y\n"
)
NEW = "0::/datalab.slice/datalab-a.slice/x.service\n"


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


@pytest.fixture(params=["v1", "v2"])
def group(request: pytest.FixtureRequest, tmp_path: Path) -> datalab_notices.Group:
    """A server with 400 MiB and 1.5 processors in a slice with 800 MiB, two of its processes killed."""
    outer = Path("datalab.slice/datalab-a.slice")
    if request.param == "v1":
        memory, cpu = tmp_path / "memory" / outer, tmp_path / "cpu,cpuacct" / outer / "x.service"
        write(
            memory / "x.service", memory__limit_in_bytes=str(400 * MIB), memory__oom_control="under_oom 0\noom_kill 2"
        )
        write(memory, memory__limit_in_bytes=str(800 * MIB))
        write(memory.parent, memory__limit_in_bytes="9223372036854771712")
        write(cpu, cpu__cfs_quota_us="150000", cpu__cfs_period_us="100000")
        return datalab_notices.Group(OLD, tmp_path)
    write(
        tmp_path / outer / "x.service",
        memory__max=str(400 * MIB),
        memory__events="oom 3\noom_kill 2\noom_group_kill 0",
        cpu__max="150000 100000",
    )
    write(tmp_path / outer, memory__max=str(800 * MIB))
    write(tmp_path / "datalab.slice", memory__max="max")
    return datalab_notices.Group(NEW, tmp_path)


def test_numbers_of_the_control_group(group: datalab_notices.Group) -> None:
    assert (group.limit(), group.limit(above=1), group.limit(above=2)) == (400 * MIB, 800 * MIB, None)
    assert (group.processors(), group.killed()) == (1.5, 2)


@pytest.mark.parametrize("text", [OLD, NEW, "4:pids:/x\n"])
def test_a_host_without_controllers_has_no_limits(text: str, tmp_path: Path) -> None:
    group = datalab_notices.Group(text, tmp_path)
    assert (group.limit(), group.limit(above=1), group.processors(), group.killed()) == (None, None, None, 0)


def test_a_kill_is_told_with_the_limits_in_what_jupyterlab_shows() -> None:
    (said,) = datalab_notices.memory_notice(2, 400 * MIB, 96 * 2**30)
    assert said["level"] == "error"
    assert "400 MiB (whole project 96 GiB)" in said["text"]
    assert len(said["text"]) <= 140
    assert datalab_notices.memory_notice(0, 400 * MIB, None) == []
    # The next kill is another notice.
    assert datalab_notices.memory_notice(3, 400 * MIB, None)[0]["id"] != said["id"]


def test_everybody_and_this_member_are_told(tmp_path: Path) -> None:
    for name, text in (("all/volume", "full"), ("members/ines", "yours"), ("members/otto", "his")):
        path = tmp_path / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps([{"id": text, "level": "warning", "text": text}]))
    assert [n["text"] for n in datalab_notices.read_notices("ines", tmp_path)] == ["full", "yours"]
    assert [n["text"] for n in datalab_notices.read_notices("nobody", tmp_path)] == ["full"]
    assert datalab_notices.read_notices("ines", tmp_path / "absent") == []
