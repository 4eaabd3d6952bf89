"""Options that the modules `proof` and `promotion` share."""

from __future__ import annotations


class ModuleDocFragment:
    """What is promoted, by which data, and who signs."""

    DOCUMENTATION = r"""
options:
  environment:
    description: The environment that the evidence is about, and that the artefact leaves.
    type: str
    required: true
    choices: [lab, dev, preprod, prod]
  policy:
    description: What each rung demands, its store and its key (docs/howto/promote.md). All its faults are told at once.
    type: dict
    required: true
  members:
    description: Logins; who may approve an emergency is among them.
    type: list
    elements: str
    required: true
  images:
    description: Image id by key, part of the artefact.
    type: dict
    required: true
  checkout:
    description: Folder of the work tree; one that holds what is in no commit is refused.
    type: path
    required: true
  locks:
    description: >-
      Folder with a folder of locks per environment, where they are not C(inventories/*/locks) of O(checkout).
    type: path
  private_key:
    description: >-
      The environment's Ed25519 key in PEM, from a secret store. Needed to sign where O(policy) names no key of KMS.
    type: str
"""
