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
  - With O(certificate) and O(private_key) it installs a pair that somebody else made, after judging it as a whole
    (key, dates, names, chain). In check mode it is judged as well, so a task with C(check_mode) refuses it beforehand.
  - With O(self_signed) it makes a pair that a server can start with, and never touches one that is usable.
  - A key made on the host never leaves it. Needs C(openssl) there and nothing else.
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
    description:
      - Certificate of the authority (PEM). A certificate that it did not sign is replaced.
      - For a given chain, the authority to which it must lead; without it the chain is checked up to its own end.
    type: str
    default: ""
  certificate:
    description: Certificate to install (PEM), signed from the request that was returned; or a given chain.
    type: str
  private_key:
    description: Key of the given chain (PEM).
    type: str
  self_signed:
    description: Whether to make a self-signed certificate when none is there that a server could start with.
    type: bool
    default: false
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

import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.atelier.datalab.plugins.module_utils._certificates import Given, Pair
from ansible_collections.atelier.datalab.plugins.module_utils._hosts import HostError

ARGUMENTS = {
    "key": {"type": "path", "required": True, "no_log": False},
    "path": {"type": "path", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
    "renew_before": {"type": "int", "default": 30},
    "ca_certificate": {"type": "str", "default": ""},
    "certificate": {"type": "str"},
    "private_key": {"type": "str", "no_log": True},
    "self_signed": {"type": "bool", "default": False},
}


def converge(module: AnsibleModule) -> dict[str, Any]:
    """One of the four calls; return the module's result."""
    p = module.params
    pair = Pair(module, p["key"], p["path"], p["names"], p["renew_before"])
    done = {"changes": [], "reason": "", "request": ""}
    if p["private_key"] is not None:
        changes, warnings = Given(pair, p["private_key"], p["certificate"] or "", p["ca_certificate"]).install()
        for text in warnings:
            module.warn(text)
        return {**done, "changes": changes}
    if p["self_signed"]:
        return {**done, "changes": pair.sign_self()}
    if p["certificate"] and not module.check_mode:
        return {**done, "changes": pair.install(p["certificate"], p["ca_certificate"])}
    said = pair.make_key()
    reason = pair.fault(Path(p["path"]), p["ca_certificate"])
    said += pair.modes()
    if reason and module.check_mode:
        said.append(f"{pair.path}: new certificate, {reason}")
    return {"changes": said, "reason": reason, "request": pair.request() if reason else ""}


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
