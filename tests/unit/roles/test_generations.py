"""The notice to users of an older JupyterLab, as the hub's pages ask for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "roles/jupyterhub/files"))
import datalab_generations


@pytest.fixture
def asked() -> Any:
    """What JupyterHub calls for each page, with the user or with None."""
    c = SimpleNamespace(JupyterHub=SimpleNamespace(template_vars={}))
    datalab_generations.configure(c, {"user_environment": "/opt/atelier/conda/envs/jupyter/current"})
    return c.JupyterHub.template_vars["runs_older_jupyterlab"]


def test_pages_without_a_user_or_a_server_have_no_notice(asked: Any) -> None:
    assert asked(None)() is False
    assert asked(SimpleNamespace(spawner=SimpleNamespace(active=False, unit_name="x")))() is False


def test_a_program_of_another_generation_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This test's own process stands for the server; its interpreter's folder for the generation."""
    mine = Path("/proc/self/exe").readlink()
    answer = SimpleNamespace(stdout=f"{os.getpid()}\n")
    monkeypatch.setattr(datalab_generations.subprocess, "run", lambda *_, **__: answer)
    assert not datalab_generations.is_outdated("unit", str(mine.parent))
    assert datalab_generations.is_outdated("unit", str(mine.parent.parent / "lib"))
    answer.stdout = "0\n"
    assert not datalab_generations.is_outdated("unit", str(tmp_path))
