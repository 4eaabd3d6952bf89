"""Which running servers are behind the live generation of their environment."""

from __future__ import annotations

from ansible_collections.atelier.datalab.plugins.module_utils._servers import outdated

LIVE = "/opt/conda/envs/jupyter/2026-11-23-b"
OLD = "/opt/conda/envs/jupyter/2026-11-01-a"
PROGRAMS = {
    1: f"{OLD}/bin/python3.12",
    2: f"{LIVE}/bin/python3.12",
    3: "/usr/bin/bash",
    4: f"{LIVE}-again/bin/python3.12",
    5: "",
}


def units(**pids: int) -> dict[str, dict[str, str]]:
    return {f"jupyter-{name}.service": {"MainPID": str(pid)} for name, pid in pids.items()}


def test_only_servers_of_another_generation_are_behind() -> None:
    found = outdated(units(ann=1, bob=2, cy=3, gone=5, stopped=0), LIVE, PROGRAMS.__getitem__)
    assert found == [{"unit": "jupyter-ann.service", "generation": OLD}]


def test_a_generation_whose_name_begins_like_the_live_one_is_another() -> None:
    assert outdated(units(dan=4), LIVE, PROGRAMS.__getitem__)[0]["generation"] == f"{LIVE}-again"
