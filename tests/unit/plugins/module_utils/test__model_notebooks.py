"""What the notebook platform's data comes to: packages of a set, limits that are set, the hub's view of a project."""

from __future__ import annotations

import datetime
from pathlib import PurePath
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _model as model
from ansible_collections.atelier.datalab.plugins.module_utils import _model_output as output

from tests.unit.plugins.module_utils.test__model import changed

TODAY = datetime.date(2027, 1, 15)
SETS = ("corporate.conda_sets", {"base-ds": ["python=3.12", "numpy", "pandas>=2"]})


def project(*changes: tuple[str, Any]) -> dict[str, Any]:
    found = model.validate(changed(SETS, *changes), TODAY)
    assert isinstance(found, model.Model), str(found)
    return output.derive(found, TODAY, PurePath("/c"))["projects"][0]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ([], ["python=3.12", "numpy", "pandas>=2"]),
        (["polars"], ["python=3.12", "numpy", "pandas>=2", "polars"]),
        (["conda-forge::pandas<2", "python=3.13"], ["numpy", "conda-forge::pandas<2", "python=3.13"]),
    ],
    ids=["the set", "and more", "the environment's word counts"],
)
def test_an_environment_starts_from_a_set(own: list[str], expected: list[str]) -> None:
    one = {"name": "base", "base": "base-ds", "channels": ["conda-forge"], "packages": own}
    assert project(("projects.0.environments.0", one))["conda"][0]["packages"] == expected


def test_pip_imports_and_variables_reach_who_needs_them() -> None:
    one = {
        "name": "ml",
        "channels": ["conda-forge"],
        "packages": ["python=3.12"],
        "pip": ["polars>=1"],
        "imports": ["polars"],
        "variables": {"SPARK_REMOTE": "local[2]"},
    }
    found = project(("projects.0.environments.0", one))
    assert found["conda"] == [
        {
            "name": "alpha-ml",
            "channels": ["conda-forge"],
            "packages": ["python=3.12"],
            "pip": ["polars>=1"],
            "imports": ["polars"],
        }
    ]
    assert found["kernels"] == [
        {
            "name": "ml",
            "prefix": "/opt/atelier/conda/envs/alpha-ml/current",
            "variables": {"SPARK_REMOTE": "local[2]"},
        }
    ]


def test_the_hub_sees_only_the_limits_that_are_set() -> None:
    assert project()["hub"] == {
        "name": "alpha",
        "group": "proj-alpha",
        "admins": [],
        "directory_groups": [],
        "collaboration": True,
        "read_only": [],
        "limits": {},
    }
    limits = {"memory": "2G", "members": {"ada": {"cpu": 4}}, "total": {"memory": "8G"}, "home_gib": 20}
    changes = (("projects.0.limits", limits), ("projects.0.admins", ["ada"]), ("projects.0.collaboration", False))
    hub = project(*changes)["hub"]
    assert hub["limits"] == {
        "memory": "2G",
        "members": {"ada": {"cpu": 4}},
        "total": {"memory": "8G"},
        "home_gib": 20,
    }
    assert (hub["admins"], hub["collaboration"]) == (["ada"], False)
