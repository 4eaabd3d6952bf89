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


def refusal(capsys, root: Path, key: str, chain: str, **arguments) -> str:
    """What is said against a given pair, in check mode as the role's preflight asks; nothing may be left behind."""
    told = run(capsys, root, check=True, private_key=key, certificate=chain, **arguments)
    assert told.get("failed"), told
    assert key.strip() not in json.dumps(told)
    assert list(root.iterdir()) == []
    return told["msg"]


class Bought:
    """A certificate as a company buys it: a root, an issuer under it, and the server's own."""

    def __init__(self, names: tuple[str, ...] = ("hub.example.com",), days: int = 365) -> None:
        self.root = Authority()
        issuer_key = ec.generate_private_key(ec.SECP256R1())
        self.issuer_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test issuer")])
        issuer = self.root.build(self.issuer_name, issuer_key.public_key(), 1000)
        issuer = issuer.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.issuer = self.root.text(issuer.sign(self.root.key, hashes.SHA256()))
        key = ec.generate_private_key(ec.SECP256R1())
        plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        self.key = key.private_bytes(serialization.Encoding.PEM, *plain).decode()
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
        own = x509.CertificateBuilder().subject_name(subject).issuer_name(self.issuer_name).public_key(key.public_key())
        own = own.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=2))
        own = own.not_valid_after(now + datetime.timedelta(days=days))
        own = own.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
        self.own = self.root.text(own.sign(issuer_key, hashes.SHA256()))
        self.chain = self.own + self.issuer


@pytest.fixture(scope="module")
def bought() -> Bought:
    return Bought()


@pytest.mark.parametrize("with_root", [False, True])
def test_a_given_chain_is_installed_once(capsys, tmp_path: Path, bought: Bought, with_root: bool) -> None:
    given = {"private_key": bought.key, "certificate": bought.chain}
    given["ca_certificate"] = bought.root.pem if with_root else ""
    told = [run(capsys, tmp_path, check=check, **given)["changed"] for check in (True, False, True, False)]
    assert told == [True, True, False, False]
    assert (tmp_path / "cert.pem").read_text() == bought.chain
    assert (tmp_path / "key.pem").read_text() == bought.key
    assert (tmp_path / "key.pem").stat().st_mode & 0o7777 == 0o600
    renewed = Bought()
    assert run(capsys, tmp_path, private_key=renewed.key, certificate=renewed.chain)["changed"]


def test_a_wildcard_is_for_its_names(capsys, tmp_path: Path) -> None:
    wild = Bought(("*.example.com",))
    assert run(capsys, tmp_path, private_key=wild.key, certificate=wild.chain)["changed"]


def test_every_fault_of_a_given_pair_is_named(capsys, tmp_path: Path, bought: Bought) -> None:
    other, ended = Bought(("elsewhere.example.org",)), Bought(days=-1)
    assert "private key is not the certificate's" in refusal(capsys, tmp_path, other.key, bought.chain)
    assert "ended on" in refusal(capsys, tmp_path, ended.key, ended.chain)
    wrong = refusal(capsys, tmp_path, bought.key, other.chain)
    assert "private key" in wrong
    assert "not for hub.example.com (it bears: elsewhere.example.org)" in wrong
    assert "not PEM" in refusal(capsys, tmp_path, bought.key, "nonsense")
    for chain in (bought.own + other.issuer, bought.own + other.issuer + bought.issuer + other.issuer):
        assert "chain does not lead" in refusal(capsys, tmp_path, bought.key, chain)
    assert "chain does not lead" in refusal(capsys, tmp_path, bought.key, bought.chain, ca_certificate=other.root.pem)


def test_a_given_certificate_near_its_end_is_a_warning(capsys, monkeypatch, tmp_path: Path) -> None:
    said: list[str] = []
    monkeypatch.setattr(host_certificate.AnsibleModule, "warn", lambda _self, text: said.append(text))
    for days, warned in ((40, 0), (10, 1)):
        near = Bought(days=days)
        run(capsys, tmp_path, private_key=near.key, certificate=near.chain)
        assert len(said) == warned
    assert "get the next one" in said[0]


def test_self_signed_only_where_nothing_is_usable(capsys, fit: Path, authority: Authority, tmp_path: Path) -> None:
    before = (fit / "cert.pem").read_text()
    assert run(capsys, fit, self_signed=True)["changed"] is False
    (fit / "cert.pem").write_text("broken")
    assert run(capsys, fit, self_signed=True, check=True)["changed"] is True
    assert (fit / "cert.pem").read_text() == "broken"
    assert run(capsys, fit, self_signed=True)["changed"] is True
    now = (fit / "cert.pem").read_text()
    assert now not in ("broken", before)
    assert run(capsys, fit, self_signed=True)["changed"] is False
    assert "not signed by this authority" in run(capsys, fit, ca_certificate=authority.pem)["reason"]
