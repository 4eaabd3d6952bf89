"""Checks that join several values of the data: references, doubles, networks, hours, flows, secrets. Pure.

Each check is a generator over the whole, tolerant of what other checks report.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import (
    _flows,
    _model_checks_hours,
    _model_checks_notebooks,
    _names,
    _rules_ladder,
)
from ansible_collections.atelier.datalab.plugins.module_utils._model_fields import (
    lookup_problem,
    network_problem,
)
from ansible_collections.atelier.datalab.plugins.module_utils._model_node import Node, doubles, known, unknown
from ansible_collections.atelier.datalab.plugins.module_utils._model_offences import MISSING, Offence

_RESERVED_SERVICES = {"access", "network", "bastion", "flows", "backups"}


def check(data: Any, folder: str | None) -> list[Offence]:
    """Every offence that one value alone does not show."""
    root = Node(data)
    found: list[Offence] = []
    for one in (
        _corporate,
        _model_checks_hours.check,
        _platform,
        _members,
        _projects,
        _machines,
        _model_checks_notebooks.check,
        _identities,
        _networks,
        _addresses,
        _flow_ends,
        _flow_doubles,
        _rules_ladder.check,
    ):
        found += one(root)
    found += _folder(root, folder)
    found += _secrets(root, folder)
    return found


# -- helpers


def machines(root: Node) -> Iterator[tuple[Node, Node]]:
    """Every machine with its project."""
    for project in root["projects"]:
        for machine in project["machines"]:
            yield project, machine


def name_of(root: Node, project: Node, machine: Node) -> str | None:
    """The machine's name where its parts are there."""
    environment, owner, role = root["platform"]["environment"].text, project["name"].text, machine["role"].text
    number = machine["number"].number
    if not (environment and owner and role) or number is None:
        return None
    return _names.machine_name(environment, owner, role, number)


def _parsed(node: Node) -> ipaddress.IPv4Network | None:
    if not node.text or network_problem(node.text):
        return None
    return ipaddress.IPv4Network(node.text)


def _address(node: Node) -> ipaddress.IPv4Address | None:
    try:
        return ipaddress.IPv4Address(node.text or "")
    except ValueError:
        return None


# -- corporate


def _corporate(root: Node) -> Iterator[Offence]:
    corporate = root["corporate"]
    named = [(one["name"], one["name"].text) for one in corporate["backup_classes"]]
    yield from doubles(named, "backup class", "give every one its own name")
    for one in corporate["backup_classes"]:
        yield from _backup_class(one)
    made = [one["name"] for one in corporate["backup_classes"] if one["name"].text not in (None, "none")]
    for name in made[1:]:
        yield name.wrong(
            "is a second class that makes backups", f"keep {made[0].text} and none; one plan is made per environment"
        )


def _backup_class(one: Node) -> Iterator[Offence]:
    name = one["name"].text
    for key, example in (("cron", '"cron(0 2 * * ? *)"'), ("keep_days", "30"), ("timezone", "Europe/Paris")):
        value = one[key]
        if name == "none" and value.value is not None:
            yield value.wrong("makes no sense in the class that means no backup", f"remove {key} or rename the class")
        if name and name != "none" and value.value is None:
            yield Offence(value.path, MISSING, f"is missing in class {name}", f"add it, for example {key}: {example}")


# -- platform


def _platform(root: Node) -> Iterator[Offence]:
    platform, corporate = root["platform"], root["corporate"]
    if platform["environment"].text not in (None, "lab") and platform["termination_protection"].value is False:
        yield platform["termination_protection"].wrong(
            "is off outside lab", "write true; a stack that must go is unprotected by hand, on purpose"
        )
    yield from unknown(platform["owner"], root["members"], "member", "login")
    yield from unknown(platform["cost_center"], corporate["cost_centers"], "cost centre")
    yield from _image(root, platform["bastion"]["image"])
    yield from _zone(root, platform["bastion"]["zone"])
    zones = [(zone["name"], zone["name"].text) for zone in platform["network"]["zones"]]
    yield from doubles(zones, "zone", "name each zone once: a, b")


