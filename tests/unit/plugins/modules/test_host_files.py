from __future__ import annotations

import grp
import json
import os
import pwd
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.modules import host_files

ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


def run(capsys, check: bool = False, **arguments) -> dict:
    with (
        patch_module_args({**arguments, "_ansible_check_mode": check, "_ansible_diff": True}),
        pytest.raises(SystemExit),
    ):
        host_files.main()
    return json.loads(capsys.readouterr().out)


def tree(root: Path, text: str = "one\n") -> dict:
    return {
        "directories": [{"path": str(root / "d"), "mode": "0750", "exclusive": True, **ME}],
        "files": [{"path": str(root / "d" / "f"), "content": text, "mode": "0640", **ME}],
    }


def test_create_again_modify_again_remove(capsys, tmp_path: Path) -> None:
    path = tmp_path / "d" / "f"
    assert run(capsys, check=True, **tree(tmp_path))["changed"]
    assert not path.exists()
    assert run(capsys, **tree(tmp_path))["changed"]
    assert (path.read_text(), path.stat().st_mode & 0o7777, path.parent.stat().st_mode & 0o7777) == (
        "one\n",
        0o640,
        0o750,
    )
    for check in (True, False):
        assert not run(capsys, check=check, **tree(tmp_path))["changed"]
    assert run(capsys, check=True, **tree(tmp_path, "two\n"))["diff"][0]["before"] == "one\n"
    assert path.read_text() == "one\n"
    assert run(capsys, **tree(tmp_path, "two\n"))["changes"] == [f"{path}: content"]
    assert not run(capsys, **tree(tmp_path, "two\n"))["changed"]
    assert run(capsys, check=True, absent=[str(path)])["changed"]
    assert path.exists()
    assert run(capsys, absent=[str(path)])["changed"]
    assert not run(capsys, absent=[str(path)])["changed"]


def test_mode_is_set_whatever_the_umask_and_corrected(capsys, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        run(capsys, **tree(tmp_path))
    finally:
        os.umask(before)
    (tmp_path / "d" / "f").chmod(0o666)
    assert "mode 0666 -> 0640" in run(capsys, **tree(tmp_path))["changes"][0]


def test_strangers_leave_an_exclusive_directory_but_links_are_not_followed(capsys, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    run(capsys, **tree(tmp_path))
    (tmp_path / "d" / "link").symlink_to(outside)
    (tmp_path / "d" / "old").mkdir()
    assert len(run(capsys, check=True, **tree(tmp_path))["changes"]) == 2
    assert (tmp_path / "d" / "old").is_dir()
    run(capsys, **tree(tmp_path))
    assert sorted(p.name for p in (tmp_path / "d").iterdir()) == ["f"]
    assert (outside / "kept").exists()


def test_refused_files_replace_nothing(capsys, tmp_path: Path) -> None:
    run(capsys, **tree(tmp_path))
    refuse = ["/bin/sh", "-c", "grep two {staging}/f && echo no >&2 && exit 1"]
    result = run(capsys, **tree(tmp_path, "two\n"), validate=refuse)
    assert result["failed"]
    assert "nothing was replaced" in result["msg"]
    assert (tmp_path / "d" / "f").read_text() == "one\n"
    assert not run(capsys, **tree(tmp_path), validate=["/bin/false"])["changed"]


def test_something_else_in_the_way_is_named(capsys, tmp_path: Path) -> None:
    (tmp_path / "d").touch()
    assert "is not a directory" in run(capsys, **tree(tmp_path))["msg"]
    (tmp_path / "d").unlink()
    (tmp_path / "d" / "f").mkdir(parents=True)
    assert "is not a plain file" in run(capsys, **tree(tmp_path))["msg"]
