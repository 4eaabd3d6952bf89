"""The artefact: builds, holds the product and nothing of ours, installs elsewhere, passes a syntax check."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(c) for c in command], cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build")
    done = run(BIN / "ansible-galaxy", "collection", "build", "--output-path", out, ROOT, cwd=out)
    assert done.returncode == 0, done.stderr
    return next(out.glob("atelier-datalab-*.tar.gz"))


def test_holds_the_product_only(artefact: Path) -> None:
    with tarfile.open(artefact) as tar:
        names = tar.getnames()
    tops = {name.split("/")[0] for name in names}
    assert {"playbooks", "plugins", "roles", "meta", "README.md", "LICENSE"} <= tops
    assert not tops & {
        "inventories",
        "lab",
        "tests",
        "molecule",
        "requirements",
        "collections",
        ".ci",
        ".lab",
        ".state",
    }
    assert "playbooks/site.yml" in names


def test_installs_elsewhere_and_parses(artefact: Path, tmp_path: Path) -> None:
    empty = tmp_path / "ansible.cfg"
    empty.write_text("")  # with the checkout's ansible.cfg its links would count as installed
    install = run(
        BIN / "ansible-galaxy", "collection", "install", artefact, "-p", tmp_path / "c", "--offline", "--no-deps",
        cwd=tmp_path, ANSIBLE_CONFIG=str(empty),
    )  # fmt: skip
    assert install.returncode == 0, install.stderr
    assert (tmp_path / "c/ansible_collections/atelier/datalab/playbooks/site.yml").is_file()
    syntax = run(
        BIN / "ansible-playbook", "atelier.datalab.site", "--syntax-check", "-i", "localhost,",
        cwd=tmp_path, ANSIBLE_CONFIG=str(empty), ANSIBLE_COLLECTIONS_PATH=str(tmp_path / "c"),
    )  # fmt: skip
    assert syntax.returncode == 0, syntax.stdout + syntax.stderr


def test_short_role_names_fail(tmp_path: Path) -> None:
    """FQCN must not erode: there is no roles_path."""
    play = tmp_path / "play.yml"
    play.write_text("- hosts: localhost\n  roles: [access]\n")
    done = run(BIN / "ansible-playbook", "--syntax-check", "-i", "localhost,", play, cwd=ROOT)
    assert done.returncode != 0
    assert "was not found" in done.stdout + done.stderr
