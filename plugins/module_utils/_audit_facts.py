"""The facts of a resource that clues look at, from AWS and from inside the machine. Pure.

For internal use of this collection. The attributes are listed in docs/howto/audit.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._audit_clues import FIELDS, Fact

Resource = Mapping[str, Any]


def facts_of(resource: Resource, peers: Mapping[str, Resource]) -> list[Fact]:
    """All facts of one resource. peers: known machines by their private address."""
    found = [*_from_aws(resource), *_from_inside(resource.get("evidence") or {}, peers)]
    return [fact for fact in found if fact.value]


def _from_aws(one: Resource) -> Iterator[Fact]:
    yield Fact("name", one["name"], f"is named {one['name']}")
    for key, value in one["tags"].items():
        if key not in (*FIELDS, "Name") and not key.startswith("aws:"):
            yield Fact("tag", f"{key}={value}", f"tag {key} is {value}")
    if creator := one.get("creator"):
        yield Fact("creator", creator["by"], f"{creator['by']} made it ({creator['event']} on {creator['at'][:10]})")
    for value in (one.get("subnet", ""), one.get("subnet_name", "")):
        yield Fact("subnet", value, f"in subnet {value}")
    yield Fact("vpc", one.get("vpc", ""), f"in network {one.get('vpc', '')}")
    for group in one.get("groups") or []:
        for value in [group] if isinstance(group, str) else group:
            yield Fact("security_group", value, f"has security group {value}")
    for key, words in (
        ("key_name", "key pair"),
        ("profile", "instance profile"),
        ("engine", "engine"),
        ("stack", "stack"),
    ):
        yield Fact(key, one.get(key, ""), f"{words} {one.get(key, '')}")
    for name in one.get("dns") or []:
        yield Fact("dns", name, f"DNS name {name} leads to it")


def _from_inside(evidence: Mapping[str, Any], peers: Mapping[str, Resource]) -> Iterator[Fact]:
    yield Fact("hostname", evidence.get("hostname", ""), f"calls itself {evidence.get('hostname', '')}")
    for user in evidence.get("logins") or []:
        last = f", last on {user['last'][:10]}" if user["last"] else ""
        often = "once" if user["count"] == 1 else f"{user['count']} times"
        yield Fact("login", user["user"], f"{user['user']} logged in {often}{last}")
    for listener in evidence.get("listeners") or []:
        place = f"{listener['protocol']}/{listener['port']}"
        yield Fact("process", listener["process"], f"{listener['process'] or 'a process'} listens on {place}")
        yield Fact("port", place, f"listens on {place}")
    for process in evidence.get("processes") or []:
        yield Fact("process", process["name"], f"{process['name']} runs as {process['user']}")
    for unit in evidence.get("units") or []:
        yield Fact("unit", unit["unit"], f"unit {unit['unit']} is {unit['state']}")
    for cron in evidence.get("crons") or []:
        yield Fact("cron_user", cron["user"], f"cron of {cron['user']}: {cron['command']}")
        yield Fact("cron", cron["command"], f"cron of {cron['user']}: {cron['command']}")
    for mount in evidence.get("mounts") or []:
        yield Fact("mount", mount["path"], f"{mount['source']} is mounted on {mount['path']}")
        yield Fact("mount", mount["source"], f"{mount['source']} is mounted on {mount['path']}")
    for directory in evidence.get("directories") or []:
        yield Fact("directory", directory["path"], f"data in {directory['path']}")
        if directory["path"].startswith("/home/"):
            yield Fact("home", directory["path"].split("/")[2], f"data in {directory['path']}")
    yield from _from_peers(evidence, peers)


def _from_peers(evidence: Mapping[str, Any], peers: Mapping[str, Resource]) -> Iterator[Fact]:
    for peer in evidence.get("peers") or []:
        known = peers.get(peer["address"])
        name = f"{known['name'] or known['id']} ({peer['address']})" if known else peer["address"]
        words = f"talks to {name} port {peer['port']}" if peer["direction"] == "out" else f"{name} talks to it"
        yield Fact("peer", peer["address"], words)
        for field in ("Project", "Role") if known else ():
            value = known["tags"].get(field, "")
            yield Fact(f"peer_{field.lower()}", value, f"{words}, whose {field} is {value}")
