"""The people of the company: the lab's members, or those a test names; passwords are the lab's."""

from __future__ import annotations

from typing import Any

import yaml

from lab import landing_zone
from lab.identity import Lab


def people(lab: Lab, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Return login, name, email, groups and password of each.

    `given["people"]` names them: [{login, name, groups}]. Without it they are the members in inventories/lab, each in
    a group per project. The passwords are those of `lab/lab password LOGIN`.
    """
    known = given.get("people") or _members(lab)
    passwords, _ = landing_zone.member_passwords(lab, {person["login"] for person in known})
    return [
        {"name": person["login"].capitalize(), "groups": [], "email": f"{person['login']}@example.com"}
        | person
        | {"password": passwords[person["login"]]}
        for person in known
    ]


def _members(lab: Lab) -> list[dict[str, Any]]:
    file = lab.checkout / "inventories/lab/group_vars/all/projects.yml"
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    return [
        {"login": member["login"], "name": member["name"], "email": member["email"]}
        | {"groups": [project["name"] for project in data["projects"] if member["login"] in project["members"]]}
        for member in data["members"]
    ]
