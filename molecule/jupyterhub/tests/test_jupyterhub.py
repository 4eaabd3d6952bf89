"""A hub from inside its host: what members can do, what they cannot, and what lies where."""

from __future__ import annotations

import json
import secrets

import pytest
from testinfra.host import Host

from tests.hosts import plain

testinfra_hosts = plain.hosts()


def test_member_runs_code_in_the_projects_kernel(hub) -> None:
    seen = hub.visit(hub.members[0], "import sys, os, numpy; print(numpy.arange(10).sum(), sys.prefix, os.getcwd())")
    total, prefix, folder = seen["output"].split()
    assert (total, folder) == ("45", f"/srv/data/home/{hub.members[0]}")
    assert f"/{hub.kernel}" in prefix
    assert seen["kernels"] == [hub.kernel]


def test_wrong_password_and_unknown_login_are_refused(hub) -> None:
    assert hub.visit(hub.members[0], password=secrets.token_hex())["login"] is False
    assert hub.visit("nosuchuser", password=secrets.token_hex())["login"] is False


def test_account_outside_the_project_is_refused(hub, host: Host) -> None:
    password = secrets.token_hex()
    with host.sudo():
        host.check_output("id outsider >/dev/null 2>&1 || useradd --no-create-home outsider")
        host.check_output(f"echo outsider:{password} | chpasswd")
    try:
        assert hub.visit("outsider", password=password)["login"] is False
    finally:
        with host.sudo():
            host.check_output("userdel outsider")


def test_who_leaves_the_project_is_logged_out(hub, host: Host) -> None:
    login = hub.members[1]
    with host.sudo():
        settings = json.loads(host.file("/etc/jupyterhub/settings.json").content_string)
    group = settings["projects"][0]["group"]
    seconds = settings["membership_seconds"] + 3
    try:
        seen = hub.visit(login, after=["gpasswd", "--delete", login, group], seconds=seconds)
        assert seen == {"login": True, "inside": False}
        assert hub.visit(login)["login"] is False
    finally:
        with host.sudo():
            host.check_output(f"gpasswd --add {login} {group}")
    assert hub.visit(login, after=["true"], seconds=seconds) == {"login": True, "inside": True}


def test_a_greedy_cell_is_killed_and_the_others_go_on(hub) -> None:
    first, second = hub.members
    kept = hub.visit(first, "x = 42")["kernel"]
    other = hub.visit(second, "y = 7")["kernel"]
    greedy = hub.visit(first, f"a = b'x' * ({2 * hub.limit} * 2**20); print('survived', len(a))")
    assert greedy["died"] is True
    assert greedy["output"] == ""
    assert hub.visit(first, "print(x)", kernel=kept)["output"] == "42"
    assert hub.visit(second, "print(y)", kernel=other)["output"] == "7"


def test_restart_of_the_hub_keeps_servers_and_kernels(hub, host: Host) -> None:
    login = hub.members[0]
    kernel = hub.visit(login, "kept = 'still here'")["kernel"]
    since = f"systemctl show --property ActiveEnterTimestampMonotonic jupyter-{login}-singleuser.service"
    before = host.check_output(since)
    with host.sudo():
        host.check_output("systemctl restart jupyterhub.service")
    hub.wait()
    assert hub.visit(login, "print(kept)", kernel=kernel)["output"] == "still here"
    assert host.check_output(since) == before


def test_server_is_confined(hub, host: Host) -> None:
    login = hub.members[0]
    hub.visit(login, "pass")
    unit = f"jupyter-{login}-singleuser.service"
    shown = host.check_output(f"systemctl show {unit} --property=MemoryMax,PrivateTmp,NoNewPrivileges,OOMPolicy,UMask")
    properties = dict(line.split("=", 1) for line in shown.splitlines())
    assert properties == {
        "MemoryMax": str(hub.limit * 2**20),
        "NoNewPrivileges": "yes",
        "OOMPolicy": "continue",
        "PrivateTmp": "yes",
        "UMask": "0027",
    }
    hub.visit(login, "import tempfile; open(tempfile.gettempdir() + '/from-the-server', 'w').close()")
    assert host.run("find /tmp /var/tmp -maxdepth 1 -name from-the-server | grep .").rc == 1
    assert "PermissionError" in hub.visit(login, "open('/etc/shadow')")["output"]


