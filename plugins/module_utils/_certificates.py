"""Key and certificate of a TLS server on a host, judged with openssl.

Ansible-free but for the module object that is handed in.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._hosts import HostError, make_directory, run, settle

BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
SELF_SIGNED_DAYS = "90"
DATE = "%b %d %H:%M:%S %Y GMT"


def alternative_name(name: str) -> str:
    """One subjectAltName entry as openssl writes it on a command line.

    >>> alternative_name("hub.example.com"), alternative_name("10.0.0.1")
    ('DNS:hub.example.com', 'IP:10.0.0.1')
    """
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def public_names(names: list[str]) -> list[str]:
    """The names that an authority outside the company can certify: no addresses, no name without a dot.

    >>> public_names(["hub.example.com", "localhost", "10.0.0.1"])
    ['hub.example.com']
    """
    return [name for name in names if alternative_name(name).startswith("DNS:") and "." in name]


def printed_names(text: str) -> set[str]:
    """Entries that ``openssl x509 -ext subjectAltName`` printed, in the form of alternative_name()."""
    entries = set()
    for line in text.splitlines():
        for part in line.split(","):
            kind, _, value = part.strip().partition(":")
            if kind == "DNS":
                entries.add(f"DNS:{value}")
            elif kind == "IP Address":
                entries.add(f"IP:{ipaddress.ip_address(value)}")
    return entries


def blocks(pem: str) -> list[str]:
    """The certificates of a chain, the server's own first."""
    return BLOCK.findall(pem)


class Openssl:
    """The questions that are put to openssl on the host."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def run(self, *arguments: str, ok: tuple[int, ...] = (0,)) -> tuple[int, str]:
        """Run openssl; return its code and standard output."""
        return run(self.module, ["openssl", *arguments], ok=ok)

    def scratch(self, name: str, text: str) -> Path:
        """A file that only root can read and that ends with the module."""
        path = Path(self.module.tmpdir, name)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def readable(self, certificate: Path) -> bool:
        """Whether this is a certificate."""
        return self.run("x509", "-in", str(certificate), "-noout", ok=(0, 1))[0] == 0

    def belongs(self, certificate: Path, key: Path) -> bool:
        """Whether the certificate is this key's."""
        own = self.run("x509", "-in", str(certificate), "-noout", "-pubkey")[1]
        code, public = self.run("pkey", "-in", str(key), "-passin", "pass:", "-pubout", ok=(0, 1))
        return code == 0 and own == public

    def ends_within(self, certificate: Path, days: int) -> bool:
        """Whether the certificate ends in less than so many days; 0 asks whether it has ended."""
        return self.run("x509", "-in", str(certificate), "-noout", "-checkend", str(days * 86400), ok=(0, 1))[0] == 1

    def end(self, certificate: Path) -> str:
        """When the certificate ends, as openssl prints it."""
        return self.run("x509", "-in", str(certificate), "-noout", "-enddate")[1].strip().removeprefix("notAfter=")

    def left(self, certificate: Path, now: datetime.datetime) -> float:
        """The part of the certificate's life that is left, 1 for a new one, 0 or less when it has ended."""
        out = self.run("x509", "-in", str(certificate), "-noout", "-startdate", "-enddate")[1]
        start, end = (
            datetime.datetime.strptime(line.partition("=")[2], DATE).replace(tzinfo=datetime.UTC)
            for line in out.splitlines()
        )
        return (end - now) / (end - start)

    def names(self, certificate: Path) -> set[str]:
        """The names in the certificate, in the form of alternative_name()."""
        return printed_names(
            self.run("x509", "-in", str(certificate), "-noout", "-ext", "subjectAltName", ok=(0, 1))[1]
        )

    def covers(self, certificate: Path, name: str) -> bool:
        """Whether a browser would accept the certificate for a host name; a wildcard counts."""
        return "does match" in self.run("x509", "-in", str(certificate), "-noout", "-checkhost", name, ok=(0, 1))[1]

    def signed_by(self, certificate: Path, authority: str, between: str = "") -> bool:
        """Whether the certificate leads to an authority (PEM) over the certificates between (PEM)."""
        trusted = str(self.scratch("authority.pem", authority))
        extra = ["-untrusted", str(self.scratch("between.pem", between))] if between else []
        arguments = ["verify", "-partial_chain", "-CAfile", trusted, *extra, str(certificate)]
        return self.run(*arguments, ok=(0, 1, 2))[0] == 0


