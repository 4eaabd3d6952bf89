#!/usr/bin/python
"""What a host tells about itself for core IT's rules."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_evidence
short_description: Reads what a host tells about itself for core IT's rules
version_added: "0.3.0"
description:
  - Reads core IT's marker, when the host last took updates, and when its certificates end. Changes nothing.
options:
  marker:
    description: Path of core IT's marker, a JSON file.
    type: path
    default: /etc/core-it/image.json
  certificates:
    description: Paths of certificates (PEM, the server's own first). One that is not there is passed over.
    type: list
    elements: path
    default: []
attributes:
  check_mode: {support: full, description: Only reads.}
  diff_mode: {support: none, description: Only reads.}
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Read what the host tells about itself
  atelier.datalab.host_evidence:
    certificates: [/etc/jupyterhub/tls/certificate.pem]
  register: told
"""

RETURN = r"""
evidence:
  description: What was read.
  returned: success
  type: dict
  contains:
    marker:
      description: The marker's content; its text when that is no JSON; none when there is no marker.
      type: raw
    patched:
      description:
        - When packages were last upgraded (C(/var/log/dpkg.log*)) or unattended-upgrade last ran, whichever was later
          (C(when)), and which of them it was (C(source)).
        - None when neither is known, as on a host fresh from its image.
      type: dict
    certificates:
      description: The certificates that are there, each with C(path) and C(ends).
      type: list
      elements: dict
"""

import datetime
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.atelier.datalab.plugins.module_utils import _rules_host
from ansible_collections.atelier.datalab.plugins.module_utils._certificates import DATE, Openssl
from ansible_collections.atelier.datalab.plugins.module_utils._hosts import HostError

ARGUMENTS = {
    "marker": {"type": "path", "default": "/etc/core-it/image.json"},
    "certificates": {"type": "list", "elements": "path", "default": []},
}


def end(openssl: Openssl, path: Path) -> str:
    """When a certificate ends; in words where that cannot be read."""
    if not openssl.readable(path):
        return "not a certificate"
    return datetime.datetime.strptime(openssl.end(path), DATE).replace(tzinfo=datetime.UTC).isoformat()


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    openssl = Openssl(module)
    try:
        evidence = {
            "marker": _rules_host.marker(Path(module.params["marker"])),
            "patched": _rules_host.patched(),
            "certificates": [
                {"path": path, "ends": end(openssl, Path(path))}
                for path in module.params["certificates"]
                if Path(path).exists()
            ],
        }
    except (HostError, OSError) as error:
        module.fail_json(msg=f"This host cannot tell about itself: {error}")
    module.exit_json(changed=False, evidence=evidence)


if __name__ == "__main__":
    main()
