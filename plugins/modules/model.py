#!/usr/bin/python
"""Documentation of the action `atelier.datalab.model`; the code is in plugins/action/model.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model
short_description: Checks the data of an environment and derives everything from it
version_added: 0.1.0
author: [Atelier Datalab]
description:
  - Reads the variables C(corporate), C(platform), C(members), C(projects), C(flows), C(rules), C(exceptions) and
    C(secrets) of the inventory, checks them, and fails with one message that names every fault with file, line, key,
    value, why it is wrong and what to write instead.
  - Runs on the controller, once per host and play; needs no connection, calls no API and renders no template.
    Values are read as they are written, so only C(secrets) may hold templates, and those are not rendered.
  - Valid data comes back as the fact C(datalab).
options:
  today:
    description: The day flows, rules and exceptions are compared with, as C(2027-03-31). Today where it is left out.
    type: str
attributes:
  check_mode:
    description: Checks and derives the same; changes nothing in either mode.
    support: full
  diff_mode:
    description: Changes nothing, so there is no difference to show.
    support: none
requirements:
  - pydantic >= 2.10
"""

EXAMPLES = r"""
- name: Check the data
  atelier.datalab.model:
  tags: [always]

- name: Check what would be refused next year
  atelier.datalab.model:
    today: "2028-01-01"
"""

RETURN = r"""
msg:
  description: How much was checked, or every fault.
  returned: always
  type: str
  sample: "42 machines, 3 projects, 7 flows: valid"
ansible_facts:
  description: The fact C(datalab).
  returned: when the data is valid
  type: dict
  contains:
    datalab:
      description: What the data comes to. Holds no secret.
      type: dict
      contains:
        environment:
          description: Name of the environment.
          type: str
        region:
          description: AWS region.
          type: str
        account:
          description: AWS account.
          type: str
        domain:
          description: Private DNS zone of the environment.
          type: str
        bastion:
          description: Name, FQDN, address and tags of the bastion.
          type: dict
        stacks:
          description: The CloudFormation stacks as M(atelier.datalab.stacks) takes them.
          type: list
          elements: dict
        openings:
          description: The permitted connections, the platform's own among them; expired flows are left out.
          type: list
          elements: dict
        ends:
          description: Which end of a flow each host is, by its name, for example C(project:alpha).
          type: dict
        machines:
          description: The machines of all projects with their names, tags, addresses, hours and backups.
          type: list
          elements: dict
        projects:
          description: The projects with group, gid, members (login, uid, keys) and conda environments.
          type: list
          elements: dict
        machine:
          description: The entry of machines that is this host; absent on other hosts.
          type: dict
        project:
          description: The project of this host; absent on other hosts.
          type: dict
        rules:
          description: Core IT's rules, severity and parameters, here and on that day; on a host with its exceptions.
          type: dict
        images:
          description: Core IT's criteria for images as M(atelier.datalab.approved_images) takes them.
          type: dict
        expected:
          description: What M(atelier.datalab.rules_report) compares with what runs; absent on machines of a project.
          type: dict
        expired_flows:
          description: Names of the flows left out because they have ended.
          type: list
          elements: str
        warnings:
          description: What breaks a rule that only warns here.
          type: list
          elements: str
"""
