"""The hub, visited by the people of this scenario; the role once more with other values; what is on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

from tests.hosts import visits
from tests.hosts.browser import browser
from tests.hosts.platform import ROOT, play

__all__ = ["browser"]
SCENARIO = ROOT / "molecule/serving"
INVENTORY = ROOT / "molecule/inventory/plain.aws_ec2.yml"
ROLE = "atelier.datalab.jupyterhub"
UNITS = ("jupyterhub", "jupyterhub-proxy")

hub = visits.hub("hana,igor,jana", "sigma-base")


@pytest.fixture(scope="module")
def name(host: Host) -> str:
    """The name of the hub, which its certificate bears."""
    return f"{host.check_output('hostname --short')}.molecule.example.com"


@pytest.fixture(scope="module")
def at_work(hub) -> Callable[[], None]:
    """A kernel of hana's that holds a variable; called, it judges that the variable is still there."""
    kernel = hub.visit("hana", "kept = 'still here'", fresh=True)["kernel"]

    def judge() -> None:
        assert hub.visit("hana", "print(kept)", kernel=kernel)["output"] == "still here"

    return judge


@pytest.fixture
def converge(host: Host, tmp_path) -> Callable[..., dict[str, Any]]:
    """Run role jupyterhub on this host again, with other values of what converge.yml names.

    Return the report, with `changed` and `failed` as (task, result), of the role.
    """

    def run(**values: Any) -> dict[str, Any]:
        given = tmp_path / "values.json"
        given.write_text(json.dumps(values), encoding="utf-8")
        limit = f"localhost,{host.check_output('hostname --short')}"
        words = ["-i", INVENTORY, "--tags", "jupyterhub", "--limit", limit, "-e", f"@{given}"]
        report = play(SCENARIO / "converge.yml", *words, check=False)
        for key in ("changed", "failed"):
            results = ((task.partition(" : "), result) for _, task, result in report[key])
            report[key] = [(task, result) for (role, _, task), result in results if role == ROLE]
        return report

    return run


@pytest.fixture
def unchanged(hub, host: Host) -> Callable[[], None]:
    """Judge that hub and proxy are the same processes as before, with the same files, and answer."""
    files = "find /etc/jupyterhub -type f -not -name '*.pyc' -printf '%p %T@ %s\\n' | sort"

    def look() -> tuple[str, str]:
        pids = host.check_output(f"systemctl show --property MainPID --value {' '.join(UNITS)}")
        return pids, host.check_output(files)

    before = look()

    def judge() -> None:
        assert look() == before
        hub.wait()

    return judge


@pytest.fixture(scope="module")
def serial(host: Host, name: str) -> Callable[[], str]:
    """Ask the proxy for its certificate; return the serial number."""
    ask = f"openssl s_client -connect 127.0.0.1:443 -servername {name} </dev/null 2>/dev/null"
    return lambda: host.check_output(f"{ask} | openssl x509 -noout -serial")