class Pair:
    """Key and certificate at their places on one host."""

    def __init__(self, module: Any, key: str, path: str, names: list[str], renew_before: int) -> None:
        self.module, self.openssl = module, Openssl(module)
        self.key, self.path, self.names, self.renew_before = Path(key), Path(path), names, renew_before

    def directory(self) -> list[str]:
        """The directory of the key; return what changed, in words."""
        folder = self.key.parent
        return [] if folder.exists() else make_directory(folder, 0, 0, 0o755, self.module.check_mode)

    def modes(self) -> list[str]:
        """Owner and mode of both files; return what changed, in words."""
        said = []
        for path, mode in ((self.key, 0o600), (self.path, 0o644)):
            said += [f"{path}: {change}" for change in settle(path, 0, 0, mode, self.module.check_mode)]
        return said

    def make_key(self) -> list[str]:
        """The key, if there is none; a key is never replaced."""
        said = self.directory()
        if self.key.exists():
            return said
        if not self.module.check_mode:
            scratch = self.key.with_name(f".{self.key.name}.new")
            curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
            self.openssl.run("genpkey", *curve, "-out", str(scratch))
            scratch.chmod(0o600)
            scratch.replace(self.key)
        return [*said, f"{self.key}: generated"]

    def unusable(self, certificate: Path) -> str:
        """Why a server could not even start with a certificate; "" when it could."""
        if not certificate.exists():
            return "there is no certificate"
        if not self.openssl.readable(certificate):
            return "the certificate cannot be read"
        if not self.key.exists() or not self.openssl.belongs(certificate, self.key):
            return "the certificate belongs to another key"
        return ""

    def fault(self, certificate: Path, authority: str) -> str:
        """Why a certificate of our own authority (PEM) is not fit; "" when it is."""
        if reason := self.unusable(certificate):
            return reason
        if self.openssl.ends_within(certificate, self.renew_before):
            return f"the certificate ends in less than {self.renew_before} days"
        if self.openssl.names(certificate) != {alternative_name(n) for n in self.names}:
            return f"the certificate bears other names than {', '.join(self.names)}"
        if authority and not self.openssl.signed_by(certificate, authority):
            return "the certificate was not signed by this authority"
        return ""

    def request(self, *more: str) -> str:
        """A signing request for the wanted names; with ``-x509``, a certificate signed by the key itself."""
        if not self.key.exists():
            return ""
        common = next((n for n in self.names if len(n) <= 64), "jupyterhub")
        extension = "subjectAltName=" + ",".join(alternative_name(n) for n in self.names)
        asked = ("-key", str(self.key), "-subj", f"/CN={common}", "-addext", extension)
        return self.openssl.run("req", "-new", *more, *asked)[1]

    def write(self, path: Path, text: str, mode: int) -> None:
        """Put a file in place at once, never readable by others before its mode is right."""
        scratch = path.with_name(f".{path.name}.new")
        scratch.unlink(missing_ok=True)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
        scratch.chmod(mode)
        scratch.replace(path)

    def install(self, certificate: str, authority: str) -> list[str]:
        """Install a certificate signed from our request once it proves fit; return the changes in words."""
        fault = self.fault(self.openssl.scratch("signed.pem", certificate.strip() + "\n"), authority)
        if fault:
            raise HostError(f"the signed certificate was refused: {fault}")
        self.write(self.path, certificate.strip() + "\n", 0o644)
        return [f"{self.path}: installed"]

    def sign_self(self) -> list[str]:
        """A certificate signed by its own key, unless a server could start with what is there; the changes in words."""
        said = self.make_key()
        reason = self.unusable(self.path)
        if not reason:
            return said + self.modes()
        if not self.module.check_mode:
            self.write(self.path, self.request("-x509", "-days", SELF_SIGNED_DAYS), 0o644)
        return [*said, f"{self.path}: signed by its own key, {reason}"]


class Given:
    """A certificate that somebody else got, with its key: judged as a whole before it replaces anything."""

    def __init__(self, pair: Pair, key: str, chain: str, authority: str) -> None:
        self.pair, self.openssl, self.authority = pair, pair.openssl, authority
        self.key, self.chain = key.strip() + "\n", chain.strip() + "\n"

    def faults(self) -> list[str]:
        """Everything that speaks against it, each with its remedy."""
        found = blocks(self.chain)
        certificate = self.openssl.scratch("given.pem", found[0] if found else self.chain)
        if not found or not self.openssl.readable(certificate):
            return ["the certificate is not PEM (it begins with -----BEGIN CERTIFICATE-----)"]
        said = []
        if not self.openssl.belongs(certificate, self.openssl.scratch("given.key", self.key)):
            said.append("the private key is not the certificate's, or it has a passphrase: give the key, unencrypted")
        if self.openssl.ends_within(certificate, 0):
            said.append(f"the certificate ended on {self.openssl.end(certificate)}: give the renewed one")
        missing = [n for n in public_names(self.pair.names) if not self.openssl.covers(certificate, n)]
        if missing:
            bears = ", ".join(sorted(n.partition(":")[2] for n in self.openssl.names(certificate))) or "none"
            said.append(f"the certificate is not for {', '.join(missing)} (it bears: {bears}): ask for these names")
        return said + self.chain_faults(certificate, found)

    def chain_faults(self, certificate: Path, found: list[str]) -> list[str]:
        """Whether each certificate was signed by the next one, and the last by the authority where one is known."""
        if self.openssl.ends_within(certificate, 0):
            return []  # said already, and nothing that has ended verifies
        anchor, between = (self.authority, found[1:]) if self.authority else (found[-1], found[1:-1])
        if self.openssl.signed_by(certificate, anchor, "".join(between)):
            return []
        end = "the authority given beside it" if self.authority else "its last certificate"
        order = "give the server's certificate first, then its issuers in order"
        return [f"the chain does not lead from the certificate to {end}: {order}"]

    def install(self) -> tuple[list[str], list[str]]:
        """Put it in place where it differs; return the changes and the warnings, in words.

        :raises HostError: with all faults, before anything is changed.
        """
        if said := self.faults():
            raise HostError("the given certificate was refused, nothing was changed: " + "; ".join(said))
        pair, check = self.pair, self.pair.module.check_mode
        changes = pair.directory()
        # Key first: a run that ends between the two is repaired by the next one.
        for path, text, mode in ((pair.key, self.key, 0o600), (pair.path, self.chain, 0o644)):
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                changes.append(f"{path}: {'replaced' if path.exists() else 'installed'}")
                if not check:
                    pair.write(path, text, mode)
        certificate = self.openssl.scratch("given.pem", self.chain)
        near = self.openssl.ends_within(certificate, pair.renew_before)
        warning = f"the given certificate ends on {self.openssl.end(certificate)}: get the next one (docs/howto/tls.md)"
        return changes + pair.modes(), [warning] if near else []