def test_culling_is_stated_in_full(host: Host) -> None:
    with host.sudo():
        culler = next(p for p in host.process.filter(user="root") if "jupyterhub_idle_culler" in p.args)
        settings = json.loads(host.file("/etc/jupyterhub/settings.json").content_string)
    assert f"--timeout={settings['idle_seconds']}" in culler.args
    assert f"--cull-every={settings['idle_check_seconds']}" in culler.args
    assert f"--max-age={settings['max_age_seconds']}" in culler.args


@pytest.mark.parametrize(
    "path",
    ["/etc/jupyterhub/secrets/proxy.env", "/etc/jupyterhub/tls/key.pem", "/var/lib/jupyterhub/cookie_secret"],
)
def test_secrets_are_roots_alone(host: Host, path: str) -> None:
    with host.sudo():
        secret = host.file(path)
        assert (secret.user, secret.group, secret.mode) == ("root", "root", 0o600)
    with host.sudo("nobody"):
        assert host.run(f"cat {path}").rc != 0


def test_nothing_secret_in_the_process_list(hub, host: Host) -> None:
    hub.visit(hub.members[0], "pass")
    with host.sudo():
        token = host.file("/etc/jupyterhub/secrets/proxy.env").content_string.strip().partition("=")[2]
        cookie = host.file("/var/lib/jupyterhub/cookie_secret").content_string.strip()
        unit = f"jupyter-{hub.members[0]}-singleuser"
        environment = host.file(f"/run/{unit}/{unit}.env").content_string
        listed = host.check_output("ps axww -o args")
    api = next(line.partition("=")[2] for line in environment.splitlines() if line.startswith("JUPYTERHUB_API_TOKEN="))
    assert len(token) == 64
    assert len(api) >= 32
    for secret in (token, cookie, api):
        assert secret not in listed


def test_only_https_and_its_redirect_are_open(host: Host) -> None:
    listening = host.check_output("ss -Hlnt | awk '{print $4}'").splitlines()
    elsewhere = {
        entry.rpartition(":")[2] for entry in listening if not entry.startswith(("127.", "[::1]", "[::ffff:127."))
    }
    assert elsewhere <= {"22", "80", "443"}
    assert {"80", "443"} <= elsewhere


def test_answers_carry_the_protective_headers(hub, host: Host) -> None:
    head = host.check_output(f"curl -sk -D - -o /dev/null {hub.url}/hub/login").lower()
    assert "strict-transport-security: max-age=" in head
    assert "x-content-type-options: nosniff" in head
    assert "frame-ancestors 'none'" in head
    assert all("secure" in line for line in head.splitlines() if line.startswith("set-cookie"))
    assert "301" in host.check_output(f"curl -s -o /dev/null -w '%{{http_code}}' {hub.url.replace('https', 'http')}/")


def test_a_configuration_that_does_not_hold_is_refused(hub, host: Host) -> None:
    check = f"{hub.python} /etc/jupyterhub/check_config.py"
    with host.sudo():
        assert host.run(f"{check} /etc/jupyterhub/jupyterhub_config.py").rc == 0
        for wrong, *why in (
            (
                (
                    "c.JupyterHub.bind_urll = 'x'; c.Spawnr.cpu_limit = 1;"
                    " c.JupyterHub.spawner_class = 'systemd'; c.SystemdSpawner.isolate_tmp = 'perhaps'"
                ),
                "JupyterHub has no setting bind_urll",
                "there is no class Spawnr",
                "isolate_tmp",
            ),
            ("c.JupyterHub.port =", "SyntaxError"),
        ):
            host.check_output(f'echo "{wrong}" > /run/wrong.py')
            refused = host.run(f"{check} /run/wrong.py")
            assert refused.rc != 0
            assert [part for part in why if part not in refused.stderr] == []
        host.run("rm -f /run/wrong.py")
