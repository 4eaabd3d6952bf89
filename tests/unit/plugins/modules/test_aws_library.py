"""AWS's library made small: what is in the zip, once, and that it is enough to talk to the service."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.modules import aws_library

from tests.logs_service import LogsService

ROOT = Path(__file__).resolve().parents[4]
WHEELS = Path(os.environ.get("ATELIER_CACHE") or Path.home() / ".cache/atelier-datalab") / "aws"
ROLE = yaml.safe_load((ROOT / "roles/journal/vars/main.yml").read_text())
VERSIONS = ROLE["__journal_versions"]
ASK = """
import sys
from botocore.session import Session
client = Session().create_client("logs", region_name="eu-west-1", endpoint_url=sys.argv[1],
    aws_access_key_id="testing", aws_secret_access_key="testing")
client.create_log_stream(logGroupName="/test", logStreamName="small")
import botocore
print(botocore.__file__)
"""


def make(capsys: pytest.CaptureFixture[str], path: Path, check: bool = False, **more: Any) -> dict[str, Any]:
    given = {"wheels": str(WHEELS), "versions": VERSIONS, "services": ["logs"], "path": str(path)} | more
    with patch_module_args(given | {"_ansible_check_mode": check}), pytest.raises(SystemExit):
        aws_library.main()
    return json.loads(capsys.readouterr().out)


def test_the_role_ships_what_the_lock_names() -> None:
    locked = dict(re.findall(r"^(\S+)==(\S+)", (ROOT / "requirements/aws.txt").read_text(), re.MULTILINE))
    assert {name: str(version) for name, version in VERSIONS.items()} == locked


def test_made_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    assert make(capsys, path, check=True)["changed"]
    assert not path.exists()
    assert make(capsys, path)["changed"]
    first = path.read_bytes()
    for check in (True, False):
        assert not make(capsys, path, check=check)["changed"]
    path.unlink()
    make(capsys, path)
    assert path.read_bytes() == first, "the same wheels make the same bytes"
    assert [one.name for one in tmp_path.iterdir()] == ["x.zip"]


def test_it_is_small_and_enough(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Asked without any other package on the path."""
    path = tmp_path / "x.zip"
    make(capsys, path)
    assert path.stat().st_size < 2 * 2**20
    with zipfile.ZipFile(path) as packed:
        packed.extractall(tmp_path / "library")
    service = LogsService()
    service.start()
    alone = {"PYTHONPATH": str(tmp_path / "library"), "AWS_EC2_METADATA_DISABLED": "true", "PATH": os.environ["PATH"]}
    try:
        done = subprocess.run(
            [sys.executable, "-S", "-c", ASK, service.endpoint], env=alone, capture_output=True, text=True, check=False
        )
    finally:
        service.stop()
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "library/botocore/__init__.py")
    assert service.requests == ["CreateLogStream"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"versions": VERSIONS | {"six": "9.9"}}, "six==9.9"),
        ({"services": ["nothing"]}, "no service nothing"),
        ({"wheels": "/nonexistent"}, "botocore=="),
    ],
)
def test_what_is_missing_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, more: dict[str, Any], says: str
) -> None:
    failed = make(capsys, tmp_path / "x.zip", **more)
    assert says in failed["msg"]
    assert "make setup" in failed["msg"]
    assert list(tmp_path.iterdir()) == []
