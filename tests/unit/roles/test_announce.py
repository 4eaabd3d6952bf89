"""The script that writes an announcement; the hub's part that reads it is tested in scenario serving."""

from __future__ import annotations

import datetime
import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles/jupyterhub/files"


def load(name: str) -> ModuleType:
    loader = SourceFileLoader(name.removesuffix(".py"), str(FILES / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


announce = load("announce")
LATER = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)).isoformat(timespec="seconds")


def test_shown_again_withdrawn(tmp_path: Path, capsys) -> None:
    file = tmp_path / "folder" / "announcement.json"
    for _ in range(2):
        announce.main(["--until", LATER, "We", "stop"], file)
    announce.main(["--until", LATER, "Another"], file)
    for _ in range(2):
        announce.main(["--withdraw"], file)
    assert capsys.readouterr().out.split() == ["changed", "unchanged", "changed", "changed", "unchanged"]
    assert list(file.parent.iterdir()) == []


@pytest.mark.parametrize("arguments", [["text"], ["--until", LATER], ["--until", "2020-01-01T00:00+00:00", "past"], []])
def test_incomplete_or_past_is_refused(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        announce.main(arguments, tmp_path / "announcement.json")
    assert ended.value.code == 2
    assert list(tmp_path.iterdir()) == []
