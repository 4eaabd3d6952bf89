"""Logins by the company's directory, its groups as projects, administrators of one project, the end of a session."""

from __future__ import annotations

import json
import shlex
import time

import pytest

from lab.company.slapd import LOOKUP, SUFFIX
from tests.hosts import plain
from tests.hosts.company import groups_of, log_of, passwords, runs
from tests.waiting import until

testinfra_hosts = plain.hosts()[:1]
WRONG = "Invalid username or password"
ASK = """
import json, sys
sys.path.insert(0, '/etc/jupyterhub')
from traitlets.config import Config
import datalab_ldap
settings = json.load(open('/etc/jupyterhub/settings.json'))
settings['authentication'] |= json.loads(sys.argv[1])
config = Config()
datalab_ldap.configure_ldap(config, settings)
member = datalab_ldap.LdapMember(config=config)
try:
    member.get_connection(member.lookup_dn_search_user, member.lookup_dn_search_password)
    print('bound')
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def now(host) -> str:
    """This second, for the log."""
    return host.check_output("date +%s")


def test_a_person_of_the_mapped_group_enters_both_projects(visitor, host):
    """vito has an account through one project; the directory puts him into the other."""
    vito = visitor("vito")
    assert vito.log_in() == (302, "")
    assert groups_of(host, "vito") == {"proj-theta", "proj-theta-lab"}
    vito.get_token()
    assert set(vito.api("GET", "/user")[1]["groups"]) == {"proj-theta", "proj-theta-lab"}


def test_a_person_of_another_group_enters_none_but_the_datas(visitor, host):
    assert visitor("wanda").log_in() == (302, "")
    assert groups_of(host, "wanda") == {"proj-theta-lab"}


def test_who_leaves_the_mapped_group_loses_the_running_server(visitor, host, directory):
    """At the next request, here to the server itself: a process keeps the groups that it began with. The rest stays."""
    vito = visitor("vito")
    assert vito.log_in()[0] == 302
    vito.get_token()
    vito.start()
    assert groups_of(host, "vito") == {"proj-theta", "proj-theta-lab"}
    directory.member("delete", "vito")
    time.sleep(2)  # jupyterhub_membership_seconds
    assert runs(host, "vito"), "nobody has asked yet"
    vito.ask("/user/vito/api/status")
    until(lambda: not runs(host, "vito"), 10)
    assert groups_of(host, "vito") == {"proj-theta-lab"}
    assert vito.api("GET", "/user")[1]["groups"] == ["proj-theta-lab"]
    vito.start()
    assert vito.api("DELETE", "/users/vito/server")[0] in {202, 204}


def test_an_administrator_of_one_project_runs_its_members_servers_and_enters_none(visitor, host):
    """uma of theta: vito is a member there, wanda is not."""
    uma, vito, wanda = (visitor(login) for login in ("uma", "vito", "wanda"))
    for person in (uma, vito, wanda):
        assert person.log_in()[0] == 302
        person.get_token()
    wanda.start()
    assert {user["name"] for user in uma.api("GET", "/users")[1]} == {"uma", "vito"}
    assert uma.api("POST", "/users/vito/server")[0] in {201, 202}
    until(lambda: vito.ask("/user/vito/api/status")[0] == 200, 120)
    assert uma.api("GET", "/users/vito")[1]["servers"][""]["ready"] is True
    for login in ("vito", "wanda"):
        assert uma.ask(f"/user/{login}/api/status")[0] == 403
        assert uma.api("POST", f"/users/{login}/tokens")[0] in {403, 404}
    assert uma.api("DELETE", "/users/vito/server")[0] in {202, 204}
    until(lambda: not runs(host, "vito"), 30)
    assert uma.api("GET", "/users/wanda")[0] in {403, 404}
    assert uma.api("DELETE", "/users/wanda/server")[0] in {403, 404}
    assert runs(host, "wanda")
    assert wanda.api("DELETE", "/users/wanda/server")[0] in {202, 204}
    until(lambda: not runs(host, "wanda"), 30)
    assert uma.api("POST", "/users/wanda/server")[0] in {403, 404}


def test_wrong_password_and_unknown_person_look_the_same_on_the_page_and_not_in_the_log(visitor, host, now):
    assert visitor("vito").log_in("wrong") == (403, WRONG)
    assert visitor("nobody-here").log_in("wrong") == (403, WRONG)
    log = log_of(host, now)
    assert "Failed to bind user 'vito'" in log
    assert "No response looking up 'nobody-here'" in log
    assert passwords()["vito"] not in log


def test_a_person_without_account_is_told_so(visitor, host):
    code, said = visitor("xeno").log_in()
    assert code == 403
    assert "there is no account of that name on this machine" in said
    assert host.run("id xeno").rc != 0


@pytest.mark.parametrize("login", ["*", "vito)(uid=*", "vito,ou=people", "../vito", "root", "vito\nvito"])
def test_characters_that_mean_something_are_harmless(visitor, host, now, login):
    """With the password of somebody real, so that a search that matched would let them in."""
    code, _ = visitor(login).log_in(passwords()["vito"])
    assert code in {400, 403}
    assert "Traceback" not in log_of(host, now)


def test_a_directory_that_is_gone_is_said_and_ends_no_login(visitor, host, now, directory):
    vito = visitor("vito")
    assert vito.log_in()[0] == 302
    vito.get_token()
    directory.end()
    code, said = visitor("wanda").log_in()
    assert code == 503
    assert "directory does not answer" in said
    assert "directory company.example:636: LDAPSocketOpenError" in log_of(host, now)
    assert vito.api("GET", "/user")[0] == 200


def test_an_account_to_search_with_that_is_refused_is_no_wrong_password(visitor, host, now, directory):
    directory.modify(LOOKUP.removesuffix(f",{SUFFIX}"), "replace: userPassword", "userPassword: another")
    code, said = visitor("vito").log_in()
    assert code == 503
    assert "directory does not answer" in said
    assert "renew its password" in log_of(host, now)


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({}, "bound"),
        ({"url": "ldap://company.example"}, "bound"),
        ({"ca_file": "/etc/ssl/certs/ca-certificates.crt"}, "CERTIFICATE_VERIFY_FAILED"),
        (
            {"url": "ldap://company.example", "ca_file": "/etc/ssl/certs/ca-certificates.crt"},
            "CERTIFICATE_VERIFY_FAILED",
        ),
        ({"url": "ldaps://localhost:6360"}, "LDAPSocketOpenError"),
        ({"url": "ldaps://198.51.100.11"}, "doesn't match"),
    ],
)
def test_the_directory_is_asked_over_tls_that_is_verified(host, change, answer):
    python = (
        host.check_output("systemctl show --property ExecStart --value jupyterhub").split("path=")[1].split("/bin/")[0]
    )
    words = [f"{python}/bin/python", "-c", ASK, json.dumps(change)]
    assert answer in host.check_output(shlex.join(words))


def test_who_is_closed_on_the_machine_is_out_whatever_the_directory_says(visitor, host):
    wanda = visitor("wanda")
    assert wanda.log_in()[0] == 302
    wanda.get_token()
    host.check_output("usermod --expiredate 1970-01-02 wanda")
    try:
        until(lambda: wanda.api("GET", "/user")[0] == 403)
        code, said = visitor("wanda").log_in()
    finally:
        host.check_output("usermod --expiredate '' wanda")
    assert (code, "your account on this machine is closed" in said) == (403, True)


def test_secrets_are_roots_alone(host):
    secret = host.file("/etc/jupyterhub/secrets/authentication")
    assert (secret.user, secret.group, secret.mode) == ("root", "root", 0o600)
    text = secret.content_string.strip()
    assert text
    assert text not in host.file("/etc/jupyterhub/settings.json").content_string
    assert text not in host.check_output("ps axwwe -o args")
    assert text not in host.check_output("journalctl --boot --output cat --no-pager")
    assert host.file("/var/lib/jupyterhub/directory.json").mode == 0o600
