"""A hub whose certificate comes from an ACME authority: pebble, Let's Encrypt's own server for tests."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from testinfra.host import Host

from lab import landing_zone
from lab.company.acme import MANAGEMENT_PORT, PORT
from lab.company.base import ADDRESS
from tests.hosts import LAB, plain

testinfra_hosts = plain.hosts()[:1]
TLS, STATE, TOOL = "/etc/jupyterhub/tls", "/var/lib/jupyterhub-acme", "/opt/atelier/bin/hub-certificate"
ROOT = "/run/pebble.pem"


def look(host: Host) -> None:
    """What the timer does; a failure says why."""
    host.check_output(
        "systemctl start jupyterhub-acme.service || { journalctl -u jupyterhub-acme -n 60 --no-pager >&2; false; }"
    )


@pytest.fixture(scope="module", autouse=True)
def root(host: Host) -> Iterator[None]:
    """The authority's root, on the host."""
    host.check_output(
        f"curl -sf --cacert /etc/jupyterhub/acme-ca.pem -o {ROOT} https://{ADDRESS}:{MANAGEMENT_PORT}/roots/0"
    )
    yield
    host.check_output(f"rm {ROOT}")


@pytest.fixture
def aged(hub, host: Host, name: str) -> Iterator[Callable[[float, float], str]]:
    """Make the certificate in use older than it is (begin and end in days from now); afterwards it is a new one."""

    def age(begin: float, end: float) -> str:
        public = load_pem_public_key(host.check_output(f"openssl pkey -in {TLS}/key.pem -pubout").encode())
        old = landing_zone.server_certificate(LAB, name, [name], public, (begin, end))
        issued = host.check_output(f"echo {STATE}/*/live/hub")
        places = f"{TLS}/certificate.pem {issued}/cert.pem {issued}/fullchain.pem"
        host.check_output(f"printf %s {shlex.quote(old)} | tee {places} >/dev/null")
        return host.check_output(f"openssl x509 -in {TLS}/certificate.pem -noout -serial")

    yield age
    look(host)
    hub.wait()  # the proxy starts anew for it, and answers no challenge meanwhile


@pytest.fixture
def away(aged) -> Iterator[Callable[[float, float], str]]:
    """`aged`, while the authority cannot be reached from the host. It is back before the new one is asked for."""
    instance = next(iter(plain.instances().values()))
    rule = f"OUTPUT -d {ADDRESS} -p tcp --dport {PORT} -j REJECT --reject-with tcp-reset"
    command = ["ip", "netns", "exec", LAB.namespace(instance), "iptables"]
    subprocess.run([*command, "-I", *rule.split()], check=True)
    yield aged
    subprocess.run([*command, "-D", *rule.split()], check=True)


def certified(host: Host, name: str) -> bool:
    """Whether a client that trusts the authority's root alone accepts the hub."""
    where = f"--resolve {name}:443:127.0.0.1 https://{name}/hub/api/health"
    return host.run(f"curl -sf --cacert {ROOT} {where}").rc == 0


def test_the_certificate_in_use_is_the_authoritys(hub, host: Host, name: str) -> None:
    assert certified(host, name)
    assert host.run(f"curl -s --resolve {name}:443:127.0.0.1 https://{name}/").rc == 60, "the world does not know it"
    key = host.file(f"{TLS}/key.pem")
    assert (key.user, key.mode) == ("root", 0o600)
    assert host.file(STATE).mode == 0o700


def test_a_renewed_certificate_is_presented_and_kernels_go_on(hub, host: Host, name: str, serial, at_work) -> None:
    before = serial()
    host.check_output(f"{TOOL} --force-renewal")
    hub.wait()
    assert serial() != before
    assert certified(host, name)
    at_work()


def test_the_timer_looks_and_leaves_a_good_certificate_alone(hub, host: Host, serial) -> None:
    timer = host.service("jupyterhub-acme.timer")
    assert timer.is_running
    assert timer.is_enabled
    next_look = host.check_output("systemctl show --property NextElapseUSecRealtime --value jupyterhub-acme.timer")
    seconds = int(host.check_output(f"date -d '{next_look}' +%s")) - int(host.check_output("date +%s"))
    assert 0 < seconds <= 18 * 3600
    before = serial()
    look(host)
    assert serial() == before


def test_challenges_and_nothing_else_lead_to_the_client(hub, host: Host) -> None:
    """The client is not there, so the proxy says 503 for what would be its own; a page of the hub is the hub's."""
    asked = "curl -sk -o /dev/null -w '%{http_code}' https://localhost"
    assert host.check_output(f"{asked}/.well-known/acme-challenge/x") == "503"
    assert host.check_output(f"{asked}/.well-known/x") == "302"


def test_authority_away_while_the_certificate_is_good_is_a_warning(hub, name: str, serial, converge, away) -> None:
    """It should have been renewed long ago, as after weeks of failures; the hub goes on with it."""
    old = away(-80, 10)
    done = converge()
    assert (done["rc"], done["failed"]) == (0, [])
    [warning] = [text for text in done["warnings"] if "ACME" in text]
    assert "was not renewed, and the ACME authority" in warning
    assert f"gave none for {name}. The server goes on" in warning
    hub.wait()
    assert serial() == old


def test_authority_away_when_the_certificate_has_ended_is_an_error(hub, name: str, serial, converge, away) -> None:
    old = away(-90, -1)
    done = converge()
    [(task, failed)] = done["failed"]
    assert task == "Have the hub certified"
    assert "the certificate ended on" in failed["msg"]
    assert f"gave none for {name}" in failed["msg"]
    hub.wait()
    assert serial() == old


def test_a_due_certificate_is_renewed_by_the_timers_unit(hub, host: Host, name: str, serial, aged) -> None:
    old = aged(-80, 10)
    look(host)
    hub.wait()
    assert serial() != old
    assert certified(host, name)
