"""Two projects on one hub: what colleagues share; each door is closed to the others. Each probe gets in once."""

from __future__ import annotations

import json
import secrets

import pytest
from testinfra.host import Host

from tests.hosts import plain
from tests.waiting import until

testinfra_hosts = plain.hosts()
SHARED, READ_ONLY = "/srv/data/projects/kappa", "/srv/data/reference/kappa/survey"


def test_colleagues_meet_on_the_collaborative_server(hub, people, host: Host) -> None:
    """One starts it, both are on one kernel as themselves, and what it writes is everybody's."""
    code = f"import getpass; met = 'here'; open('{SHARED}/from-both.txt', 'w').close(); print(getpass.getuser())"
    seen = hub.visit("pia", code, server="kappa-collab")
    assert seen["output"] == "kappa-collab"
    code, text = people.ask("pia", "GET", "/user/kappa-collab/api/contents")
    assert "from-both.txt" in [entry["name"] for entry in json.loads(text)["content"]], "its files are the project's"
    assert seen["kernels"] == ["kappa-base"]
    assert hub.visit("quim", "print(met)", server="kappa-collab", kernel=seen["kernel"])["output"] == "here"
    for login in ("pia", "quim"):
        code, text = people.ask(login, "GET", "/user/kappa-collab/api/me")
        assert code == 200
        assert json.loads(text)["identity"]["username"] == login
    journal = host.check_output("journalctl -u jupyter-kappa-collab-singleuser --no-pager")
    assert "Error notifying Hub of activity" not in journal, "it would be culled while it is in use"
    host.run_expect([0], f"runuser -u quim -- sh -c 'echo quim >> {SHARED}/from-both.txt && rm {SHARED}/from-both.txt'")


def test_collaboration_is_for_the_collaborative_server_alone(people) -> None:
    """On a personal server another copy of a file in somebody's browser would only be in the way."""
    assert '"disableRTC": true' in people.ask("pia", "GET", "/user/pia/lab")[1]
    assert '"disableRTC": false' in people.ask("pia", "GET", "/user/kappa-collab/lab")[1]


def test_member_finds_the_collaborative_server_on_the_home_page(hub) -> None:
    for login, finds in (("pia", True), ("quim", True), ("ruth", False)):
        code, page = hub.visit(login, calls=[["GET", "/hub/home", None]])["answers"][0]
        assert code == 200
        assert ('href="/hub/spawn/kappa-collab"' in page) is finds, login


def test_nobody_logs_in_as_the_collaborative_server(hub, host: Host) -> None:
    """Not even with a password that somebody gave the account; that it works for pia is seen in every test."""
    account = host.user("kappa-collab")
    assert (account.uid, account.gid, account.shell) == (416000, 416000, "/usr/sbin/nologin")
    assert account.password.startswith("!")
    password = secrets.token_urlsafe(16)
    host.run_expect([0], f"echo kappa-collab:{password} | chpasswd")
    try:
        assert hub.visit("kappa-collab", password=password)["login"] is False
    finally:
        host.run_expect([0], "usermod --password '!' kappa-collab")


DOORS = {
    "shared folder": ("ls", SHARED, "pia"),
    "read-only data": ("ls", READ_ONLY, "quim"),
    "home": ("ls", "/srv/data/home/pia", "pia"),
    "kernels": ("ls", "/opt/atelier/jupyter/projects/kappa", "pia"),
    "kernel connection files": ("ls", "/srv/data/home/pia/.local/share/jupyter/runtime", "pia"),
    "archive": ("ls", "/srv/data/archive", "root"),
    "hub's files": ("ls", "/var/lib/jupyterhub", "root"),
    "environment of a server": ("cat", "/run/jupyter-pia-singleuser/jupyter-pia-singleuser.env", "root"),
    "home of the collaborative server": ("ls", "/srv/data/home/kappa-collab", "kappa-collab"),
}


@pytest.mark.parametrize("door", DOORS)
def test_files_behind_a_door(people, host: Host, door: str) -> None:
    """Closed to the outsider, and to the colleague too where it is one member's own; open to whom it belongs."""
    command, path, owner = DOORS[door]
    for login in ("ruth", *(["quim"] if "/home/" in path or owner == "root" else [])):
        assert "Permission denied" in host.run(f"runuser -u {login} -- {command} {path}").stderr, login
    host.run_expect([0], f"runuser -u {owner} -- {command} {path}")


