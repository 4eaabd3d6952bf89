"""A hub with a certificate that somebody bought."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from testinfra.host import Host

from lab import landing_zone
from tests.hosts import LAB, plain

testinfra_hosts = plain.hosts()[1:2]


def pair(names: list[str], days: tuple[float, float] = (0, 90)) -> tuple[str, str]:
    """A certificate of the company's authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(encoding, form, serialization.NoEncryption()).decode()
    return landing_zone.server_certificate(LAB, names[0], names, key.public_key(), days), private


def test_the_given_certificate_is_presented(hub, host: Host, name: str, serial) -> None:
    bought = (LAB.state / "bought.pem").read_text()
    assert host.file("/etc/jupyterhub/tls/certificate.pem").content_string.strip() == bought.strip()
    assert serial() == host.check_output(f"echo '{bought}' | openssl x509 -noout -serial")
    key = host.file("/etc/jupyterhub/tls/key.pem")
    assert (key.user, key.mode) == ("root", 0o600)


def test_a_pair_that_does_not_fit_is_refused_in_one_message(name: str, converge, unchanged) -> None:
    """With every fault at once; each alone is a unit test of the module."""
    certificate, _ = pair(["other.example.com"], (-90, -1))
    _, key = pair([name])
    done = converge(given_certificate=certificate, given_key=key)
    [(task, failed)] = done["failed"]
    assert task == "Refuse a given certificate that does not fit"
    for fault in (
        "the private key is not the certificate's",
        f"the certificate is not for {name} (it bears: other.example.com)",
        "the certificate ended on",
        "nothing was changed",
    ):
        assert fault in failed["msg"]
    assert done["changed"] == []
    assert key.splitlines()[1] not in str(done)
    unchanged()
