# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lookup ``ssh_authority``: public half of the key in KMS that signs members' SSH certificates."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ssh_authority
short_description: Public half of an SSH authority whose key is in KMS
version_added: "0.3.0"
description: Reads public keys of KMS on the controller and returns each as a line of OpenSSH's form.
options:
  _terms:
    description: Aliases, ids or ARNs of keys, for example C(datalab.access.key).
    type: list
    elements: str
    required: true
extends_documentation_fragment:
  - amazon.aws.common.plugins
  - amazon.aws.region.plugins
  - amazon.aws.boto3
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: What machines have to trust
  ansible.builtin.debug:
    msg: "{{ lookup('atelier.datalab.ssh_authority', 'alias/preprod-ssh-authority', region='eu-west-1') }}"
"""

RETURN = r"""
_raw:
  description: The public keys.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible_collections.amazon.aws.plugins.plugin_utils.lookup import AWSLookupBase
from ansible_collections.atelier.datalab.plugins.module_utils import _aws, _ssh_certificates


class LookupModule(AWSLookupBase):
    """Entry point for Ansible."""

    def run(self, terms: list[str], variables: Any = None, **options: Any) -> list[str]:
        """Return the lines; AnsibleLookupError when one cannot be had."""
        super().run(terms, variables, **options)
        kms = self.client("kms")
        try:
            return [_ssh_certificates.authority(kms, term) for term in terms]
        except _ssh_certificates.CertificateError as error:
            raise AnsibleLookupError(str(error)) from error
        except _aws.AWS_ERRORS as error:
            raise AnsibleLookupError(
                f"The key of the SSH authority cannot be read: {_aws.sentence(error)}; playbooks/provision.yml makes it"
            ) from error
