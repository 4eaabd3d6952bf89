#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's TLS key, made there, and its certificate, signed elsewhere."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_certificate
short_description: Key and certificate of a TLS server, with the key made on the host
version_added: "0.1.0"
description:
  - Without O(certificate) it makes the key if there is none, judges the certificate on the host and, when a new one
    is needed, returns a signing request and the reason.
  - With O(certificate) it installs it, after checking that it belongs to the key on the host and bears the names.
  - The private key never leaves the host. Needs C(openssl) there and nothing else.
options:
  key: {description: Path of the private key., type: path, required: true}
  path: {description: Path of the certificate chain., type: path, required: true}
  names:
    description: Host names and addresses that the certificate must bear; the first is the common name.
    type: list
    elements: str
    required: true
  renew_before:
    description: Days before the end at which a certificate is renewed.
    type: int
    default: 30
  ca_certificate:
    description: Certificate of the authority (PEM). A certificate that it did not sign is replaced.
    type: str
    default: ""
  certificate:
    description: Certificate to install (PEM), signed from the request that was returned.
    type: str
attributes:
  check_mode: {support: full, description: Says whether a key or certificate would be made.}
  diff_mode: {support: full, description: The reason in words.}
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Ask whether the certificate is fit
  atelier.datalab.host_certificate:
    key: /etc/jupyterhub/tls/key.pem
    path: /etc/jupyterhub/tls/certificate.pem
    names: [hub.example.com]
  register: tls
"""

RETURN = r"""
reason:
  description: Why a new certificate is needed; empty when the one on the host is fit.
  returned: always
  type: str
request:
  description: Signing request (PEM) when a certificate is needed; empty in check mode before there is a key.
  returned: always
  type: str
changes:
  description: What was changed, in words.
  returned: always
  type: list
  elements: str
"""

import ipaddress
import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.atelier.datalab.plugins.module_utils._hosts import HostError, make_directory, run, settle

ARGUMENTS = {
    "key": {"type": "path", "required": True, "no_log": False},
    "path": {"type": "path", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
    "renew_before": {"type": "int", "default": 30},
    "ca_certificate": {"type": "str", "default": ""},
    "certificate": {"type": "str"},
}


def alternative_name(name: str) -> str:
    """One subjectAltName entry as openssl writes it on a command line.

    >>> alternative_name("hub.example.com"), alternative_name("10.0.0.1")
    ('DNS:hub.example.com', 'IP:10.0.0.1')
    """
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


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


class Certificate:
    """Key and certificate on one host."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.p = module.params
        self.key = Path(self.p["key"])
        self.path = Path(self.p["path"])

    def openssl(self, *arguments: str, ok: tuple[int, ...] = (0,)) -> tuple[int, str]:
        """Run openssl."""
        return run(self.module, ["openssl", *arguments], ok=ok)

    def make_key(self) -> list[str]:
        """The key, if there is none; a key is never replaced."""
        said = [] if self.key.parent.exists() else make_directory(self.key.parent, 0, 0, 0o755, self.module.check_mode)
        if self.key.exists():
            said += [f"{self.key}: {change}" for change in settle(self.key, 0, 0, 0o600, self.module.check_mode)]
            return said
        if not self.module.check_mode:
            scratch = str(self.key.with_name(f".{self.key.name}.new"))
            self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", scratch)
            Path(scratch).chmod(0o600)
            Path(scratch).replace(self.key)
        return [*said, f"{self.key}: generated"]

    def fault(self, certificate: str) -> str:
        """Why a certificate file is not fit; "" when it is."""
        if not Path(certificate).exists():
            return "there is no certificate"
        code, own = self.openssl("x509", "-in", certificate, "-noout", "-pubkey", ok=(0, 1))
        if code:
            return "the certificate cannot be read"
        if not self.key.exists() or own != self.openssl("pkey", "-in", str(self.key), "-pubout")[1]:
            return "the certificate belongs to another key"
        seconds = str(self.p["renew_before"] * 86400)
        if self.openssl("x509", "-in", certificate, "-noout", "-checkend", seconds, ok=(0, 1))[0]:
            return f"the certificate ends in less than {self.p['renew_before']} days"
        _, names = self.openssl("x509", "-in", certificate, "-noout", "-ext", "subjectAltName", ok=(0, 1))
        if printed_names(names) != {alternative_name(n) for n in self.p["names"]}:
            return f"the certificate bears other names than {', '.join(self.p['names'])}"
        return self.authority_fault(certificate)

    def authority_fault(self, certificate: str) -> str:
        """Whether the authority, if one is given, signed the certificate."""
        if not self.p["ca_certificate"]:
            return ""
        with tempfile.NamedTemporaryFile("w", dir=self.module.tmpdir, suffix=".pem") as authority:
            authority.write(self.p["ca_certificate"])
            authority.flush()
            code, _ = self.openssl("verify", "-CAfile", authority.name, certificate, ok=(0, 1, 2))
        return "the certificate was not signed by this authority" if code else ""

    def request(self) -> str:
        """A signing request for the wanted names."""
        if not self.key.exists():
            return ""
        names = self.p["names"]
        common = next((n for n in names if len(n) <= 64), "jupyterhub")
        extension = "subjectAltName=" + ",".join(alternative_name(n) for n in names)
        subject = f"/CN={common}"
        return self.openssl("req", "-new", "-key", str(self.key), "-subj", subject, "-addext", extension)[1]

    def install(self) -> list[str]:
        """Install the signed certificate once it proves fit; return the changes in words."""
        scratch = self.path.with_name(f".{self.path.name}.new")
        scratch.write_text(self.p["certificate"].strip() + "\n", encoding="utf-8")
        scratch.chmod(0o644)
        fault = self.fault(str(scratch))
        if fault:
            scratch.unlink()
            raise HostError(f"the signed certificate was refused: {fault}")
        scratch.replace(self.path)
        return [f"{self.path}: installed"]


def converge(module: AnsibleModule) -> dict[str, Any]:
    """One of the two calls; return the module's result."""
    certificate = Certificate(module)
    if module.params["certificate"] and not module.check_mode:
        return {"changes": certificate.install(), "reason": "", "request": ""}
    said = certificate.make_key()
    reason = certificate.fault(str(module.params["path"]))
    if not reason:
        said += [f"{certificate.path}: {c}" for c in settle(certificate.path, 0, 0, 0o644, module.check_mode)]
    elif module.check_mode:
        said.append(f"{certificate.path}: new certificate, {reason}")
    return {"changes": said, "reason": reason, "request": certificate.request() if reason else ""}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    os.umask(0o022)
    try:
        result = converge(module)
    except (HostError, OSError) as error:
        module.fail_json(msg=str(error))
    if result["changes"]:
        result["diff"] = {"prepared": "\n".join(result["changes"]) + "\n"}
    module.exit_json(changed=bool(result["changes"]), **result)


if __name__ == "__main__":
    main()
