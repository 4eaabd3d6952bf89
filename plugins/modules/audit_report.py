#!/usr/bin/python
"""Documentation of the action `audit_report`."""

from __future__ import annotations

DOCUMENTATION = r"""
module: audit_report
short_description: Judge what an audit gathered, write the report
description:
  - Reads what M(atelier.datalab.audit_gather) and M(atelier.datalab.audit_evidence) wrote, proposes what each machine
    is and whose, names the broken rules, reckons the cost, and writes one HTML page, CSV, JSON and a proposal.
  - Runs on the controller, asks nobody anything. The same files and the same O(now) give the same bytes.
options:
  folder: {description: The folder of the audit., type: path, required: true}
  title: {description: Head of the page., type: str, default: What exists}
  now:
    description: Moment of the audit in ISO 8601 with an offset; ages are reckoned from it. The present by default.
    type: str
  corporate: {description: What the company says (images and schedules are used)., type: dict, required: true}
  members: {description: The directory of people., type: list, elements: dict, default: []}
  projects: {description: The projects., type: list, elements: dict, default: []}
  roles: {description: Values that the tag Role may have., type: list, elements: str, required: true}
  environments:
    description: Values that a name may begin with.
    type: list
    elements: str
    default: [lab, dev, preprod, prod]
  clues:
    description: >-
      Clues: C(attribute), C(match) (a regular expression over the whole value), C(proposes), C(weight) in percent.
    type: list
    elements: dict
    required: true
  families:
    description: Attribute to family; of clues of one family only the strongest counts.
    type: dict
    default: {}
  enough:
    description: When a proposal is made.
    type: dict
    default: {}
    suboptions:
      threshold: {description: Confidence in percent that is needed., type: int, default: 75}
      contradiction:
        description: Confidence of another value from which on nothing is proposed.
        type: int
        default: 40
      families: {description: How many families of clues must agree., type: int, default: 2}
  weights:
    description: Weight of each rule in the score; a rule without one is not asked.
    type: dict
    required: true
  prices: {description: The price list (docs/howto/audit.md)., type: dict, required: true}
  stopped_days: {description: From how many days on a stopped machine is a finding., type: int, default: 30}
extends_documentation_fragment: [atelier.datalab.attributes.read_only]
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Write the report
  atelier.datalab.audit_report:
    folder: reports/audit/prod
    corporate: "{{ corporate }}"
    members: "{{ members }}"
    projects: "{{ projects }}"
    roles: [bastion, workstation, database]
    clues:
      - {attribute: process, match: "jupyter.*", proposes: {Role: workstation}, weight: 60}
    weights: {mandatory_tags: 3, open_world: 5}
    prices: {currency: USD, source: an export of today, regions: {eu-west-1: {instances: {t3.micro: 0.0114}}}}
"""

RETURN = r"""
files:
  description: Paths of the files that were written.
  type: list
  elements: str
  returned: success
summary:
  description: The audit in a few lines.
  type: list
  elements: str
  returned: success
scores:
  description: >-
    Per account: C(name), C(score) (percent, or null when nothing could be read), C(held), C(asked), C(findings).
  type: list
  elements: dict
  returned: success
"""
