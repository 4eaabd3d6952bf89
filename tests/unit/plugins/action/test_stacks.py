"""Progress is shown line by line, once each."""

from __future__ import annotations

import time
from pathlib import Path

from ansible_collections.atelier.datalab.plugins.action import stacks


class Screen:
    """Keeps what is displayed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def display(self, line: str) -> None:
        self.lines.append(line.strip())


def test_new_lines_once_each_and_nothing_of_an_earlier_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(stacks, "INTERVAL", 0.01)
    log, screen = tmp_path / "log", Screen()
    log.write_text("earlier\n")
    with stacks.Follower(log, screen), log.open("a") as out:
        out.write("réseau: creating\nhalf ")
        out.flush()
        time.sleep(0.1)
        assert screen.lines == ["réseau: creating"]
        out.write("a line\n")
    assert screen.lines == ["réseau: creating", "half a line"]


def test_no_file_no_trouble(tmp_path: Path) -> None:
    with stacks.Follower(tmp_path / "never", Screen()):
        pass
