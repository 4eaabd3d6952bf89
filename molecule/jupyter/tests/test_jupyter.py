"""Kernels on plain hosts, through real servers of three accounts."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.hosts import plain

testinfra_hosts = plain.hosts()
ROOT = "/opt/atelier/jupyter"
ENVIRONMENTS = "/opt/atelier/conda/envs"
SERVED = "/usr/local/lib/served.py"
DRIVER = Path(__file__).with_name("served.py").read_text(encoding="utf-8")


def serve(host: Host, login: str, cells: dict[str, list[str]] | None = None) -> dict[str, Any]:
    """Start a server as the hub does for a member; return the kernels offered and what the cells said by kernel."""
    launch = [f"{ROOT}/bin/in-environment", f"{ENVIRONMENTS}/delta-server/current", "python", SERVED]
    wanted = json.dumps(cells or {})
    command = shlex.join(["env", f"JUPYTER_PATH={ROOT}/projects/delta", *launch, wanted])
    host.run_test(f"printf %s {shlex.quote(DRIVER)} > {SERVED} && chmod 644 {SERVED}")
    done = host.run(f"su - {login} -c {shlex.quote(command)}")
    assert done.rc == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def as_user(host: Host, login: str, command: str) -> str:
    return host.check_output(f"su - {login} -c {shlex.quote(command)}")


@pytest.fixture(scope="module")
def home(host: Host) -> None:
    """Environments that a member made without registering anything, sound ones and broken ones."""
    base = f"{ENVIRONMENTS}/delta-base/current"
    as_user(
        host,
        "kate",
        f"""set -e; umask 077; chmod -Rf u+rwX envs || true; rm -rf envs .conda
        {base}/bin/python -m venv --system-site-packages --without-pip envs/mine
        echo 'ANSWER = 6 * 7' > envs/mine/lib/python3.12/site-packages/my_library.py
        mkdir -p .conda/envs && cp -a $(readlink -f {base}) .conda/envs/My.Copy && rm -rf .conda/envs/My.Copy/.datalab
        mkdir -p envs/dangling/bin envs/dangling/share/jupyter/kernels/python3
        ln -s /nothing envs/dangling/bin/python
        cp {base}/share/jupyter/kernels/python3/kernel.json envs/dangling/share/jupyter/kernels/python3/
        mkdir -p envs/garbage/bin envs/garbage/share/jupyter/kernels/python3
        echo '{{' > envs/garbage/share/jupyter/kernels/python3/kernel.json
        mkdir -p envs/list/bin envs/list/share/jupyter/kernels/python3
        echo '[1]' > envs/list/share/jupyter/kernels/python3/kernel.json
        mkdir -p envs/binary/bin && head -c 64 /dev/urandom > envs/binary/pyvenv.cfg
        mkdir -p envs/closed/bin && chmod 000 envs/closed; touch envs/file""",
    )


def test_kernels_belong_to_the_project(host: Host) -> None:
    with host.sudo():
        for name in ("delta-base", "delta-deep"):
            spec = host.file(f"{ROOT}/projects/delta/kernels/{name}/kernel.json")
            assert (spec.user, spec.group, spec.mode) == ("root", "proj-delta", 0o640)
        folder = host.file(f"{ROOT}/projects/delta")
        assert (folder.user, folder.group, folder.mode) == ("root", "proj-delta", 0o750)
    with host.sudo("nobody"):
        assert "Permission denied" in host.run(f"ls {ROOT}/projects/delta").stderr


def test_launcher_follows_the_link_once(host: Host) -> None:
    with host.sudo("nobody"):
        asked = host.run(f"{ROOT}/bin/in-environment /bin sh -c 'echo $CONDA_PREFIX'")
        assert asked.rc != 0  # /bin is no environment: it has no bin/sh below it
        assert host.check_output(f"{ROOT}/bin/in-environment / sh -c 'echo $CONDA_PREFIX'") == "/"


def test_launcher_activates(host: Host) -> None:
    made = "d=$(mktemp -d) && chmod 755 $d && mkdir -p $d/bin $d/etc/conda/activate.d && ln -s /bin/sh $d/bin/sh"
    script = "echo 'export GDAL_DATA=$CONDA_PREFIX/share; [ $UNSET = 1 ]; false' > $d/etc/conda/activate.d/gdal.sh"
    done = host.check_output(f"{made} && {script} && {ROOT}/bin/in-environment $d sh -c 'echo $GDAL_DATA' && rm -r $d")
    assert done.startswith("/tmp/")  # noqa: S108
    assert done.endswith("/share")


@pytest.fixture(scope="module")
def colleague(host: Host, home: None) -> dict[str, Any]:
    where = "import os, sys; print(sys.prefix, os.environ['SPARK_REMOTE'], os.getcwd())"
    told = "import subprocess as s; print(s.getoutput('datalab-env'))"
    return serve(host, "lars", {"delta-base": [where, told]})


def test_project_kernel_tells_its_generation_and_runs(host: Host, colleague: dict[str, Any]) -> None:
    generation = host.check_output(f"basename $(readlink -f {ENVIRONMENTS}/delta-base/current)")
    assert {name: spec["display_name"] for name, spec in colleague["kernels"].items()} == {
        "delta-base": f"delta · base ({generation[:6]})",
        "delta-deep": "delta · deep (missing)",
    }
    metadata = colleague["kernels"]["delta-base"]["metadata"]
    assert metadata["atelier"]["generation"] == generation
    assert metadata["debugger"] is True
    prefix = f"{ENVIRONMENTS}/delta-base/generations/{generation}"
    where, told = colleague["said"]["delta-base"]
    assert where.split() == [prefix, "local[2]", "/home/lars"]
    assert told.startswith("environment  delta-base\n")
    assert f"generation   {generation} (in service)" in told


def test_kernel_that_outlives_its_generation_says_so(host: Host) -> None:
    environment = f"{ENVIRONMENTS}/delta-base"
    old = host.check_output(f"readlink {environment}/current")
    new = "generations/ffffffffffff"
    switch = f"ln -sfn {{}} {environment}/.next && mv -T {environment}/.next {environment}/current"
    host.check_output(f"cp -al $(readlink -f {environment}/current) {environment}/{new}")
    try:
        # As root, who may switch between two cells.
        told = "import subprocess as s; print(s.getoutput('datalab-env'))"
        said = serve(host, "root", {"delta-base": ["1", f"!{switch.format(new)}", "2", "3", told]})["said"][
            "delta-base"
        ]
    finally:
        host.check_output(f"{switch.format(old)} && rm -rf {environment}/{new}")
    notice = f"This kernel runs generation {Path(old).name[:6]}; ffffff is in service now. Restart the kernel"
    assert said[0] == ""
    assert notice in said[2]
    assert said[3] == "", "told once"
    assert "not in service any more: ffffffffffff is" in said[4]


@pytest.fixture(scope="module")
def owner(host: Host, home: None) -> dict[str, Any]:
    mine = "import my_library, sys, os; print(my_library.ANSWER, sys.prefix, os.environ.get('CONDA_PREFIX'))"
    copy = "import sys, os; print(sys.prefix, os.environ['CONDA_PREFIX'])"
    told = "import subprocess as s; print(s.getoutput('datalab-env'))"
    return serve(host, "kate", {"own-mine": [mine], "own-my.copy": [copy, told]})


class TestOwnEnvironments:
    def test_member_sees_it(self, owner: dict[str, Any]) -> None:
        names = {name: spec["display_name"] for name, spec in owner["kernels"].items()}
        assert names.keys() == {"own-mine", "own-my.copy", "delta-base", "delta-deep"}
        assert names["own-mine"] == "mine (own)"
        assert names["own-my.copy"] == "My.Copy (own)"

    def test_cells_run_in_it(self, owner: dict[str, Any]) -> None:
        assert owner["said"]["own-mine"] == ["42 /home/kate/envs/mine None\n"]
        where, told = owner["said"]["own-my.copy"]
        place = "/home/kate/.conda/envs/My.Copy"
        assert where.split() == [place, place]
        assert place in told
        assert "your own" in told

    def test_kernels_start_without_a_complaint(self, owner: dict[str, Any]) -> None:
        assert "without encryption" not in owner["log"]
        assert "startup files" not in owner["log"]

    @pytest.mark.parametrize("broken", ["dangling", "garbage", "list", "binary"])
    def test_broken_one_is_left_out_and_logged(self, owner: dict[str, Any], broken: str) -> None:
        assert f"environment /home/kate/envs/{broken} is not offered as a kernel" in owner["log"]

    def test_colleague_does_not_see_it(self, colleague: dict[str, Any]) -> None:
        assert colleague["kernels"].keys() == {"delta-base", "delta-deep"}


def test_outsider_sees_no_kernel_of_the_project(host: Host) -> None:
    assert serve(host, "mona")["kernels"] == {}


def test_terminal_says_which_environments_there_are(host: Host) -> None:
    said = as_user(host, "lars", "datalab-env")
    assert [line.split()[0] for line in said.splitlines() if line.startswith("delta-")] == [
        "delta-base",
        "delta-server",
    ]
    wrong = host.run("su - lars -c 'datalab-env nothing'")
    assert wrong.rc == 1
    assert "this host has: " in wrong.stderr


def test_nothing_calls_home(host: Host) -> None:
    settings = json.loads(host.file("/etc/jupyter/jupyter_server_config.json").content_string)
    assert settings["LabApp"]["check_for_updates_class"].endswith("NeverCheckForUpdate")
    assert settings["LabApp"]["news_url"] is None
    assert settings["LabApp"]["extension_manager"] == "readonly"
    assert settings["MappingKernelManager"]["cull_idle_timeout"] == 7200
