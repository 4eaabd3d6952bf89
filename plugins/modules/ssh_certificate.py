#!/usr/bin/python
"""A member's SSH certificate for some hours."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_certificate
short_description: Makes a member's SSH certificate for some hours
version_added: "0.3.0"
description:
  - Certifies one public key of a member, which the data must name, with the key in KMS that bastion and machines trust.
    The private half of that key never leaves KMS, and CloudTrail has each signature.
  - The certificate opens the member's account alone, from O(sources) alone, and ends by itself. It carries no right to
    forward an agent or a screen.
  - Writes one file, which is no secret, without the member's private key it opens nothing.
options:
  environment:
    description: Name of the environment.
    type: str
    required: true
  key:
    description: Alias, id or ARN of the key in KMS, C(datalab.access.key).
    type: str
    required: true
  members:
    description: Who there is, with their keys, C(datalab.access.members).
    type: list
    elements: dict
    required: true
  member:
    description: Login of the member.
    type: str
    required: true
  public_key:
    description: Which of the member's keys. May be left out where the data has one.
    type: str
  hours:
    description: How long it is valid. O(max_hours) where it is left out.
    type: int
  max_hours:
    description: The most that is permitted, C(datalab.access.hours).
    type: int
    required: true
  sources:
    description: Networks from which it opens anything - people's, and the bastion's for the machines behind.
    type: list
    elements: str
    required: true
  destination:
    description: File to write, a name that ends in C(.pub). Not written in check mode.
    type: path
    required: true
extends_documentation_fragment:
  - atelier.datalab.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: A morning of ssh for alice
  atelier.datalab.ssh_certificate:
    region: eu-west-1
    environment: preprod
    key: "{{ datalab.access.key }}"
    members: "{{ datalab.access.members }}"
    member: alice
    hours: 4
    max_hours: "{{ datalab.access.hours }}"
    sources: [10.0.0.0/8]
    destination: reports/ssh/preprod/alice/cert.pub
"""

RETURN = r"""
until:
  description: When it ends, in ISO 8601.
  returned: success
  type: str
public_key:
  description: The key that was certified.
  returned: success
  type: str
file:
  description: Where it is.
  returned: success
  type: str
"""

import datetime
import os
from pathlib import Path
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.atelier.datalab.plugins.module_utils import _aws, _ssh_certificates
from ansible_collections.atelier.datalab.plugins.module_utils._ssh_certificates import CertificateError, Wanted

ARGUMENTS = {
    "environment": {"type": "str", "required": True},
    "key": {"type": "str", "required": True, "no_log": False},
    "members": {"type": "list", "elements": "dict", "required": True},
    "member": {"type": "str", "required": True},
    "public_key": {"type": "str"},
    "hours": {"type": "int"},
    "max_hours": {"type": "int", "required": True},
    "sources": {"type": "list", "elements": "str", "required": True},
    "destination": {"type": "path", "required": True},
}


def wanted(params: dict[str, Any], by: str) -> Wanted:
    """What is asked for, where it may be had.

    Raises:
        CertificateError: who is no member, a key that is not theirs, or more hours than are permitted.
    """
    login, hours = params["member"], params["hours"] or params["max_hours"]
    people = {one["login"]: one for one in params["members"]}
    if login not in people:
        raise CertificateError(
            f"{login} is in no project of {params['environment']}, so no machine knows the account; there are: "
            + ", ".join(sorted(people))
        )
    if not 1 <= hours <= params["max_hours"]:
        raise CertificateError(f"hours is {hours}; write 1 to {params['max_hours']} (platform.access.hours)")
    key = _ssh_certificates.chosen(login, people[login].get("ssh_keys") or (), params["public_key"])
    return Wanted(login, key, params["environment"], hours, params["sources"], by)


def made(module: AnsibleAWSModule) -> dict[str, Any]:
    """Sign and write."""
    now = datetime.datetime.now(tz=datetime.UTC)
    by = _aws.client(module, "sts").get_caller_identity()["Arn"].rpartition(":")[2]
    asked = wanted(module.params, by)
    path, end = Path(module.params["destination"]), now + datetime.timedelta(hours=asked.hours)
    key = _ssh_certificates.KmsKey(_aws.client(module, "kms"), module.params["key"])
    if not module.check_mode:
        line, end = _ssh_certificates.sign(key, asked, now)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}")
        scratch.write_text(line + "\n", encoding="utf-8")
        scratch.chmod(0o644)
        scratch.replace(path)
    until = end.isoformat(timespec="seconds")
    told = f"{asked.login}: certificate for {asked.hours} hours\n"
    return {"until": until, "public_key": asked.public_key, "file": str(path), "diff": {"prepared": told}}


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    os.umask(0o022)
    if _ssh_certificates.MISSING:
        module.fail_json(msg=f"{_ssh_certificates.MISSING}. Install the controller's requirements: make setup")
    try:
        result = made(module)
    except CertificateError as error:
        module.fail_json(msg=str(error))
    except _aws.AWS_ERRORS as error:
        hint = "; the stack of role access makes the key: converge playbooks/provision.yml"
        more = hint if _aws.code(error) == "NotFoundException" else ""
        module.fail_json(msg=f"The authority's key cannot be used: {_aws.sentence(error)}{more}")
    module.exit_json(changed=True, **result)


if __name__ == "__main__":
    main()