def _image(root: Node, node: Node) -> Iterator[Offence]:
    approved = root["corporate"]["images"]
    if node.text and re.fullmatch(r"ami-[0-9a-f]{8,17}", node.text):
        yield node.wrong(
            "is an image's id", f"write the key of an approved image ({', '.join(sorted(known(approved)))})"
        )
        return
    yield from unknown(node, approved, "approved image")


def _zone(root: Node, node: Node) -> Iterator[Offence]:
    yield from unknown(node, root["platform"]["network"]["zones"], "zone")


def _folder(root: Node, folder: str | None) -> Iterator[Offence]:
    node = root["platform"]["environment"]
    if folder and node.text and node.text != folder:
        yield node.wrong(f"is not the inventory folder ({folder})", f"write {folder} or use inventories/{node.text}")


# -- people and projects


def _members(root: Node) -> Iterator[Offence]:
    members = root["members"]
    yield from doubles([(one["login"], one["login"].text) for one in members], "login", "keep one entry per person")
    emails = [(one["email"], (one["email"].text or "").lower() or None) for one in members]
    yield from doubles(emails, "email", "keep one entry per person")
    keys = [(key, " ".join(key.text.split()[:2])) for one in members for key in one["ssh_keys"] if key.text]
    yield from doubles(keys, "key", "a key belongs to one person")
    domains = root["corporate"]["email_domains"].texts()
    for one in members:
        domain = (one["email"].text or "").rpartition("@")[2]
        if domain and domains and domain not in domains:
            yield one["email"].wrong("is outside the company", f"write an address of {', '.join(sorted(domains))}")


def _projects(root: Node) -> Iterator[Offence]:
    corporate, people = root["corporate"], root["members"]
    named = [(one["name"], one["name"].text) for one in root["projects"]]
    yield from doubles(named, "project", "give every project its own name, or join the two entries")
    for project in root["projects"]:
        members = project["members"]
        for member in members:
            yield from unknown(member, people, "member", "login")
        yield from doubles([(one, one.text) for one in members], "member", "name each member once")
        yield from _owner(project["owner"], members, people)
        yield from unknown(project["cost_center"], corporate["cost_centers"], "cost centre")
        yield from unknown(project["schedule"], corporate["schedules"], "schedule")
        yield from unknown(project["backup"], corporate["backup_classes"], "backup class")
        yield from _tags(project["tags"])


def _owner(owner: Node, members: Node, people: Node) -> Iterator[Offence]:
    if owner.text in known(people, "login") and members.texts() and owner.text not in members.texts():
        yield owner.wrong("is not a member of the project", "add the owner to members or name one of them")
    else:
        yield from unknown(owner, people, "member", "login")


def _tags(tags: Node) -> Iterator[Offence]:
    for key, value in tags.entries():
        if key in _names.MANDATORY_TAGS:
            yield value.wrong("is a tag the platform writes", "remove it; it is made from the project's other values")
        elif isinstance(value.value, str) and (problem := _names.tag_problem(key, value.value)):
            yield value.wrong(problem, "write a value AWS takes, or remove the tag")
    count = len(tags.value) if isinstance(tags.value, dict) else 0
    if count + len(_names.MANDATORY_TAGS) > _names.TAGS_MAX:
        room = _names.TAGS_MAX - len(_names.MANDATORY_TAGS)
        yield tags.wrong(f"are {count} tags, with the platform's own more than AWS takes", f"keep at most {room}")


