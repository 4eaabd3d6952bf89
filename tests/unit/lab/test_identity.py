from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import LabError
from lab.identity import PORTS, Lab
from lab.network import gateway, short

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True)


@given(NAMES, NAMES)
def test_labs_differ_by_name_and_by_checkout(first: str, second: str) -> None:
    here, there = Lab(first, Path("/a")), Lab(first, Path("/b"))
    assert here.id != there.id
    assert here.id == Lab(first, Path("/a")).id
    assert (Lab(second, Path("/a")).id == here.id) == (first == second)


@given(NAMES)
def test_the_public_network_is_loopback_and_never_127_0(name: str) -> None:
    network = ipaddress.ip_network(Lab(name).public_network)
    assert network.prefixlen == 24
    assert network.is_loopback
    assert 64 <= network.network_address.packed[1] <= 191


@given(NAMES, st.text(max_size=40))
def test_ports_stay_under_the_ephemeral_range(name: str, purpose: str) -> None:
    port = Lab(name).preferred_port(purpose)
    assert port in PORTS
    assert port == Lab(name).preferred_port(purpose)
    assert PORTS.stop <= 32768


@pytest.mark.parametrize("name", ["", "Demo", "a/b", "../x", "a b", "x" * 32, "1a"])
def test_a_name_that_cannot_be_a_folder_or_host_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="lower-case"):
        Lab(name)


@given(st.text(min_size=1), st.text(min_size=1))
def test_interface_names_fit_and_differ(first: str, second: str) -> None:
    assert len(short(first, "b").encode()) <= 15
    assert (short(first, "b") == short(second, "b")) == (first == second)


def test_the_gateway_is_the_first_address() -> None:
    assert gateway("10.20.16.0/24") == "10.20.16.1"
