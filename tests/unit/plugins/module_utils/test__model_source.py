"""A fault is placed on the line where it stands, or on the nearest thing around it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils._model_source import Source

PROJECTS = """---
# people
members:
  - login: alice
    ssh_keys:
      - one
      - two
projects:
  - {name: alpha,
     machines: [{role: workstation}, {role: workstation,
       number: 2}]}
"""


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "projects.yml").write_text(PROJECTS, encoding="utf-8")
    (tmp_path / "rules.yml").write_text("rules: {a: 1}\n", encoding="utf-8")
    (tmp_path / "zz.yml").write_text("# later files win\n\nrules:\n  a: 2\n", encoding="utf-8")
    (tmp_path / "broken.yml").write_text("{{", encoding="utf-8")
    return Source(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("members",), ("projects.yml", 3)),
        (("members", 0), ("projects.yml", 4)),
        (("members", 0, "ssh_keys"), ("projects.yml", 5)),
        (("members", 0, "ssh_keys", 1), ("projects.yml", 7)),
        (("members", 0, "email"), ("projects.yml", 4)),
        (("members", 7, "email"), ("projects.yml", 3)),
        (("projects", 0, "machines", 1, "number"), ("projects.yml", 11)),
        (("rules", "a"), ("zz.yml", 4)),
        (("platform", "owner"), ("platform.yml", 1)),
        (("nothing",), ("platform.yml", 1)),
        ((), ("platform.yml", 1)),
    ],
)
def test_places(source: Source, path: tuple[str | int, ...], place: tuple[str, int]) -> None:
    assert source.locate(path) == place