def _machines(root: Node) -> Iterator[Offence]:
    named = []
    for project, machine in machines(root):
        yield from _image(root, machine["image"])
        yield from _zone(root, machine["zone"])
        name = name_of(root, project, machine)
        named.append((machine["number"], name))
        if name and len(name) > _names.HOST_NAME_MAX:
            yield machine["role"].wrong(
                f"makes the host name {name} of {len(name)} characters, {_names.HOST_NAME_MAX} is the limit",
                "shorten the role or the project's name",
            )
        if machine["role"].text in _RESERVED_SERVICES:
            yield machine["role"].wrong("is a role of the platform", "choose another, for example workstation")
    yield from doubles(named, "machine", "give it another number")


def _identities(root: Node) -> Iterator[Offence]:
    """uids and gids: a person's group has the person's number, so both are one space."""
    numbered = []
    for member in root["members"]:
        explicit, login = member["uid"].number, member["login"].text
        node = member["uid"] if explicit is not None else member["login"]
        numbered.append((node, explicit or (_names.derived_id(login) if login else None), login))
    for project in root["projects"]:
        explicit, name = project["gid"].number, project["name"].text
        node = project["gid"] if explicit is not None else project["name"]
        derived = _names.derived_id(_names.group_name(name)) if name else None
        numbered.append((node, explicit or derived, f"{_names.group_name(name)}" if name else None))
    # The same login or project twice is reported as such, not as a number taken twice.
    once = {label: (node, number) for node, number, label in reversed(numbered) if label}
    yield from doubles(reversed(once.values()), "uid or gid", "write another number (uid: or gid:) from 1000 up")


# -- networks


def _subnets(root: Node) -> Iterator[tuple[Node, ipaddress.IPv4Network]]:
    for zone in root["platform"]["network"]["zones"]:
        for kind in ("public", "private"):
            if parsed := _parsed(zone[kind]):
                yield zone[kind], parsed


def _networks(root: Node) -> Iterator[Offence]:
    network = root["platform"]["network"]
    vpc = _parsed(network["cidr"])
    if vpc and not 16 <= vpc.prefixlen <= 28:
        yield network["cidr"].wrong("is not a size AWS allows for a VPC", "use a prefix from /16 to /28")
    if vpc and not vpc.is_private:
        yield network["cidr"].wrong(
            "is not a private network", "use a part of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
        )
    earlier: list[tuple[Node, ipaddress.IPv4Network]] = []
    for node, subnet in _subnets(root):
        if vpc and not subnet.subnet_of(vpc):
            yield node.wrong(f"is outside the network {vpc}", f"use a part of {vpc}")
        if not 16 <= subnet.prefixlen <= 28:
            yield node.wrong("is not a size AWS allows for a subnet", "use a prefix from /16 to /28")
        for other, taken in earlier:
            if subnet.overlaps(taken):
                yield node.wrong(f"overlaps {other.key} ({taken})", "use a free part")
        earlier.append((node, subnet))


def _addresses(root: Node) -> Iterator[Offence]:
    platform = root["platform"]
    zones = {zone["name"].text: zone for zone in platform["network"]["zones"]}
    hosts = [(platform["bastion"], "public")] + [(machine, "private") for _, machine in machines(root)]
    for host, kind in hosts:
        address = _address(host["address"])
        zone = zones.get(host["zone"].text)
        subnet = _parsed(zone[kind]) if zone else None
        if address and subnet:
            yield from _place(host["address"], address, subnet, kind)
    yield from doubles(
        [(host["address"], _address(host["address"])) for host, _ in hosts], "address", "use a free one or leave it out"
    )


def _place(node: Node, address: ipaddress.IPv4Address, subnet: ipaddress.IPv4Network, kind: str) -> Iterator[Offence]:
    last = subnet.num_addresses - 2
    room = f"use {subnet[4]} to {subnet[last]} or leave it out"
    if address not in subnet:
        yield node.wrong(f"is outside the {kind} subnet of its zone ({subnet})", room)
    elif address < subnet[4] or address == subnet[-1]:
        # https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
        yield node.wrong("is reserved by AWS (the first four and the last of a subnet)", room)


# -- flows


