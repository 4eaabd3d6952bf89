"""A hub on the company's PostgreSQL."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest
from testinfra.host import Host

from lab.company.postgresql import Postgresql
from tests.hosts import LAB, plain
from tests.hosts.company import log_of
from tests.hosts.platform import ROOT
from tests.waiting import until

testinfra_hosts = plain.hosts()[:1]
SECRET = "/etc/jupyterhub/secrets/pgpass"  # noqa: S105 - a path
# The address that the hub itself uses, with a change.
CONNECT = """
import json, sys
sys.path.insert(0, '/etc/jupyterhub')
from sqlalchemy import create_engine
from datalab_serving import database_url
url = database_url(json.load(open('/etc/jupyterhub/settings.json'))['database'])
try:
    create_engine(url.replace(sys.argv[1], sys.argv[2])).connect()
    print('connected')
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def server() -> Postgresql:
    """The company's database server."""
    return Postgresql(LAB, json.loads((ROOT / "molecule/serving/company.json").read_text(encoding="utf-8")))


@pytest.fixture
def password(host: Host) -> Iterator[str]:
    """The hub's password, which is judged at the end too."""
    text = host.file(SECRET).content_string.strip().removeprefix("*:*:*:*:")
    yield text
    assert host.file(SECRET).content_string.strip().removeprefix("*:*:*:*:") == text


def test_users_tokens_and_servers_are_in_the_database(hub, host: Host, server: Postgresql) -> None:
    seen = hub.visit("hana", "pass", calls=[["POST", "/hub/api/users/hana/tokens", {"note": "for the database"}]])
    token = json.loads(seen["answers"][0][1])["token"]
    users = {name for (name,) in server.query("select name from users")}
    assert "hana" in users
    tokens = "select prefix, hashed from api_tokens where note = 'for the database' order by id desc"
    prefix, hashed = server.query(tokens)[0]
    assert token.startswith(prefix)
    assert token not in hashed
    running = "select name from users where id in (select user_id from spawners where server_id is not null)"
    assert ["hana"] in server.query(running)
    newer = host.check_output("find /var/lib/jupyterhub -name '*.sqlite*' -newer /etc/jupyterhub/settings.json")
    assert newer == "", "another scenario of these hosts may have left one; this hub writes none"


def test_the_hubs_connections_are_encrypted(hub, server: Postgresql) -> None:
    rows = server.query("select ssl, version from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'hub'")
    assert rows
    assert {(ssl, version) for ssl, version in rows} == {("t", "TLSv1.3")}


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        ("?", "?", "connected"),
        ("database-ca.pem", "another-ca.pem", "certificate verify failed"),
        ("company.example", "localhost", "does not match host name"),
    ],
)
def test_the_servers_certificate_is_verified(host: Host, hub, old: str, new: str, answer: str) -> None:
    """With an authority that is not the server's, and with a name that is not."""
    other = "/etc/jupyterhub/another-ca.pem"
    if new == "localhost":
        new = "localhost:5432/hub?hostaddr=198.51.100.11&"
        old = "company.example:5432/hub?"
    made = "openssl req -x509 -newkey ed25519 -nodes -subj /CN=other -keyout /dev/null"
    host.check_output(f"{made} -out {other} 2>/dev/null")
    try:
        said = host.check_output(shlex.join([hub.python, "-c", CONNECT, old, new]))
    finally:
        host.check_output(f"rm {other}")
    assert answer in said


def test_the_password_is_in_one_file_of_roots(hub, host: Host, password: str) -> None:
    secret = host.file(SECRET)
    assert (secret.user, secret.group, secret.mode) == ("root", "root", 0o600)
    assert len(password) >= 32
    hub.visit("hana", "pass")
    places = "/etc /opt/atelier/bin /opt/atelier/jupyter /run /srv/data /var/lib /var/log"
    found = host.run(f"grep -rlsF -D skip --exclude-dir=containers {password} {places}").stdout.split()
    assert found == [SECRET]
    assert password not in host.check_output("ps axwwe -o args")
    assert password not in host.check_output("journalctl --boot --output cat --no-pager")


def test_a_restart_of_the_hub_keeps_servers_and_logins(hub, host: Host, at_work) -> None:
    since = "systemctl show --property ActiveEnterTimestampMonotonic jupyter-hana-singleuser.service"
    before = host.check_output(since)
    host.check_output("systemctl restart jupyterhub.service")
    hub.wait()
    at_work()
    assert host.check_output(since) == before


@pytest.mark.parametrize(
    "case",
    [
        ({"database_port": 5433}, "Connection refused", "check that the server runs"),
        ({"database_password": "not-the-password"}, "password authentication failed", "correct user and password"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_message_and_no_change(
    converge, unchanged, at_work, password: str, case: tuple[dict, str, str]
) -> None:
    values, said, remedy = case
    done = converge(**values)
    [(task, failed)] = done["failed"]
    assert task == "Refuse a database that the hub could not use"
    assert said in failed["msg"]
    assert f"What to do: {remedy}" in failed["msg"]
    assert "nothing was changed" in failed["msg"]
    assert done["changed"] == []
    assert password not in str(done)
    unchanged()
    at_work()


def test_a_database_that_dies_under_the_hub_ends_no_kernel(hub, host: Host, server: Postgresql, at_work) -> None:
    """Nor does it end the hub, which goes on by itself when the database is back."""
    unit = "systemctl show --property MainPID jupyterhub jupyter-hana-singleuser"
    before, now = host.check_output(unit), host.check_output("date +%s")
    server.crash()
    try:
        assert hub.visit("igor") == {"login": False}
        until(lambda: "OperationalError" in log_of(host, now))
    finally:
        server.resume()
    hub.wait()
    assert hub.visit("igor", "print(6 * 7)")["output"] == "42"
    at_work()
    assert host.check_output(unit) == before
