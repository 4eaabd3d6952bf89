from __future__ import annotations

import datetime
import json
import os
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.modules import host_certificate
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="the module gives the key to root")
NAMES = ["hub.example.com", "10.0.0.7"]


class Authority:
    """A private authority as the controller has one."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test CA")])
        self.certificate = self.build(self.name, self.key.public_key(), 3650).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.pem = self.text(self.certificate.sign(self.key, hashes.SHA256()))

    def build(self, subject: x509.Name, key, days: int) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        return builder.not_valid_after(now + datetime.timedelta(days=days))

    @staticmethod
    def text(certificate: x509.Certificate) -> str:
        return certificate.public_bytes(serialization.Encoding.PEM).decode()

    def sign(self, request: str, days: int = 365) -> str:
        wanted = x509.load_pem_x509_csr(request.encode())
        builder = self.build(wanted.subject, wanted.public_key(), days)
        for extension in wanted.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        return self.text(builder.sign(self.key, hashes.SHA256()))


def run(capsys, root: Path, check: bool = False, **arguments) -> dict:
    given = {"key": str(root / "key.pem"), "path": str(root / "cert.pem"), "names": NAMES, **arguments}
    with patch_module_args({**given, "_ansible_check_mode": check}), pytest.raises(SystemExit):
        host_certificate.main()
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def fit(capsys, tmp_path: Path, authority: Authority) -> Path:
    """A folder with a key and a fit certificate."""
    asked = run(capsys, tmp_path, ca_certificate=authority.pem)
    run(capsys, tmp_path, ca_certificate=authority.pem, certificate=authority.sign(asked["request"]))
    return tmp_path


def test_from_nothing_to_a_fit_certificate(capsys, tmp_path: Path, authority: Authority) -> None:
    told = run(capsys, tmp_path, check=True)
    assert (told["changed"], told["request"], list(tmp_path.iterdir())) == (True, "", [])
    asked = run(capsys, tmp_path, ca_certificate=authority.pem)
    assert asked["reason"] == "there is no certificate"
    assert (tmp_path / "key.pem").stat().st_mode & 0o7777 == 0o600
    assert "PRIVATE" not in json.dumps(asked)
    signed = authority.sign(asked["request"])
    assert run(capsys, tmp_path, ca_certificate=authority.pem, certificate=signed)["changed"]
    for check in (True, False):
        again = run(capsys, tmp_path, check=check, ca_certificate=authority.pem)
        assert (again["changed"], again["reason"]) == (False, "")


def test_renewed_near_its_end_with_the_same_key(capsys, fit: Path, authority: Authority) -> None:
    key = (fit / "key.pem").read_text()
    asked = run(capsys, fit, ca_certificate=authority.pem, renew_before=400)
    assert "ends in less than 400 days" in asked["reason"]
    run(capsys, fit, ca_certificate=authority.pem, renew_before=400, certificate=authority.sign(asked["request"], 800))
    assert run(capsys, fit, ca_certificate=authority.pem, renew_before=400)["reason"] == ""
    assert (fit / "key.pem").read_text() == key


def test_other_names_other_authority_other_key(capsys, fit: Path, authority: Authority) -> None:
    assert "bears other names" in run(capsys, fit, names=[*NAMES, "new.example.com"])["reason"]
    assert "not signed by this authority" in run(capsys, fit, ca_certificate=Authority().pem)["reason"]
    (fit / "key.pem").unlink()
    assert "another key" in run(capsys, fit, ca_certificate=authority.pem)["reason"]


def test_a_wrong_answer_of_the_authority_is_not_installed(capsys, fit: Path, authority: Authority) -> None:
    before = (fit / "cert.pem").read_text()
    asked = run(capsys, fit, names=["other.example.com"])
    refused = run(capsys, fit, certificate=authority.sign(asked["request"]))
    assert refused["failed"]
    assert "bears other names" in refused["msg"]
    assert (fit / "cert.pem").read_text() == before
