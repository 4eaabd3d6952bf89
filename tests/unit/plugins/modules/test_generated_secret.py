from __future__ import annotations

import grp
import json
import os
import pwd
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.modules import generated_secret

ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


def run(capsys, path: Path, check: bool = False, **arguments) -> tuple[dict, str]:
    given = {"path": str(path), "prefix": "TOKEN=", **ME, **arguments, "_ansible_check_mode": check}
    with patch_module_args(given), pytest.raises(SystemExit):
        generated_secret.main()
    out = capsys.readouterr().out
    return json.loads(out), out


def test_made_once_and_never_told(capsys, tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "token"
    assert run(capsys, path, check=True)[0]["changed"]
    assert not path.exists()
    result, out = run(capsys, path)
    secret = path.read_text().strip().removeprefix("TOKEN=")
    assert result["changed"]
    assert len(secret) == 64
    assert secret not in out
    assert (path.stat().st_mode & 0o7777, path.parent.stat().st_mode & 0o7777) == (0o600, 0o700)
    for check in (True, False):
        assert not run(capsys, path, check=check)[0]["changed"]
    assert secret in path.read_text()


def test_opened_file_is_closed_again_and_a_truncated_one_made_anew(capsys, tmp_path: Path) -> None:
    path = tmp_path / "token"
    run(capsys, path)
    kept = path.read_text()
    path.chmod(0o644)
    assert "mode 0644 -> 0600" in run(capsys, path)[0]["changes"][0]
    assert path.read_text() == kept
    path.write_text("TOKEN=\n")
    assert run(capsys, path)[0]["changed"]
    assert len(path.read_text()) == len(kept)
