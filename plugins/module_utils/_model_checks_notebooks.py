"""Checks that join several values of the notebook platform's data: packages, limits, who is named where. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.atelier.datalab.plugins.module_utils import _names
from ansible_collections.atelier.datalab.plugins.module_utils._model_node import Node, doubles, unknown
from ansible_collections.atelier.datalab.plugins.module_utils._model_offences import MISSING, Offence

_UNITS = {"M": 1, "G": 1024, "T": 1024 * 1024}


def check(root: Node) -> Iterator[Offence]:
    """Every offence in environments, limits, administrators, groups and shared folders."""
    for name, packages in root["corporate"]["conda_sets"].entries():
        yield from _packages(Node(packages.value, ("corporate", "conda_sets", name)))
    yield from _environments(root)
    for project in root["projects"]:
        yield from _named(project["admins"], project["members"])
        yield from _limits(project["limits"], project["members"])
        folders = [(one["name"], one["name"].text) for one in project["read_only"]]
        yield from doubles(folders, "folder", "give every read-only folder its own name")
        for folder in project["read_only"]:
            yield from _named(folder["writers"], project["members"])
    yield from _collaboration(root)
    yield from _hub(root)


def _environments(root: Node) -> Iterator[Offence]:
    named = []
    for project in root["projects"]:
        for one in project["environments"]:
            name, owner = one["name"].text, project["name"].text
            named.append((one["name"], _names.environment_name(owner, name) if name and owner else None))
            yield from unknown(one["base"], root["corporate"]["conda_sets"], "set of packages")
            if isinstance(one.value, dict) and not one["base"].text and not one["packages"].value:
                yield one.wrong("has neither packages nor base", "list packages, or name a set of corporate.conda_sets")
            yield from _packages(one["packages"])
            pip = [
                (line, re.split(r"[^\w.-]", line.text)[0].lower().replace("_", "-")) for line in one["pip"] if line.text
            ]
            yield from doubles(pip, "requirement", "write each one once, with all its conditions")
    yield from doubles(named, "conda environment", "give it another name")


def _distribution(requirement: str) -> str:
    """The normalised name in a requirement of pip (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


def _packages(packages: Node) -> Iterator[Offence]:
    named = [(one, package_name(one.text)) for one in packages if one.text]
    yield from doubles(named, "package", "write each package once, with all its conditions")


def package_name(spec: str) -> str:
    """The name in a package specification such as `conda-forge::numpy >=2`."""
    return re.split(r"[\s=<>!~]", spec.rpartition("::")[2])[0].lower()


def _named(people: Node, members: Node) -> Iterator[Offence]:
    """Each of `people` is a member of the project, and is named once."""
    for one in people:
        if one.text and members.texts() and one.text not in members.texts():
            yield one.wrong("is not a member of the project", f"add the login to {members.key}, or remove it here")
    yield from doubles([(one, one.text) for one in people], "member", "name each member once")


def _limits(limits: Node, members: Node) -> Iterator[Offence]:
    for login, limit in limits["members"].entries():
        if members.texts() and login not in members.texts():
            yield limit.wrong(
                "is the limit of nobody", f"{login} is not in {members.key}: add the login or remove this"
            )
    total = _mib(limits["total"]["memory"])
    for one in (limits, *(limit for _, limit in limits["members"].entries())):
        mine = _mib(one["memory"])
        if total and mine and mine > total:
            yield one["memory"].wrong(
                f"is more than the project's total ({limits['total']['memory'].text})", "lower it or raise the total"
            )


def _mib(memory: Node) -> int | None:
    found = re.fullmatch(r"([1-9]\d*)([MGT])", memory.text or "")
    return int(found[1]) * _UNITS[found[2]] if found else None


def _collaboration(root: Node) -> Iterator[Offence]:
    """The account of a project's collaborative server is nobody's login."""
    logins = {member["login"].text: member["login"] for member in root["members"]}
    for project in root["projects"]:
        account = _names.collaboration_account(project["name"].text or "")
        if account in logins:
            yield logins[account].wrong(
                f"is the account of the collaborative server of {project['name'].text}", "choose another login"
            )


def _hub(root: Node) -> Iterator[Offence]:
    tls = root["platform"]["tls"]
    if tls["mode"].text == "acme" and not isinstance(tls["acme"].value, dict):
        yield Offence(
            tls["acme"].path, MISSING, "is missing, platform.tls.mode is acme", "add acme: {directory: https://...}"
        )
    hub = root["platform"]["jupyterhub"]
    yield from _authentication(hub["authentication"])
    for admin in hub["admins"]:
        yield from unknown(admin, root["members"], "member", "login")
    groups = [(one["name"], one["name"].text) for one in hub["groups"]]
    yield from doubles(groups, "group", "give every group its own name")
    for group in hub["groups"]:
        for member in group["members"]:
            yield from unknown(member, root["members"], "member", "login")


def _authentication(login: Node) -> Iterator[Offence]:
    mode, ldap, oauth = login["mode"].text, login["ldap"], login["oauth"]
    for key, node in (("ldap", ldap), ("oauth", oauth)):
        if mode == key and not isinstance(node.value, dict):
            yield Offence(
                node.path, MISSING, f"is missing, {login['mode'].key} is {key}", f"add {key}: with its address"
            )
    if mode == "ldap" and isinstance(ldap.value, dict):
        searches = bool(ldap["lookup_dn"].text and ldap["people_base"].text)
        if searches == bool(ldap["user_template"].value):
            yield ldap.wrong(
                "does not say how people are found", "write lookup_dn and people_base, or user_template alone"
            )
    if mode == "oauth" and isinstance(oauth.value, dict):
        needed = ("url",) if oauth["preset"].text == "gitlab" else ("authorize_url", "token_url", "userdata_url")
        for key in needed:
            if oauth[key].value is None:
                yield Offence((*oauth.path, key), MISSING, "is missing", f"add {key}: https://...")
