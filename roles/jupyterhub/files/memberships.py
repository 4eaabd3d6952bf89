"""memberships.py: end in the hub what a member had who left. Runs beside the hub, as one of its services.

The Unix groups say who is in which project; they open a project's files too. The hub's own groups follow them at once,
not at the leaver's next request, which need not come. Whoever is in no project any more is deleted from the hub:
server, sessions, tokens and shares end with that. A share between two people without a common project is revoked. The
servers that a leaver could be in (the own one, the collaborative one, those that were shared) are stopped, because a
process keeps the groups it began with, and a connection that is open would stay open.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

SETTINGS = Path(__file__).resolve().with_name("settings.json")
GROUPS = Path("/etc/group")
LOOK_SECONDS, ALWAYS_SECONDS = 1, 60
Groups = dict[str, set[str]]


@dataclass
class Known:
    """What is remembered from one look to the next."""

    groups: Groups = field(default_factory=dict)  # who was in which
    stops: set[tuple[str, str]] = field(default_factory=set)  # (owner, server), still to be stopped


def collaborators(projects: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The projects with a collaborative server, by the account that runs it (role members makes it)."""
    return {f"{p['name']}-collab": p for p in projects if p.get("collaboration")}


def memberships(settings: dict[str, Any]) -> Groups:
    """Who is in which projects' groups on this host, the accounts of the collaborative servers included."""
    found = {login: {project["group"]} for login, project in collaborators(settings["projects"]).items()}
    for project in settings["projects"]:
        try:
            members = grp.getgrnam(project["group"]).gr_mem
        except KeyError:  # the group was removed: nobody is in it
            continue
        for login in members:
            found.setdefault(login, set()).add(project["group"])
    return found


def is_platforms(login: str, data_root: str) -> bool:
    """Whether it is an account of the platform itself, such as the health check's, which is in no project."""
    try:
        return pwd.getpwnam(login).pw_dir != f"{data_root}/home/{login}"
    except KeyError:
        return False


def leavers(users: Iterable[str], groups: Groups, kept: Iterable[str]) -> list[str]:
    """Users of the hub who are in no project, apart from those who are kept."""
    return sorted(set(users) - set(groups) - set(kept))


def losses(users: Groups, before: Groups, groups: Groups, projects: set[str]) -> Groups:
    """Who of the hub's users has left which projects' groups.

    :param users: the groups in which the hub believes each.
    :param before: who was in which groups at the last look: the hub may have learnt of the end by itself since.
    :param groups: who is in which groups now.
    :param projects: the groups of the projects.
    """
    left = {u: ((known | before.get(u, set())) & projects) - groups.get(u, set()) for u, known in users.items()}
    return {login: lost for login, lost in left.items() if lost}


def strangers(shares: Iterable[tuple[str, str]], groups: Groups) -> list[tuple[str, str]]:
    """Shares, as (owner, guest), between two who have no project in common."""
    return [(o, g) for o, g in shares if not groups.get(o, set()) & groups.get(g, set())]


class Hub:
    """The hub's REST API with the rights of this service."""

    def __init__(self) -> None:
        self.url = os.environ["JUPYTERHUB_API_URL"]
        self.headers = {
            "Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}",
            "Accept": "application/jupyterhub-pagination+json",
        }

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request; what is no longer there to be deleted is as good as deleted.

        :raises HTTPError: when the hub refuses.
        """
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}{path}", data, self.headers, method=method)  # noqa: S310 - the hub's own address
        try:
            with urlopen(request, timeout=60) as answer:  # noqa: S310
                text = answer.read()
        except HTTPError as error:
            if method == "DELETE" and error.code == 404:
                return None
            raise
        return json.loads(text) if text else None

    def listed(self, path: str) -> Iterator[dict[str, Any]]:
        """All entries of a list, page by page."""
        offset: int | None = 0
        while offset is not None:
            page = self.call("GET", f"{path}?limit=200&offset={offset}")
            yield from page["items"]
            offset = (page["_pagination"]["next"] or {}).get("offset")

    def shares(self, users: Iterable[str]) -> list[tuple[str, str, str]]:
        """Every server that is shared with one of the users, as (owner, server, guest)."""
        return [
            (share["server"]["user"]["name"], share["server"]["name"], guest)
            for guest in users
            for share in self.listed(f"/users/{quote(guest)}/shared")
            if share["user"]
        ]


def tidy(hub: Hub, settings: dict[str, Any], known: Known, everything: bool) -> list[str]:
    """One look; return what was done, in words. What fails half way is completed by the next look.

    :param everything: look at the shares of those who stay too; they change with the groups only.
    """
    groups = memberships(settings)
    users = {user["name"]: set(user["groups"]) for user in hub.listed("/users")}
    platforms = [login for login in users if is_platforms(login, settings["data_root"])]
    gone = leavers(users, groups, settings["admins"] + platforms)
    left = losses(users, known.groups, groups, {project["group"] for project in settings["projects"]})
    shares = hub.shares(users if everything else gone)
    foreign = set(strangers([(owner, guest) for owner, _, guest in shares], groups))
    said = []
    # First nobody gets in any more, then what is open is closed.
    ended = set().union(*left.values())
    known.stops |= {(login, "") for login in left}
    known.stops |= {(login, "") for login, p in collaborators(settings["projects"]).items() if p["group"] in ended}
    known.stops |= {(owner, server) for owner, server, guest in shares if (owner, guest) in foreign}
    for login in gone:
        hub.call("DELETE", f"/users/{quote(login)}")
        said.append(f"{login} is in no project any more: server, sessions, tokens and shares ended")
    for login in sorted(set(left) - set(gone)):
        for group in left[login] & users[login]:
            hub.call("DELETE", f"/groups/{quote(group)}/users", {"users": [login]})
        said.append(f"{login} has left {', '.join(sorted(left[login]))}: server stopped")
    for owner, server, guest in shares:
        if (owner, guest) in foreign:
            hub.call("DELETE", f"/users/{quote(guest)}/shared/{quote(owner)}/{quote(server)}")
            said.append(f"{owner} and {guest} have no project in common any more: share ended, server stopped")

    def stop(server: tuple[str, str]) -> None:
        login, name = server
        if login in users and login not in gone:
            hub.call("DELETE", f"/users/{quote(login)}/server{'s/' + quote(name) if name else ''}")
        known.stops.discard(server)

    with ThreadPoolExecutor(8) as pool:  # each takes seconds, and the last must not wait for the others
        list(pool.map(stop, sorted(known.stops)))
    known.groups = groups
    return said


def main() -> None:
    """Look whenever the groups change, and once a minute at the users in any case."""
    hub, known, seen, looked = Hub(), Known(), None, 0.0
    while True:
        now = GROUPS.stat()
        stamp = now.st_ino, now.st_mtime_ns
        if stamp != seen or time.monotonic() - looked > ALWAYS_SECONDS:
            try:
                settings = json.loads(SETTINGS.read_text(encoding="utf-8"))
                for line in tidy(hub, settings, known, everything=stamp != seen):
                    sys.stdout.write(f"memberships: {line}\n")
                seen, looked = stamp, time.monotonic()
            except (URLError, OSError, ValueError) as error:  # the hub restarts, or a server is just stopping
                sys.stderr.write(f"memberships: {error}; will try again\n")
            sys.stdout.flush()
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
