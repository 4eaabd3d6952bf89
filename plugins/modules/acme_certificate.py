#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A certificate from an ACME authority, got by a unit of the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: acme_certificate
short_description: Have a unit of the host get the server's certificate from an ACME authority
version_added: "0.2.0"
description:
  - Judges the certificate that the server uses and, when it is not the authority's, has ended, lacks a name or should
    have been renewed long ago, starts the unit that asks the authority.
  - The server goes on with what it has when the authority refuses. That is a warning as long as the certificate is
    good, an error that says what to do otherwise.
  - Renewals are the business of the unit's timer, not of this module.
options:
  unit: {description: Unit that runs the ACME client once and installs what it got., type: str, required: true}
  key: {description: Path of the private key that the server uses., type: path, required: true}
  path: {description: Path of the certificate chain that the server uses., type: path, required: true}
  issued: {description: Path at which the client keeps the chain that the authority issued., type: path, required: true}
  names:
    description: Host names of the server. Those without a dot and addresses are left out; no authority certifies them.
    type: list
    elements: str
    required: true
  directory: {description: Address of the authority's directory., type: str, required: true}
attributes:
  check_mode: {support: full, description: Says whether a certificate would be asked for.}
  diff_mode: {support: full, description: The reason in words.}
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Have the hub certified
  atelier.datalab.acme_certificate:
    unit: jupyterhub-acme.service
    key: /etc/jupyterhub/tls/key.pem
    path: /etc/jupyterhub/tls/certificate.pem
    issued: /var/lib/jupyterhub-acme/live/hub/fullchain.pem
    names: [hub.example.com]
    directory: https://acme-v02.api.letsencrypt.org/directory
"""

RETURN = r"""
reason:
  description: Why a certificate was asked for; empty when the one in use is fit.
  returned: always
  type: str
"""

import datetime
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.atelier.datalab.plugins.module_utils._certificates import Openssl, Pair, public_names
from ansible_collections.atelier.datalab.plugins.module_utils._hosts import HostError, run

ARGUMENTS = {
    "unit": {"type": "str", "required": True},
    "key": {"type": "path", "required": True, "no_log": False},
    "path": {"type": "path", "required": True},
    "issued": {"type": "path", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
    "directory": {"type": "str", "required": True},
}
LATE = 0.25  # clients renew when a third of the life is left; later than this, renewals fail
RETRY_SECONDS = 5


def text(path: Path) -> str:
    """Content of a file, "" when there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


class Acme:
    """The certificate in use and the unit that gets a better one."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module, self.p, self.openssl = module, module.params, Openssl(module)
        self.path, self.issued = Path(self.p["path"]), Path(self.p["issued"])
        self.pair = Pair(module, self.p["key"], self.p["path"], self.p["names"], 0)

    def ended(self) -> str:
        """Why browsers refuse the certificate in use; "" when they accept it."""
        if reason := self.pair.unusable(self.path):
            return reason
        if text(self.path) != text(self.issued):
            return "the certificate in use is not from this authority"
        if self.openssl.ends_within(self.path, 0):
            return f"the certificate ended on {self.openssl.end(self.path)}"
        missing = [n for n in public_names(self.p["names"]) if not self.openssl.covers(self.path, n)]
        return f"the certificate is not for {', '.join(missing)}" if missing else ""

    def late(self) -> str:
        """Whether the timer should have renewed it long ago."""
        if self.openssl.left(self.path, datetime.datetime.now(datetime.UTC)) > LATE:
            return ""
        return f"the certificate ends on {self.openssl.end(self.path)} and was not renewed"

    def ask(self) -> str:
        """Run the client, twice if need be: the hub may just have started. Return its last words when it fails."""
        for again in (True, False):
            code, _ = run(self.module, ["systemctl", "start", self.p["unit"]], ok=(0, 1))
            if code == 0:
                return ""
            if again:
                time.sleep(RETRY_SECONDS)
        words = ["journalctl", "--unit", self.p["unit"], "--lines", "12", "--no-pager", "--output", "cat"]
        return run(self.module, words, ok=(0, 1))[1].strip()

    def advice(self, why: str, said: str) -> str:
        """What to tell the operator when the authority gave nothing."""
        names = ", ".join(public_names(self.p["names"]))
        return (
            f"{why}, and the ACME authority {self.p['directory']} gave none for {names}. The server goes on with the "
            f"certificate it has. Check that this host reaches the directory, that {names} leads to this host and that "
            f"port 80 is open to the authority; then run `systemctl start {self.p['unit']}` here, or this playbook "
            f"again (docs/howto/tls.md). The client said: {said}"
        )


def converge(module: AnsibleModule) -> dict[str, Any]:
    """Judge, ask if need be; return the module's result."""
    acme = Acme(module)
    ended = acme.ended()
    why = ended or acme.late()
    if not why or module.check_mode:
        return {"changed": bool(why), "reason": why}
    before = text(acme.path)
    said = acme.ask()
    if left := acme.ended():
        module.fail_json(msg=acme.advice(left, said))
    if late := acme.late():
        module.warn(acme.advice(late, said))
    return {"changed": text(acme.path) != before, "reason": why}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = converge(module)
    except (HostError, OSError) as error:
        module.fail_json(msg=str(error))
    if result["changed"]:
        result["diff"] = {"prepared": f"certificate asked for: {result['reason']}\n"}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
