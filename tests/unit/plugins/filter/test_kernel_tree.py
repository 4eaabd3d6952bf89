from __future__ import annotations

import json
from string import Template

from ansible_collections.atelier.datalab.plugins.filter.kernel_tree import kernel_tree

VARIABLES = {"SPARK_REMOTE": "local[2]", "PRICE": "5 $"}
PROJECTS = [
    {
        "name": "alpha",
        "group": "proj-alpha",
        "environments": [{"name": "base", "prefix": "/e/a", "variables": VARIABLES}],
    },
    {"name": "beta", "group": "proj-beta", "environments": []},
]


def test_each_environment_is_a_kernel_of_its_group() -> None:
    tree = kernel_tree(PROJECTS, "/k")
    (file,) = tree["files"]
    assert (file["path"], file["group"], file["mode"]) == (
        "/k/projects/alpha/kernels/alpha-base/kernel.json",
        "proj-alpha",
        "0640",
    )
    spec = json.loads(file["content"])
    assert spec["display_name"] == "alpha · base"
    assert spec["argv"][:3] == ["/k/bin/in-environment", "/e/a", "python"]
    assert spec["metadata"]["debugger"] is True
    assert spec["metadata"]["atelier"] == {"project": "alpha", "environment": "base", "prefix": "/e/a"}


def test_variables_reach_the_kernel_as_they_are_written() -> None:
    (file,) = kernel_tree(PROJECTS, "/k")["files"]
    written = json.loads(file["content"])["env"]
    seen = {key: Template(value).safe_substitute({}) for key, value in written.items()}  # what Jupyter does
    assert seen == {**VARIABLES, "DATALAB_KERNEL": "alpha-base"}


def test_what_is_left_over_is_cleared_and_nothing_is_open_to_others() -> None:
    directories = {entry["path"]: entry for entry in kernel_tree(PROJECTS, "/k")["directories"]}
    assert directories["/k/projects"]["exclusive"]
    assert directories["/k/projects/beta/kernels"]["exclusive"]
    projects = [entry for path, entry in directories.items() if path.startswith("/k/projects/")]
    assert {entry["mode"] for entry in projects} == {"0750"}
