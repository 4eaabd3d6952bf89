"""datalab-env on generations that conda_env really built."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.modules import conda_env

from lab.channel.package import Entry, Package, write_repodata

ENGINE = Path(importlib.util.find_spec("rattler").origin).parents[1]
PROGRAM = Path(__file__).parents[3] / "roles/jupyter/files/datalab-env"


@pytest.fixture
def envs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Two generations: the second has a newer tool and `extra` instead of `base`."""
    channel = tmp_path / "channel"
    records = []
    for name, version in (("base", "1.0"), ("tool", "1.0"), ("tool", "2.0"), ("extra", "1.0")):
        entries = [Entry(f"share/{name}.txt", version.encode())]
        package = Package(name, version, "test_0", "noarch", noarch="generic", entries=entries)
        records.append(package.write(channel))
    write_repodata(channel, records)
    for packages in (["tool=1", "base"], ["tool=2", "extra"]):
        arguments: dict[str, Any] = {
            "root": str(tmp_path / "conda"), "engine": str(ENGINE), "_ansible_remote_tmp": str(tmp_path),
            "mirrors": {"conda-forge": [f"file://{channel}"]},
            "environments": [{"name": "alpha-base", "packages": packages}],
        }  # fmt: skip
        with patch_module_args(arguments), pytest.raises(SystemExit):
            conda_env.main()
        assert "failed" not in json.loads(capsys.readouterr().out)
    return tmp_path / "conda/envs"


def ask(envs: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["/usr/bin/env", "python3", "-I", PROGRAM, f"--root={envs}", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **environment}
    )


def test_in_a_kernel_it_tells_lock_packages_and_what_changed(envs: Path) -> None:
    live = (envs / "alpha-base/current").resolve()
    [old] = [path for path in live.parent.iterdir() if path != live]
    lines = ask(envs, DATALAB_KERNEL="alpha-base", CONDA_PREFIX=str(live)).stdout.splitlines()
    assert lines[0].split() == ["environment", "alpha-base"]
    assert f"generation   {live.name} (in service)" in lines
    digest = hashlib.sha256((live / ".datalab/conda.lock").read_bytes()).hexdigest()
    assert any(f"sha256:{digest}" in line for line in lines)
    start = next(i for i, line in enumerate(lines) if line.startswith(f"changed since {old.name}"))
    assert lines[start + 1 : start + 4] == [
        "  - base 1.0 test_0",
        "  ~ tool 1.0 test_0 -> 2.0 test_0",
        "  + extra 1.0 test_0",
    ]
    assert [line.split()[:2] for line in lines[-2:]] == [["extra", "1.0"], ["tool", "2.0"]]


def test_a_kernel_on_an_earlier_generation_is_told(envs: Path) -> None:
    live = (envs / "alpha-base/current").resolve()
    [old] = [path for path in live.parent.iterdir() if path != live]
    said = ask(envs, DATALAB_KERNEL="alpha-base", CONDA_PREFIX=str(old)).stdout
    assert f"{old.name} (not in service any more: {live.name} is; restart the kernel to take it)" in said
    assert "no earlier generation is kept" in said


def test_in_a_terminal_it_lists_and_takes_a_name(envs: Path) -> None:
    live = (envs / "alpha-base/current").resolve()
    # A terminal of a server runs in the server's environment, which is not what people ask about.
    assert ask(envs, CONDA_PREFIX="/nowhere").stdout.split()[:2] == ["alpha-base", live.name]
    assert f"generation   {live.name}" in ask(envs, "alpha-base").stdout
    wrong = ask(envs, "beta")
    assert wrong.returncode == 1
    assert "this host has: alpha-base" in wrong.stderr


def test_own_environment_says_so(envs: Path, tmp_path: Path) -> None:
    said = ask(envs, DATALAB_KERNEL="mine (own)", VIRTUAL_ENV=str(tmp_path)).stdout
    assert "your own: it has no lock" in said
