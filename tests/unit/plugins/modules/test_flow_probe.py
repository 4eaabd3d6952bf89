from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.modules import flow_probe

HERE = "127.0.0.1"


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    """One that listens, one where nothing does, one that says nothing (its queue is full)."""
    with socket.create_server((HERE, 0)) as listening, socket.create_server((HERE, 0), backlog=0) as full:
        with socket.create_server((HERE, 0)) as nothing:
            refused = nothing.getsockname()[1]
        with socket.create_connection(full.getsockname()):
            yield {"open": listening.getsockname()[1], "refused": refused, "silent": full.getsockname()[1]}


def run(capsys: pytest.CaptureFixture[str], *probes: dict[str, Any]) -> dict[str, Any]:
    with patch_module_args({"probes": list(probes), "timeout": 0.5}), pytest.raises(SystemExit):
        flow_probe.main()
    return json.loads(capsys.readouterr().out)


def probe(port: int, is_open: bool, flow: str = "") -> dict[str, Any]:
    return {"flow": flow, "target": "one", "address": HERE, "port": port, "open": is_open}


def test_as_the_matrix_says(ports: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    done = run(
        capsys, probe(ports["open"], True, "a"), probe(ports["refused"], True, "b"), probe(ports["silent"], False)
    )
    assert done["changed"] is False
    assert [one["found"] for one in done["probes"]] == [True, True, False]


def test_every_difference_is_named_with_what_to_do(ports: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    done = run(
        capsys, probe(ports["open"], False), probe(ports["silent"], True, "packages"), probe(ports["open"], True)
    )
    assert done["failed"] is True
    assert done["msg"].startswith("2 of 3 connections")
    assert f"one ({HERE} tcp/{ports['open']}) answers, though no flow permits it" in done["msg"]
    assert f"one ({HERE} tcp/{ports['silent']}) does not answer, though flow packages permits it" in done["msg"]
