from __future__ import annotations

from ansible_collections.atelier.datalab.plugins.module_utils._flows import Opening, structural
from ansible_collections.atelier.datalab.plugins.module_utils._flows_probes import probes

ENDS = {"b": "bastion", "a1": "project:alpha", "a2": "project:alpha", "z1": "project:zeta"}
ADDRESSES = {"b": "10.0.0.10", "a1": "10.0.1.1", "a2": "10.0.1.2", "z1": "10.0.2.1"}


def flow(name: str, source: str, destination: str, port: int, protocol: str = "tcp") -> Opening:
    return Opening(name, source, destination, protocol, port, "alice", "FLOW-1")


MATRIX = [
    *structural(["alpha", "zeta"], "dave"),
    flow("notebooks", "corporate", "project:alpha", 443),
    flow("packages", "project:alpha", "198.51.100.10/32", 8080),
    flow("lake", "project:zeta", "198.51.100.77/32", 5432),
]


def asked(
    host: str, matrix: list[Opening] = MATRIX, addresses: dict[str, str] = ADDRESSES
) -> dict[tuple[str, int], str]:
    """By address and port: the flow that permits it, or `closed`."""
    found = probes(matrix, ENDS, addresses, host)
    assert all(one["open"] == bool(one["flow"]) for one in found)
    return {(one["address"], one["port"]): one["flow"] or "closed" for one in found}


def test_the_bastion_may_ssh_to_the_machines_and_nothing_else() -> None:
    found = asked("b")
    assert {key for key, flow in found.items() if flow != "closed"} == {(ADDRESSES[n], 22) for n in ("a1", "a2", "z1")}
    assert found[ADDRESSES["a1"], 443] == "closed", "people of the corporate network may, the bastion may not"
    assert found["198.51.100.10", 8080] == "closed"


def test_a_machine_reaches_what_its_project_may_and_no_machine() -> None:
    found = asked("a1")
    assert found["198.51.100.10", 8080] == "packages"
    assert found["198.51.100.77", 5432] == "closed", "another project's"
    others = {key: flow for key, flow in found.items() if key[0].startswith("10.")}
    assert set(others) == {(ADDRESSES[n], port) for n in ("b", "a2", "z1") for port in (22, 443, 5432, 8080)}
    assert set(others.values()) == {"closed"}, "not even one of the same project"


def test_a_flow_between_projects_is_open_one_way() -> None:
    matrix = [*MATRIX, flow("share", "project:alpha", "project:zeta", 2049)]
    assert asked("a1", matrix)[ADDRESSES["z1"], 2049] == "share"
    assert asked("z1", matrix)[ADDRESSES["a1"], 2049] == "closed"


def test_who_does_not_run_is_not_asked() -> None:
    assert not [key for key in asked("a1", addresses={"a1": "10.0.1.1", "b": "10.0.0.10"}) if key[0] == "10.0.2.1"]


def test_what_a_host_cannot_prove_is_left_out() -> None:
    matrix = [
        flow("names", "project:alpha", "198.51.100.53/32", 53, "udp"),
        flow("wide", "project:alpha", "198.51.100.0/24", 5432),
        flow("lake", "project:zeta", "198.51.100.77/32", 5432),
    ]
    assert {key for key in asked("a1", matrix) if key[0].startswith("198.")} == set()
