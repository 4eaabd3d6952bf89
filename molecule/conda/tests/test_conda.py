"""Environments on plain hosts, looked at from inside and as somebody who is not root."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

from tests.hosts import plain

ROOT = "/opt/atelier/conda"


testinfra_hosts = plain.hosts()


@pytest.fixture
def prefix(host: Host) -> str:
    return host.check_output(f"readlink -f {ROOT}/envs/plain-base/current")


def test_generation_is_named_by_its_lock(host: Host, prefix: str) -> None:
    assert prefix.startswith(f"{ROOT}/envs/plain-base/generations/")
    packages = json.loads(host.file(f"{prefix}/.datalab/packages.json").content_string)
    assert {"python", "ipykernel", "pip"} <= {p["name"] for p in packages}
    # The spec and the lock name the channel, although the bytes came from the mirror.
    assert {p["url"].rsplit("/", 2)[0] for p in packages} == {"https://conda.anaconda.org/conda-forge"}


def test_everybody_runs_it(host: Host, prefix: str) -> None:
    with host.sudo("nobody"):
        assert (
            host.check_output(f"cd / && {ROOT}/envs/plain-base/current/bin/python -c 'import ipykernel; print(6 * 7)'")
            == "42"
        )
        assert host.check_output(f"PATH={ROOT}/envs/tool/current/bin:$PATH configurable-http-proxy --version")
        unreadable = host.check_output(f"cd / && find {prefix} {ROOT}/envs/tool ! -type l ! -readable")
    assert unreadable == ""


def test_nobody_but_root_changes_it(host: Host, prefix: str) -> None:
    with host.sudo("nobody"):
        assert host.run(f"touch {prefix}/lib/python3.12/os.py").rc != 0
        assert host.run(f"ln -sfn /tmp {ROOT}/envs/plain-base/current").rc != 0
    assert host.run(f"find {prefix} ! -type l -perm /o+w | grep .").rc == 1


def test_bytecode_is_complete(host: Host, prefix: str) -> None:
    missing = host.check_output(
        f"cd {prefix}/lib/python3.12/site-packages/ipykernel && for f in *.py; do"
        " test -e __pycache__/${f%.py}.cpython-312.pyc || echo $f; done"
    )
    assert missing == ""


def test_the_pip_section_is_installed_where_it_runs(host: Host) -> None:
    environment = f"{ROOT}/envs/plain-pip/current"
    with host.sudo("nobody"):
        # Its script names the generation, not the folder in which it was built.
        assert host.check_output(f"cd / && {environment}/bin/house-rates") == "2.026"
        assert "house-rates" in host.check_output("cd / && atelier-conda which plain-pip | grep '(pip)'")
    lock = host.file(f"{environment}/.datalab/conda.lock").content_string
    assert "--hash=sha256:" in lock
    assert "file://" not in lock
    assert "simple" not in lock


def test_everybody_reads_what_is_installed(host: Host) -> None:
    with host.sudo("nobody"):
        told = host.check_output("cd / && atelier-conda list")
        assert {"plain-base", "plain-pip", "tool"} <= {line.split()[0] for line in told.splitlines()}
        assert json.loads(host.check_output(f"cat {ROOT}/report.json"))["environments"]["plain-base"]["packages"]
        assert json.loads(host.check_output(f"cat {ROOT}/envs/plain-base/current/.datalab/packages.json"))


def test_command_is_offered_to_everybody(host: Host) -> None:
    with host.sudo("nobody"):
        assert (
            host.check_output("cd / && command -v configurable-http-proxy") == "/usr/local/bin/configurable-http-proxy"
        )
        assert host.check_output("cd / && configurable-http-proxy --version").startswith("5.")
        settings = json.loads(host.check_output("cat /etc/conda/.condarc"))
    # The mirror that served the platform's own environments serves people's too.
    [mirror] = settings["custom_multichannels"]["conda-forge"]
    assert settings["default_channels"] == [mirror]
    ask = f"import urllib.request as r; print(r.urlopen('{mirror}/noarch/repodata.json').status)"
    assert host.check_output(f'python3 -c "{ask}"') == "200"
