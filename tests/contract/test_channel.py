"""The package channel: locks without addresses, conda-forge's names, and environments that really run from it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.atelier.datalab.plugins.module_utils import _conda_engine, _conda_sources
from ansible_collections.atelier.datalab.plugins.modules import conda_env
from packaging.requirements import Requirement

from lab.channel import build, cpython
from lab.channel.bytecode import Compiler
from lab.channel.names import Target, conda_name, conda_version, match_spec
from lab.channel.package import read_repodata, write_repodata
from lab.channel.wheel import convert
from tests.loopback import served

ROOT = Path(__file__).resolve().parents[2]
ENGINE = Path(importlib.util.find_spec("rattler").origin).parents[1]
SPECS = {
    "hub": ["python=3.12", "jupyterhub=6", "jupyterhub-systemdspawner", "jupyterhub-idle-culler", "nodejs>=20"],
    "jupyter": ["python=3.12", "jupyterlab=4", "jupyterhub-singleuser", "jupyter-resource-usage", "nbgitpuller"],
    "project": ["python=3.12", "numpy", "pandas", "ipykernel", "pip"],
}


class TestLocks:
    @pytest.mark.parametrize("lock", [build.LOCK, ROOT / "requirements/engine.txt"], ids=lambda p: p.name)
    def test_hashes_and_no_address(self, lock: Path) -> None:
        entries = re.split(r"\n(?=[a-zA-Z0-9])", lock.read_text().strip())
        assert entries
        assert not [e.split()[0] for e in entries if "--hash=sha256:" not in e or "==" not in e.split()[0]]
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links", lock.read_text())

    def test_proxy_lock_has_integrity_and_no_address(self) -> None:
        packages = json.loads((build.SOURCE / "proxy/package-lock.json").read_text())["packages"]
        packages.pop("")
        assert packages
        assert not [name for name, entry in packages.items() if "integrity" not in entry or "resolved" in entry]

    def test_the_role_ships_the_locked_engine(self) -> None:
        locked = re.search(r"^py-rattler==(\S+)", (ROOT / "requirements/engine.txt").read_text(), re.MULTILINE)[1]
        role = yaml.safe_load((ROOT / "roles/conda/vars/main.yml").read_text())
        develop = (ROOT / "requirements/develop.txt").read_text()
        assert role["__conda_engine_version"] == locked
        assert f"py-rattler=={locked}" in develop, "tests must run the engine that is shipped"


@pytest.mark.parametrize(
    ("requirement", "spec"),
    [
        ("NumPy>=2,<3", "numpy <3,>=2"),
        ("jupyter-client~=8.1", "jupyter_client >=8.1,8.*"),
        ("tzdata", "python-tzdata"),
        ("jupyterhub==6.*", "jupyterhub-base 6.*"),
        ("jinja2==3.1.6", "jinja2 ==3.1.6"),
        ("a!=1.5.*", "a !=1.5.*"),
    ],
)
def test_match_specs(requirement: str, spec: str) -> None:
    parsed = Requirement(requirement)
    assert match_spec(conda_name(parsed.name), parsed) == spec


def test_versions_without_what_conda_refuses() -> None:
    assert conda_version("1.0+cpu") == "1.0"
    assert conda_version("1.0-1") == "1.0_1"


def test_markers_and_extras_decide_what_is_needed() -> None:
    requirements = ["a; sys_platform == 'win32'", "b[x]>=1", "c; extra == 'more'", "d; python_version < '3.12'"]
    target = Target("3.12")
    assert target.depends(requirements) == ["b >=1", "b-with-x"]
    assert target.depends(requirements, "more") == ["c"]


@pytest.fixture(scope="module")
def interpreter() -> Path:
    return cpython.find_prefix(build.TARGET.python) / f"bin/python{build.TARGET.python}"


def make_wheel(folder: Path, tag: str, pure: bool) -> Path:
    path = folder / f"Some.Thing-1.0-{tag}.whl"
    files = {
        "some/__init__.py": "value = 1\n",
        "some/template.py": "this is {{ not }} Python\n",
        "Some.Thing-1.0.data/scripts/some-script": "#!python\nprint(1)\n",
        "Some.Thing-1.0.data/data/etc/some.conf": "x\n",
        "Some.Thing-1.0.dist-info/METADATA": "Name: Some.Thing\nVersion: 1.0\nRequires-Python: >=3.9\n"
        "Requires-Dist: other[fast]>=2\nProvides-Extra: all\nRequires-Dist: third; extra == 'all'\n",
        "Some.Thing-1.0.dist-info/WHEEL": f"Root-Is-Purelib: {str(pure).lower()}\nTag: {tag}\n",
        "Some.Thing-1.0.dist-info/RECORD": "",
        "Some.Thing-1.0.dist-info/entry_points.txt": "[console_scripts]\nsome = some:main\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_pure_wheel_becomes_noarch(tmp_path: Path, interpreter: Path) -> None:
    with Compiler(interpreter) as compiler:
        converted = convert(make_wheel(tmp_path, "py3-none-any", pure=True), build.TARGET, compiler)
    package, files = converted.package, {e.path: e for e in converted.package.entries}
    assert (package.name, package.subdir, package.noarch) == ("some-thing", "noarch", "python")
    assert package.depends == ["other >=2", "other-with-fast", "python >=3.9"]
    assert package.entry_points == ["some = some:main"]
    assert "site-packages/some/__pycache__/__init__.cpython-312.pyc" in files
    assert "site-packages/some/__pycache__/template.cpython-312.pyc" not in files, "templates do not compile"
    assert files["python-scripts/some-script"].relocated
    assert "etc/some.conf" in files
    assert not any(path.endswith("RECORD") for path in files)
    assert converted.wanted == {"other-with-fast"}
    assert converted.extras["some-thing-with-all"].depends == ["some-thing ==1.0", "third"]


def test_compiled_wheel_is_for_one_python(tmp_path: Path, interpreter: Path) -> None:
    with Compiler(interpreter) as compiler:
        converted = convert(
            make_wheel(tmp_path, "cp312-cp312-manylinux_2_28_x86_64", pure=False), build.TARGET, compiler
        )
    package, files = converted.package, {e.path: e for e in converted.package.entries}
    assert package.subdir == "linux-64"
    assert {"python 3.12.*", "python_abi 3.12.* *_cp312", "__glibc >=2.28"} <= set(package.depends)
    assert files["bin/some"].executable
    assert "lib/python3.12/site-packages/some/__init__.py" in files


def test_a_computer_without_that_python_is_told_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(cpython.ChannelError, match=r"pyenv install 3\.12"):
        cpython.find_prefix("3.12")


@pytest.fixture(scope="module")
def channel() -> Path:
    """The channel itself; built at the first run, then from the cache."""
    return build.build(lambda _: None)


@pytest.fixture(scope="module")
def address(channel: Path) -> Iterator[str]:
    with served(channel) as found:
        yield found


def test_repodata_tells_the_truth(channel: Path) -> None:
    for subdir in ("noarch", "linux-64"):
        packages = json.loads((channel / subdir / "repodata.json").read_text())["packages.conda"]
        assert packages.keys() == {p.name for p in (channel / subdir).glob("*.conda")}
        for name, record in packages.items():
            assert re.match(r"(cp312_)?(pypi|npm|local)_0|local_0_cp312|8_cp312", record["build"]), name
            assert hashlib.sha256((channel / subdir / name).read_bytes()).hexdigest() == record["sha256"]


def test_second_build_is_from_the_cache(channel: Path) -> None:
    said: list[str] = []
    assert build.build(said.append) == channel
    assert said == []


def ask(operation: str, address: str, cache: Path, environments: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    request = {
        "operation": operation, "engine": str(ENGINE), "cache": str(cache), "environments": environments,
        "virtual": conda_env.ARGUMENTS["virtual_packages"]["default"],
        **_conda_sources.prepare({"mirrors": {"conda-forge": [address]}}),
    }  # fmt: skip
    answers = _conda_engine.call(Path(_conda_engine.__file__).read_text(), request)
    assert not [a["error"] for a in answers.values() if "error" in a]
    return answers


def test_environments_solve_install_and_run(address: str, tmp_path: Path) -> None:
    new = {"channels": ["conda-forge"], "lock": "", "keep": "", "refresh": False}
    wanted = [{"name": n, "packages": p, **new} for n, p in SPECS.items()]
    solved = ask("solve", address, tmp_path / "cache", wanted)
    versions = {name: {p["name"]: p["version"] for p in answer["packages"]} for name, answer in solved.items()}
    assert versions["hub"]["jupyterhub-base"].startswith("6.")
    assert versions["hub"]["configurable-http-proxy"].startswith("5.3")
    assert int(versions["hub"]["nodejs"].split(".")[0]) >= 20
    assert "jupyterlab" not in versions["hub"]
    places = [
        {
            "name": n,
            "lock": a["lock"],
            "channels": ["conda-forge"],
            "staging": str(tmp_path / n),
            "prefix": str(tmp_path / n),
        }
        for n, a in solved.items()
    ]
    ask("install", address, tmp_path / "cache", places)
    hub = "import ssl, sqlite3, jupyterhub, systemdspawner, jupyterhub_idle_culler, pamela"
    for command in (
        ["hub/bin/python", "-I", "-c", hub],
        ["hub/bin/jupyterhub", "--version"],
        ["hub/bin/configurable-http-proxy", "--version"],
        ["jupyter/bin/jupyter-lab", "--version"],
        ["jupyter/bin/jupyterhub-singleuser", "--version"],
        ["project/bin/python", "-I", "-c", "import numpy, pandas, ipykernel"],
        ["project/bin/pip", "--version"],
    ):
        environment = {"PATH": f"{tmp_path}/{command[0].split('/')[0]}/bin", "HOME": str(tmp_path)}
        done = subprocess.run(
            [tmp_path / command[0], *command[1:]], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_a_channel_made_from_another_leaves_it_alone(tmp_path: Path) -> None:
    """Copies share files by hard links; the one with Spark is such a copy."""
    write_repodata(tmp_path / "one", [("noarch", "a-1-0.conda", {"name": "a"})])
    build.copy(tmp_path / "one", tmp_path / "other")
    records = read_repodata(tmp_path / "one")
    write_repodata(tmp_path / "other", [*records, ("noarch", "b-1-0.conda", {"name": "b"})])
    assert read_repodata(tmp_path / "one") == records
    assert len(read_repodata(tmp_path / "other")) == 2


def test_command_line(channel: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lab.channel", "path"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(channel)
