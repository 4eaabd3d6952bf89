"""Certificates as OpenSSH reads them, signed by KMS (moto); who gets none."""

from __future__ import annotations

import base64
import datetime
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.module_utils import _ssh_certificates as certificates
from ansible_collections.atelier.datalab.plugins.modules import ssh_certificate
from cryptography.hazmat.primitives import serialization
from moto import mock_aws

REGION, ALIAS = "eu-west-1", "alias/preprod-ssh-authority"
NOW = datetime.datetime(2026, 11, 26, 9, 0, tzinfo=datetime.UTC)


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        client = boto3.client("kms")
        key = client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        client.create_alias(AliasName=ALIAS, TargetKeyId=key)
        yield client


def public_key(folder: Path, kind: str = "ed25519", name: str = "mine") -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", folder / name], check=True)
    return (folder / f"{name}.pub").read_text().strip()


def wanted(key: str) -> certificates.Wanted:
    return certificates.Wanted("alice", key, "preprod", 4, ["10.0.0.0/8", "10.20.0.10/32"], "user/dave")


def shown(folder: Path, line: str) -> list[str]:
    """What OpenSSH says that a certificate is."""
    file = folder / "shown-cert.pub"
    file.write_text(line + "\n")
    done = subprocess.run(
        ["ssh-keygen", "-L", "-f", file],
        env={"TZ": "UTC", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return [text.strip() for text in done.stdout.splitlines()]


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_openssh_reads_what_was_asked_for(kms: Any, tmp_path: Path, kind: str) -> None:
    line, end = certificates.sign(certificates.KmsKey(kms, ALIAS), wanted(public_key(tmp_path, kind)), NOW)
    said = shown(tmp_path, line)
    assert end == NOW + datetime.timedelta(hours=4)
    assert "Valid: from 2026-11-26T08:55:00 to 2026-11-26T13:00:00" in said
    assert 'Key ID: "alice@preprod until 2026-11-26T13:00Z by user/dave"' in said
    at = said.index("Principals:")
    assert said[at + 1 : at + 3] == ["alice", "Critical Options:"]
    assert "source-address 10.0.0.0/8,10.20.0.10/32" in said
    assert said[said.index("Extensions:") + 1 :] == ["permit-port-forwarding", "permit-pty"]


def test_the_signature_is_the_authoritys(kms: Any, tmp_path: Path) -> None:
    line, _ = certificates.sign(certificates.KmsKey(kms, ALIAS), wanted(public_key(tmp_path)), NOW)
    found: Any = serialization.load_ssh_public_identity(line.encode())
    found.verify_cert_signature()
    named = certificates.authority(kms, ALIAS)
    assert found.signature_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).decode() == " ".join(named.split()[:2])
    assert named.endswith(" preprod-ssh-authority")


def test_the_private_half_does_not_come_out(kms: Any) -> None:
    key = certificates.KmsKey(kms, ALIAS)
    for question in (key.private_bytes, key.private_numbers, key.exchange):
        with pytest.raises(certificates.CertificateError, match="does not leave KMS"):
            question()


def test_another_kind_of_authority_is_refused(kms: Any) -> None:
    key = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    with pytest.raises(certificates.CertificateError, match="elliptic curves"):
        certificates.KmsKey(kms, key)


def test_a_key_in_hardware_is_told_what_to_do(kms: Any, tmp_path: Path) -> None:
    """One that is whole: what ssh-keygen writes with a token in the slot."""
    kind, ordinary = b"sk-ssh-ed25519@openssh.com", base64.b64decode(public_key(tmp_path).split()[1])
    blob = b"".join(len(part).to_bytes(4) + part for part in (kind, ordinary[-32:], b"ssh:"))
    key = f"{kind.decode()} {base64.b64encode(blob).decode()} token"
    with pytest.raises(certificates.CertificateError, match=r"cannot be certified here.*login: keys"):
        certificates.sign(certificates.KmsKey(kms, ALIAS), wanted(key), NOW)


@pytest.mark.parametrize(
    ("keys", "asked", "told"),
    [
        ([], None, "alice has no key in the data; write one"),
        (["ssh-ed25519 A home", "ssh-ed25519 B work"], None, r"2 keys: home, work in the data; say which"),
        (["ssh-ed25519 A home"], "ssh-ed25519 B", r"not one of alice's in the data \(1 keys: home\)"),
    ],
)
def test_only_a_key_of_the_data_is_certified(keys: list[str], asked: str | None, told: str) -> None:
    with pytest.raises(certificates.CertificateError, match=told):
        certificates.chosen("alice", keys, asked)


def test_the_key_that_was_named_is_taken() -> None:
    keys = ["ssh-ed25519 A home", "ssh-ed25519 B work"]
    assert certificates.chosen("alice", keys, "ssh-ed25519 B another comment") == keys[1]
    assert certificates.chosen("alice", keys[:1], None) == keys[0]


# -- the module


def run(capsys: pytest.CaptureFixture[str], folder: Path, check: bool = False, **options: Any) -> dict[str, Any]:
    arguments = {
        "environment": "preprod",
        "key": ALIAS,
        "members": [{"login": "alice", "ssh_keys": [public_key(folder)]}],
        "member": "alice",
        "max_hours": 10,
        "sources": ["10.0.0.0/8"],
        "destination": str(folder / "out/alice/cert.pub"),
        "region": REGION,
        "_ansible_check_mode": check,
    }
    with patch_module_args(arguments | options), pytest.raises(SystemExit):
        ssh_certificate.main()
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("kms")
def test_the_file_is_written_whole(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = run(capsys, tmp_path)
    assert found["changed"]
    assert [path.name for path in (tmp_path / "out/alice").iterdir()] == ["cert.pub"]
    assert "alice" in shown(tmp_path, Path(found["file"]).read_text().strip())
    assert datetime.datetime.fromisoformat(found["until"]) > datetime.datetime.now(tz=datetime.UTC)


@pytest.mark.usefixtures("kms")
def test_check_mode_signs_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(capsys, tmp_path, check=True)["changed"]
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("kms")
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"member": "eve"}, "eve is in no project of preprod"),
        ({"hours": 11}, "hours is 11; write 1 to 10"),
        ({"hours": -1}, "hours is -1"),
        ({"key": "alias/other"}, "converge playbooks/provision.yml"),
        ({"public_key": "ssh-ed25519 AAAA"}, "goes into ssh_keys of projects.yml first"),
    ],
)
def test_what_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    found = run(capsys, tmp_path, **options)
    assert found["failed"]
    assert told in found["msg"]
    assert not (tmp_path / "out").exists()