def test_tmp_of_a_server_is_its_own(people, hub, host: Host) -> None:
    look = "import glob; print(glob.glob('/tmp/**/of-pia', recursive=True))"
    assert hub.visit("quim", look)["output"] == "[]"
    assert hub.visit("pia", look)["output"] == "['/tmp/of-pia']"
    for login in ("quim", "ruth"):
        inside = host.run(f"runuser -u {login} -- find /tmp /var/tmp -name of-pia -print")
        assert (inside.stdout, "Permission denied" in inside.stderr) == ("", True)


@pytest.mark.parametrize("path", ["/api/status", "/api/contents", "/api/kernels", "/api/terminals", "/api/sessions"])
def test_server_is_its_owners_through_the_proxy_and_on_loopback(people, host: Host, path: str) -> None:
    """The port is open to every account of the machine; what is behind it asks the hub who comes."""
    unit = host.file("/run/jupyter-pia-singleuser/jupyter-pia-singleuser.env").content_string
    own = next(line.partition("=")[2] for line in unit.splitlines() if line.startswith("JUPYTERHUB_SERVICE_URL="))
    direct = own.strip('"').split("/user/")[0]
    for url in ("", direct):
        assert people.status("pia", f"/user/pia{path}", url=url) == 200
        for login in ("quim", "ruth", ""):
            assert people.status(login, f"/user/pia{path}", url=url) == 403, (login, url)
    assert people.status("quim", "/user/pia/api/terminals", method="POST") == 403
    assert people.status("ruth", "/user/kappa-collab/api/contents") == 403
    assert people.status("quim", "/user/kappa-collab/api/contents") == 200


def test_hub_api_shows_and_does_nothing_for_others(people) -> None:
    for login in ("quim", "ruth"):
        assert people.status(login, "/hub/api/users/pia/server", method="POST") in (403, 404)
        assert people.status(login, "/hub/api/users/pia/server", method="DELETE") in (403, 404)
        assert people.status(login, "/hub/api/users/pia/tokens", method="POST") in (403, 404)
        assert people.status(login, "/hub/api/users", method="GET") in (200, 403)
        assert "last_activity" not in people.ask(login, "GET", "/hub/api/users/pia")[1]
    assert people.status("pia", "/hub/api/users/pia/server", method="POST") == 400, "it runs already"
    assert people.status("ruth", "/hub/api/users/kappa-collab/server", method="POST") in (403, 404)
    assert people.status("ruth", "/hub/api/users/kappa-collab") in (403, 404)
    assert people.status("quim", "/hub/api/users/kappa-collab") == 200


def test_a_server_is_shared_with_a_colleague_only(people) -> None:
    """By name, inside the project, until it is revoked; a code that anybody could use is not to be had."""
    assert people.status("quim", "/user/pia/api/status") == 403
    assert people.ask("pia", "POST", "/hub/api/shares/pia/", {"user": "quim"})[0] == 200
    try:
        until(lambda: people.status("quim", "/user/pia/api/status") == 200, 10)
        assert people.ask("quim", "POST", "/hub/api/shares/pia/", {"user": "tess"})[0] in (403, 404), (
            "a guest shares on"
        )
    finally:
        assert people.ask("pia", "PATCH", "/hub/api/shares/pia/", {"user": "quim"})[0] == 200
    until(lambda: people.status("quim", "/user/pia/api/status") == 403, 10)
    for stranger in ({"user": "ruth"}, {"group": "proj-lambda"}):
        assert people.ask("pia", "POST", "/hub/api/shares/pia/", stranger)[0] == 403
    assert people.ask("pia", "POST", "/hub/api/share-codes/pia/", {})[0] == 404


def test_read_only_data_is_written_by_its_writer_alone(people, hub, host: Host) -> None:
    """By the named writer; not by a colleague, in a shell, a notebook or on the collaborative server."""
    hub.visit("pia", f"open('{READ_ONLY}/figures.csv', 'w').write('1')")
    try:
        read = f"print(open('{READ_ONLY}/figures.csv').read()); open('{READ_ONLY}/figures.csv', 'a')"
        for who in ({}, {"server": "kappa-collab"}):
            output = hub.visit("quim", read, **who)["output"]
            assert output.startswith("1")
            assert "Read-only file system" in output or "Permission denied" in output
        host.run_expect([0], f"runuser -u quim -- cat {READ_ONLY}/figures.csv")
        for command in (f"touch {READ_ONLY}/mine", f"rm {READ_ONLY}/figures.csv", f"tee -a {READ_ONLY}/figures.csv"):
            assert "Permission denied" in host.run(f"runuser -u quim -- {command} </dev/null").stderr
        assert host.file("/srv/data/home/quim/reference/kappa").linked_to == "/srv/data/reference/kappa"
    finally:
        host.run_expect([0], f"rm -f {READ_ONLY}/figures.csv")