def _flow_ends(root: Node) -> Iterator[Offence]:
    for flow in root["flows"]:
        yield from unknown(flow["owner"], root["members"], "member", "login")
        kinds = []
        for side in ("source", "destination"):
            node = flow[side]
            kinds.append(_flows.kind(node.text) if node.text else None)
            yield from _flow_end(node, root["projects"])
        if None not in kinds and not {"bastion", "project"} & set(kinds):
            yield flow["destination"].wrong(
                "does not touch the platform, nor does the source", "one end is bastion or project:<name>"
            )
        elif flow["source"].text and flow["source"].text == flow["destination"].text:
            yield flow["destination"].wrong("is the source too", "name two different ends")


def _flow_end(node: Node, projects: Node) -> Iterator[Offence]:
    if not node.text:
        return
    kind = _flows.kind(node.text)
    if kind == "project":
        name = node.text.partition(":")[2]
        for one in unknown(Node(name, node.path), projects, "project"):
            instead = one.instead.replace("did you mean ", "did you mean project:")
            yield node.wrong(one.why, instead)
    elif kind == "network":
        if problem := network_problem(node.text):
            yield node.wrong(*problem)
    elif kind is None:
        yield node.wrong("is no end of a flow", "write bastion, corporate, project:<name> or a network as 192.0.2.0/24")


def _flow_doubles(root: Node) -> Iterator[Offence]:
    flows = root["flows"]
    yield from doubles([(flow["name"], flow["name"].text) for flow in flows], "flow", "give every flow its own name")
    opened = []
    for flow in flows:
        ends = (flow["source"].text, flow["destination"].text)
        service = (flow["protocol"].text, flow["port"].number)
        if None in ends or None in service:
            continue
        opened.append((flow["port"], f"{ends[0]} to {ends[1]} {service[0]}/{service[1]}"))
        if service == ("tcp", 22) and (ends == ("corporate", "bastion") or _is_jump(*ends)):
            yield flow["port"].wrong("is open as part of the platform (ssh through the bastion)", "remove this flow")
    yield from doubles(opened, "connection", "keep one entry and extend its date")


def _is_jump(source: str | None, destination: str | None) -> bool:
    return source == "bastion" and _flows.kind(destination or "") == "project"


# -- secrets


def _needed_secrets(root: Node) -> Iterator[tuple[str, str, str]]:
    """(name, because of what, folder in the parameter store) of each secret that this data cannot do without."""
    platform = root["platform"]
    mode, database = platform["tls"]["mode"].text, platform["jupyterhub"]["database"]
    for key in {
        "private_ca": ("tls_ca_certificate", "tls_ca_private_key"),
        "given": ("tls_certificate", "tls_private_key"),
    }.get(mode or "", ()):
        yield key, f"platform.tls.mode is {mode}", "tls"
    login = platform["jupyterhub"]["authentication"]
    if login["mode"].text == "oauth" or login["ldap"]["lookup_dn"].text:
        yield "authentication_secret", f"{login.key} needs it", "authentication"
    if isinstance(database.value, dict):
        yield "database_password", f"{database.key} is set", "database"
        yield "database_ca_certificate", f"{database.key} is set", "database"
    if platform["conda"]["proxies"]["username"].text:
        yield "conda_proxy_password", "platform.conda.proxies.username is set", "conda"


def _secrets(root: Node, folder: str | None) -> Iterator[Offence]:
    environment = folder or root["platform"]["environment"].text
    for key, reason, place in _needed_secrets(root):
        if isinstance(root["secrets"].value, dict) and key not in root["secrets"].value:
            instead = f"add a lookup of /atelier/{environment}/{place}"
            yield Offence(("secrets", key), MISSING, f"is missing, {reason}", instead)
    for _name, node in root["secrets"].entries():
        if not node.text or lookup_problem(node.text):
            continue
        named = re.search(r"['\"]/?atelier/([a-z]+)/", node.text)
        if environment and named and named[1] != environment:
            yield node.wrong(f"reads a secret of {named[1]}", f"read /atelier/{environment}/...")
