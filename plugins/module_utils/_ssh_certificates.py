"""Short-lived SSH certificates of members, signed by a key that stays in KMS.

For internal use of this collection. The form is OpenSSH's PROTOCOL.certkeys; cryptography writes it.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Sequence
from typing import Any

try:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
except ImportError as error:  # Ansible imports modules to document them
    MISSING: ImportError | None = error
    KeyBase: Any = object
else:
    MISSING, KeyBase = None, ec.EllipticCurvePrivateKey

ALGORITHM = "ECDSA_SHA_256"
_SKEW = datetime.timedelta(minutes=5)  # clocks differ
_KEY_ID_MAX = 200


class CertificateError(Exception):
    """No certificate can be made; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A certificate for one member.

    Attributes:
        login: the only account that it opens.
        public_key: the member's own, one line of OpenSSH's form.
        environment: for the key id, which sshd writes to its log.
        hours: how long it is valid.
        sources: networks from which it opens anything.
        by: who had it made.
    """

    login: str
    public_key: str
    environment: str
    hours: int
    sources: Sequence[str]
    by: str


class KmsKey(KeyBase):  # type: ignore[misc,valid-type]
    """A P-256 key of KMS, as cryptography wants a private key: it can sign, and show its public half."""

    def __init__(self, kms: Any, name: str) -> None:
        if MISSING:
            raise CertificateError(f"{MISSING}. Install the controller's requirements: make setup")
        found = kms.get_public_key(KeyId=name)
        public = serialization.load_der_public_key(found["PublicKey"])
        if not isinstance(public, ec.EllipticCurvePublicKey) or found["KeyUsage"] != "SIGN_VERIFY":
            raise CertificateError(
                f"{name} is no key that signs with elliptic curves; the stack of role access makes one"
            )
        self._kms, self._name, self._public = kms, name, public

    def sign(self, data: bytes, signature_algorithm: Any) -> bytes:
        """DER of the signature. KMS takes 4096 bytes, a certificate for RSA of 8192 bits has 1500."""
        del signature_algorithm  # the one of the curve
        answer = self._kms.sign(KeyId=self._name, Message=data, MessageType="RAW", SigningAlgorithm=ALGORITHM)
        return bytes(answer["Signature"])

    def public_key(self) -> Any:
        """Public half."""
        return self._public

    @property
    def curve(self) -> Any:
        """P-256."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """Bits."""
        return int(self._public.key_size)

    def _stays(self, *_: Any) -> Any:
        raise CertificateError("the private half does not leave KMS")

    exchange = private_numbers = private_bytes = __copy__ = __deepcopy__ = _stays


def authority(kms: Any, name: str) -> str:
    """Public half of a key of KMS, as a line of OpenSSH's form."""
    public = KmsKey(kms, name).public_key()
    line = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{line.decode()} {name.removeprefix('alias/')}"


def sign(key: KmsKey, wanted: Wanted, now: datetime.datetime) -> tuple[str, datetime.datetime]:
    """The certificate, a line for a file `...-cert.pub`, and when it ends.

    It permits a terminal and forwarding, which the bastion narrows; no agent, no X11, no file of commands.

    Raises:
        CertificateError: the member's key is of a kind that cannot be certified here.
    """
    kind = wanted.public_key.split()[0]
    # cryptography reads a key in hardware as if it were one without, and would write a certificate for nobody.
    if not kind.startswith(("ssh-ed25519", "ecdsa-sha2-", "ssh-rsa")):
        raise CertificateError(
            f"A key of type {kind} cannot be certified here; take ssh-ed25519, ecdsa-sha2-* or ssh-rsa, or set "
            "platform.access.login: keys"
        )
    public = serialization.load_ssh_public_key(wanted.public_key.encode())
    builder = serialization.SSHCertificateBuilder().public_key(public)  # type: ignore[arg-type]
    end = now + datetime.timedelta(hours=wanted.hours)
    serial = int(now.timestamp() * 1000)
    who = f"{wanted.login}@{wanted.environment} until {end:%Y-%m-%dT%H:%MZ} by {wanted.by}"
    builder = (
        builder.serial(serial)
        .type(serialization.SSHCertificateType.USER)
        .key_id(who.encode()[:_KEY_ID_MAX])
        .valid_principals([wanted.login.encode()])
        .valid_after((now - _SKEW).timestamp())
        .valid_before(end.timestamp())
        .add_critical_option(b"source-address", ",".join(wanted.sources).encode())
        .add_extension(b"permit-port-forwarding", b"")
        .add_extension(b"permit-pty", b"")
    )
    line = builder.sign(key).public_bytes().decode()
    return f"{line} {wanted.login}@{wanted.environment}", end


def chosen(login: str, keys: Iterable[str], wanted: str | None) -> str:
    """The key of a member to certify: the one named, which must be in the data, or the only one there is.

    Raises:
        CertificateError: none, several, or one that the data does not have.
    """
    known = list(keys)
    if wanted is not None:
        found = [key for key in known if key.split()[:2] == wanted.split()[:2]]
        if not found:
            raise CertificateError(
                f"That key is not one of {login}'s in the data ({_told(known)}); a new one goes into ssh_keys of "
                "projects.yml first, through review"
            )
        return found[0]
    if len(known) != 1:
        raise CertificateError(
            f"{login} has {_told(known)} in the data; "
            + ("say which one with public_key" if known else "write one into ssh_keys of projects.yml")
        )
    return known[0]


def _told(keys: Sequence[str]) -> str:
    names = [key.split()[2] if len(key.split()) > 2 else key.split()[0] for key in keys]
    return f"{len(keys)} keys: {', '.join(names)}" if keys else "no key"
