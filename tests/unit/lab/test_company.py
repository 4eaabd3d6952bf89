"""The directory that the company's slapd is filled with."""

from __future__ import annotations

import base64

from lab.company.slapd import Slapd
from lab.identity import Lab


def plain(ldif: str) -> str:
    """Decode the values of an LDIF text (RFC 2849: `::` is base64)."""
    lines = (line.partition(":: ") for line in ldif.splitlines())
    return "\n".join(f"{key}: {base64.b64decode(value).decode()}" if key else "" for key, _, value in lines)


def test_people_are_in_their_groups(tmp_path):
    given = {
        "people": [
            {"login": "uma", "name": "Uma Ölsen", "groups": ["a", "b"]},
            {"login": "vito", "name": "Vito Rossi", "groups": ["b"]},
        ]
    }
    entries = plain(Slapd(Lab("unit", tmp_path), given).entries()).split("\n\n")
    group = next(entry for entry in entries if entry.startswith("dn: cn=b,"))
    assert group.count("member: uid=") == 2
    assert "sn: Ölsen" in next(entry for entry in entries if entry.startswith("dn: uid=uma,"))
    assert not [entry for entry in entries if "userPassword" in entry and "cn=b" in entry]


def test_without_data_the_people_are_the_labs_members(tmp_path):
    folder = tmp_path / "inventories/lab/group_vars/all"
    folder.mkdir(parents=True)
    (folder / "projects.yml").write_text(
        "members: [{login: alice, name: Alice Martin, email: a@e.org}, {login: dave, name: D M, email: d@e.org}]\n"
        "projects: [{name: alpha, members: [alice]}]\n"
    )
    entries = plain(Slapd(Lab("unit", tmp_path), {}).entries())
    assert "dn: uid=dave,ou=people" in entries
    assert "member: uid=alice" in entries
    assert "member: uid=dave" not in entries
