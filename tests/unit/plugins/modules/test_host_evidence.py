"""What a host tells: marker, updates from rotated logs and stamps, certificates; nothing where there is nothing."""

from __future__ import annotations

import datetime
import gzip
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.module_utils import _rules_host
from ansible_collections.atelier.datalab.plugins.modules import host_evidence

UPGRADE = "{} 06:12:31 upgrade libc6:amd64 2.36-9 2.36-10\n"
OTHER = "2027-01-09 06:12:31 install htop:amd64 <none> 3.2\n2027-01-09 06:12:31 status upgrade libc6\n"


@pytest.fixture(autouse=True)
def paris(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def root(tmp_path: Path, logs: dict[str, str], stamp: str | None = None) -> Path:
    folder = tmp_path / "var/log"
    folder.mkdir(parents=True)
    for name, text in logs.items():
        data = text.encode()
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    if stamp:
        file = tmp_path / "var/lib/apt/periodic/upgrade-stamp"
        file.parent.mkdir(parents=True)
        file.touch()
        moment = datetime.datetime.fromisoformat(stamp).timestamp()
        os.utime(file, (moment, moment))
    return tmp_path


@pytest.mark.parametrize(
    ("logs", "stamp", "when", "source"),
    [
        ({"dpkg.log": UPGRADE.format("2027-01-02") + OTHER}, None, "2027-01-02T06:12:31+01:00", "dpkg.log"),
        (
            {"dpkg.log": OTHER, "dpkg.log.1": "", "dpkg.log.2.gz": UPGRADE.format("2026-11-03"),
             "dpkg.log.10.gz": UPGRADE.format("2026-02-03")},
            None, "2026-11-03T06:12:31+01:00", "dpkg.log",
        ),
        (
            {"dpkg.log": UPGRADE.format("2027-01-02")}, "2027-01-14T05:00:00+00:00",
            "2027-01-14T05:00:00+00:00", "unattended-upgrade",
        ),
        (
            {"dpkg.log": UPGRADE.format("2027-01-02")}, "2026-12-14T05:00:00+00:00",
            "2027-01-02T06:12:31+01:00", "dpkg.log",
        ),
    ],
)  # fmt: skip
def test_the_last_update(tmp_path: Path, logs: dict[str, str], stamp: str | None, when: str, source: str) -> None:
    assert _rules_host.patched(root(tmp_path, logs, stamp)) == {"when": when, "source": source}


@pytest.mark.parametrize("logs", [{}, {"dpkg.log": OTHER}, {"dpkg.log": "\xff\x00"}])
def test_a_host_fresh_from_its_image_took_none(tmp_path: Path, logs: dict[str, str]) -> None:
    assert _rules_host.patched(root(tmp_path, logs)) is None


@pytest.mark.parametrize(
    ("text", "marker"), [(None, None), ('{"approved": true}', {"approved": True}), ("approved\n", "approved\n")]
)
def test_the_marker(tmp_path: Path, text: str | None, marker: Any) -> None:
    file = tmp_path / "image.json"
    if text is not None:
        file.write_text(text)
    assert _rules_host.marker(file) == marker


def run(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        host_evidence.main()
    return json.loads(capsys.readouterr().out)


def test_certificates_are_read_where_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, broken, absent = (str(tmp_path / name) for name in ("good.pem", "broken.pem", "absent.pem"))
    key = str(tmp_path / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", good, "-subj", "/CN=x",
         "-days", "10"],
        check=True, capture_output=True,
    )  # fmt: skip
    Path(broken).write_text("hello")
    found = run(capsys, certificates=[good, broken, absent], marker=str(tmp_path / "none.json"))
    assert found["changed"] is False
    first, second = found["evidence"]["certificates"]
    left = datetime.datetime.fromisoformat(first["ends"]) - datetime.datetime.now(tz=datetime.UTC)
    assert (first["path"], left.days) == (good, 9)
    assert second == {"path": broken, "ends": "not a certificate"}
    assert found["evidence"]["marker"] is None


def test_a_host_that_cannot_tell_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(capsys, marker=str(tmp_path))
    assert found["failed"]
    assert "cannot tell about itself" in found["msg"]


def test_the_documentation_says_what_the_code_takes() -> None:
    assert set(host_evidence.ARGUMENTS) == set(yaml.safe_load(host_evidence.DOCUMENTATION)["options"])
