from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _conda_build as built
from ansible_collections.atelier.datalab.plugins.module_utils import _conda_store as store
from ansible_collections.atelier.datalab.plugins.module_utils._conda import CondaError, Spec

SPEC = Spec("lab", ("tool",))
SERIES = "{}.{}".format(*sys.version_info)
TAG = sys.implementation.cache_tag


def install(prefix: Path, files: dict[str, str]) -> Path:
    """Write files and the record that names them, as the engine does."""
    paths = []
    for name, text in files.items():
        path = prefix / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        paths.append({"_path": name, "sha256": hashlib.sha256(text.encode()).hexdigest()})
    (prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
    (prefix / "conda-meta/tool-1.0-0.json").write_text(json.dumps({"paths_data": {"paths": paths}}))
    return prefix


def build(environment: store.Environment, name: str, files: dict[str, str]) -> store.Generation:
    environment.generations.mkdir(parents=True, exist_ok=True)
    built.seal(install(environment.staging(name), files), "lab", SPEC.document(), "lock", [])
    return environment.publish(name)


@pytest.fixture
def environment(tmp_path: Path) -> store.Environment:
    return store.Environment(tmp_path, "lab")


def test_bytecode_is_written_for_what_came_without_and_stays_valid(tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    site = f"lib/python{SERIES}/site-packages"
    files = {
        f"lib/python{SERIES}/os.py": "",
        f"{site}/module.py": "value = 42\n",
        f"{site}/template.py": "a template {{ of }} something\n",
        f"{site}/shipped.py": "value = 1\n",
        f"{site}/__pycache__/shipped.{TAG}.pyc": "as it came",
    }
    install(prefix, files)
    (prefix / "bin").mkdir()
    (prefix / "bin/python").symlink_to(sys.executable)
    built.seal(prefix, "lab", SPEC.document(), "lock", [])
    cache = prefix / site / "__pycache__"
    assert {p.name for p in cache.iterdir()} == {f"module.{TAG}.pyc", f"shipped.{TAG}.pyc"}
    assert (cache / f"shipped.{TAG}.pyc").read_text() == "as it came"
    source = prefix / site / "module.py"
    os.utime(source, (1, 1))  # copied or restored: other times, same content
    loaded = subprocess.run(
        [sys.executable, "-v", "-c", "import module"], env={"PYTHONPATH": str(source.parent)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"matches {source}" in loaded.stderr
    assert importlib.util.cache_from_source(str(source)) == str(cache / f"module.{TAG}.pyc")


@pytest.mark.parametrize("how", ["missing", "altered"])
def test_what_is_not_as_its_package_says_is_refused(tmp_path: Path, how: str) -> None:
    prefix = install(tmp_path / "prefix", {"share/a.txt": "a", "share/b.txt": "b"})
    if how == "missing":
        (prefix / "share/b.txt").unlink()
    else:
        (prefix / "share/b.txt").write_text("c")
    with pytest.raises(CondaError, match=r"environment lab: share/b\.txt"):
        built.seal(prefix, "lab", SPEC.document(), "lock", [])


def test_damage_is_found(environment: store.Environment) -> None:
    generation = build(environment, "one", {"share/a.txt": "a", "share/b.txt": "b"})
    assert generation.damage() == ""
    (generation.path / "share/b.txt").write_text("longer")
    assert built.altered(generation.path) == {"share/b.txt"}
    (generation.path / "share/b.txt").unlink()
    assert generation.damage() == "share/b.txt"
    (generation.path / ".datalab/manifest.json").write_text("{")
    assert generation.damage() == ".datalab/manifest.json"


def test_publish_replaces_a_damaged_generation_under_its_link(environment: store.Environment) -> None:
    first = build(environment, "one", {"share/a.txt": "a"})
    environment.switch(first)
    (first.path / "share/a.txt").unlink()
    build(environment, "one", {"share/a.txt": "a"})
    assert (environment.current / "share/a.txt").read_text() == "a"
    assert [p.name for p in environment.generations.iterdir()] == ["one"]


def test_pruning_spares_live_archived_and_the_newest(environment: store.Environment) -> None:
    for age, name in enumerate(["old", "older", "live", "oldest"]):
        generation = build(environment, name, {"share/a.txt": name})
        os.utime(generation.path, (1_000_000 - age, 1_000_000 - age))
    environment.switch(environment.find("live"))
    assert sorted(environment.prune(2)) == ["older", "oldest"]
    assert {p.name for p in environment.generations.iterdir()} == {"live", "old"}
    environment.archive()
    assert environment.prune(1) == ["old"]
    assert environment.put_away().name == "live"


def test_a_process_that_stands_in_it_uses_it(tmp_path: Path) -> None:
    folder = tmp_path / "prefix"
    folder.mkdir()
    assert not store.in_use(folder)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], cwd=folder)
    try:
        assert store.in_use(folder)
        assert not store.in_use(tmp_path / "pre"), "a name that only begins alike is another folder"
    finally:
        process.kill()
        process.wait()


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with store.locked(tmp_path), pytest.raises(CondaError, match="another run"), store.locked(tmp_path):
        pass
    with store.locked(tmp_path):
        pass


def test_a_channel_without_hashes_is_refused() -> None:
    with pytest.raises(CondaError, match="no sha256 of a"):
        store.generation_of([{"name": "a", "url": "u", "sha256": ""}], "", "lab")
