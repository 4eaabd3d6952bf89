"""What core IT and the account would already hold: approved images, parameters, the members' passwords, a CA.

Every secret is made here, for one lab, and goes away with it.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import secrets
import subprocess
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab import images, launcher, network, state
from lab.cloud import Cloud
from lab.errors import LabError
from lab.identity import Lab

CHANNELS = {"conda-forge": [f"http://{network.CHANNEL_ADDRESS}:8080/conda-forge/"]}
CA_DAYS = 365
PEM = serialization.Encoding.PEM


def image_list() -> list[dict[str, Any]]:
    """Return the AMIs to register: the host images under the names and dates core IT gave them."""
    result = []
    for key, host in images.recipes()["hosts"].items():
        tags = {"Name": images.image_name(key), "Os": host["base"], "LabImage": key}
        if host["approved"]:
            tags["CoreIT"] = "approved"
        result.append(
            {
                "image_id": images.ami_id(key),
                "owner": images.CORE_IT_ACCOUNT,
                "name": images.image_name(key),
                "creation_date": f"{host['date']}T06:00:00.000Z",
                "architecture": "x86_64",
                "root_gib": 8,
                "tags": tags,
            }
        )
    return result


def environments(inventories: Path) -> dict[str, list[str]]:
    """Return environment -> members' logins, for every environment folder.

    Faults in the data are validate.yml's to report: what cannot be read here gives no member.
    """
    result = {}
    for folder in sorted(inventories.glob("*/group_vars/all")):
        try:
            people = yaml.safe_load((folder / "projects.yml").read_text(encoding="utf-8"))["members"]
            logins = [person["login"] for person in people]
        except (OSError, yaml.YAMLError, KeyError, TypeError):
            logins = []
        result[folder.parts[-3]] = [login for login in logins if isinstance(login, str)]
    return result


def seed(lab: Lab, emulator: launcher.Emulator) -> None:
    """Register the images and write the parameters that are missing or differ. Doing it again changes nothing."""
    launcher.register_images(emulator, image_list())
    cloud = Cloud(emulator.endpoint)
    public_key = admin_key(lab)
    certificate, private_key = authority(lab)
    known = environments(lab.checkout / "inventories")
    passwords, new = member_passwords(lab, {login for logins in known.values() for login in logins})
    for environment, logins in known.items():
        root = f"/atelier/{environment}"
        there = _parameters(cloud, root)
        wanted = {
            f"{root}/access/admin_public_key": (public_key, "String"),
            f"{root}/conda/mirrors": (json.dumps(CHANNELS), "String"),
            f"{root}/tls/ca_certificate": (certificate, "String"),
            f"{root}/tls/ca_private_key": (private_key, "SecureString"),
        }
        for login in logins:
            name = f"{root}/password_hashes/{login}"
            if login in new or name not in there:  # a hash is salted: an old one is kept, not compared
                wanted[name] = (password_hash(passwords[login]), "SecureString")
        for name, (value, kind) in wanted.items():
            if there.get(name) != value:
                cloud.ssm.put_parameter(Name=name, Value=value, Type=kind, Overwrite=True)


def _parameters(cloud: Cloud, path: str) -> dict[str, str]:
    pages = cloud.ssm.get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True, WithDecryption=True)
    return {item["Name"]: item["Value"] for page in pages for item in page["Parameters"]}


def admin_key_file(lab: Lab) -> Path:
    """Return the private key of the hosts' admin user."""
    return lab.state / "admin_key"


def admin_key(lab: Lab) -> str:
    """Make the admin key pair of this lab once; return the public key."""
    file = admin_key_file(lab)
    if not file.exists():
        text = ed25519.Ed25519PrivateKey.generate().private_bytes(
            PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        state.write_text(file, text.decode())
    key = serialization.load_ssh_private_key(file.read_bytes(), None)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    line = f"{public.decode()} datalab-admin@lab-{lab.name}"
    state.write_text(file.with_suffix(".pub"), line + "\n", 0o644)
    return line


def ca_file(lab: Lab) -> Path:
    """Return the certificate of this lab's CA, for a browser to trust."""
    return lab.state / "ca.pem"


def authority(lab: Lab) -> tuple[str, str]:
    """Make the CA of this lab once; return its certificate and private key (PEM)."""
    certificate_file, key_file = ca_file(lab), lab.state / "ca_key.pem"
    if not (certificate_file.exists() and key_file.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        state.write_text(key_file, private.decode())
        state.write_text(certificate_file, certificate(key, lab).public_bytes(PEM).decode(), 0o644)
    return certificate_file.read_text(encoding="utf-8"), key_file.read_text(encoding="utf-8")


def certificate(key: ec.EllipticCurvePrivateKey, lab: Lab) -> x509.Certificate:
    """Return a CA certificate that may sign servers only (no CA under it)."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Atelier lab CA {lab.id}")])
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )


def server_certificate(
    lab: Lab, title: str, names: list[str], key: ec.EllipticCurvePublicKey, days: tuple[float, float] = (0, 90)
) -> str:
    """Return a server's certificate (PEM) signed by the lab's CA.

    `names` are host names and addresses, `title` the common name; `days` are its begin and end, from now on.
    """
    ca_pem, ca_key_pem = (text.encode() for text in authority(lab))
    ca = x509.load_pem_x509_certificate(ca_pem)
    ca_key = serialization.load_pem_private_key(ca_key_pem, None)
    now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)  # clocks differ
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)]))
        .issuer_name(ca.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())  # type: ignore[arg-type]
        .public_bytes(PEM)
        .decode()
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def passwords_file(lab: Lab) -> Path:
    """Return the file of the members' passwords: {login: password}, mode 0600."""
    return lab.state / "passwords.json"


def member_passwords(lab: Lab, logins: set[str]) -> tuple[dict[str, str], set[str]]:
    """Return the password of each login, and which logins got theirs just now."""
    passwords = state.read(passwords_file(lab), {})
    new = logins - set(passwords)
    if new:
        passwords |= {login: secrets.token_urlsafe(12) for login in sorted(new)}
        state.write(passwords_file(lab), passwords)
    return passwords, new


def password_hash(password: str) -> str:
    """Return the crypt(3) hash (sha512) of a password, as /etc/shadow holds it."""
    command = ["openssl", "passwd", "-6", "-stdin"]
    result = subprocess.run(command, input=password, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"openssl passwd failed: {result.stderr.strip()}")
    return result.stdout.strip()
