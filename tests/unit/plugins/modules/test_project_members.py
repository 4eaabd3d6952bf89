"""The module against real account files and tools, in namespaces of its own: /etc, /srv, /var/spool and processes.

Run as a program, inside those namespaces, this file carries out steps from standard input and prints the results.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[4]
# Root needs no user namespace; others get the range of numbers that /etc/subuid gives them.
AS_ROOT = [] if os.geteuid() == 0 else ["--user", "--map-root-user", "--map-auto"]
ENTER = ["unshare", *AS_ROOT, "--mount", "--pid", "--fork", "--mount-proc", "--propagation=private", "sh", "-ec"]
OWN_FILES = """
mount -t tmpfs -o mode=755 tmpfs /srv
mkdir -p /srv/own/etc /srv/own/spool/cron/crontabs
cp -r /etc/ld.so.cache /etc/login.defs /etc/pam.d /etc/security /srv/own/etc/ 2>/dev/null || true
echo 'root:x:0:0:root:/root:/bin/sh' > /srv/own/etc/passwd
echo 'root:*:19000:0:99999:7:::' > /srv/own/etc/shadow
echo 'root:x:0:' > /srv/own/etc/group
echo 'root:*::' > /srv/own/etc/gshadow
mount --bind /srv/own/etc /etc
mount --bind /srv/own/spool /var/spool
exec "$0" "$1"
"""
HASH = "$6$saltsaltsalt$0ODLT3YXSnwbHn0gTGoSHOqEBGmTYDq4VlV/8oGJIqTE1cKCyUYtrOSq7cVGWBMKsmk3Sms7dwYwGgCMqKKdM1"
ANN, BEN = {"login": "ann", "name": "Ann", "uid": 41001}, {"login": "ben", "name": "Ben", "uid": 41002}
BOTH = {"accounts": [ANN, BEN], "password_hashes": {"ann": HASH}, "collaboration": True}
BOTH |= {"read_only": [{"name": "survey", "writers": ["ann"]}]}


def project(check: bool = False, name: str = "one", gid: int = 41000, **change: Any) -> dict[str, Any]:
    """A step that runs the module."""
    arguments = {"project": name, "group": f"proj-{name}", "gid": gid, "data_root": "/srv/data", **BOTH, **change}
    return {"module": {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}}


def carry_out(*steps: dict[str, Any] | str) -> list[Any]:
    """Run steps in fresh namespaces; a module gives its result, a command its output."""
    done = subprocess.run(
        [*ENTER, OWN_FILES, sys.executable, __file__], input=json.dumps(steps), text=True,
        capture_output=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


STATE = "cat /etc/passwd /etc/shadow /etc/group; ls -lR /srv/data 2>/dev/null; getfacl -pR /srv/data 2>/dev/null; true"
ALONE = {"accounts": [ANN], "password_hashes": {"ann": HASH}, "collaboration": False, "read_only": []}


def test_create_again_modify_again_remove_again() -> None:
    """In check mode the same is said and nothing changes; the second time there is nothing to say."""
    lines = []
    for change in ({}, {"read_only": [{"name": "survey", "writers": ["ben"]}]}, ALONE):
        again = project(**change)
        lines += [
            STATE,
            project(check=True, **change),
            STATE,
            again,
            STATE,
            project(check=True, **change),
            again,
            STATE,
        ]
    results = carry_out(*lines)
    for start in range(0, len(results), 8):
        before, foreseen, untouched, made, after, checked, repeated, still = results[start : start + 8]
        assert foreseen["changed"], foreseen
        assert untouched == before
        assert made["changes"] == foreseen["changes"]
        assert made["diff"] == foreseen["diff"]
        assert after != before
        assert (checked["changed"], repeated["changed"]) == (False, False), (checked, repeated)
        assert still == after
    made = results[3 + 16]
    assert made["removed"] == ["ben"]
    assert HASH not in json.dumps([r for r in results if isinstance(r, dict)])


def test_what_is_made() -> None:
    _, account, facl, homes, link = carry_out(
        project(),
        "getent passwd one-collab",
        "getfacl -cp /srv/data/reference/one/survey",
        "stat -c '%n %U %a' /srv/data/home/*",
        "readlink /srv/data/home/ann/projects/one /srv/data/home/ann/reference/one",
    )
    assert account == (
        "one-collab:x:41000:41000:Collaborative server of one:/srv/data/home/one-collab:/usr/sbin/nologin\n"
    )
    assert "user:ann:rwx" in facl.splitlines()
    assert "group:proj-one:r-x" in facl.splitlines()
    assert "other::---" in facl.splitlines()
    assert [line.split()[2] for line in homes.splitlines()] == ["700"] * 3
    assert link == "/srv/data/projects/one\n/srv/data/reference/one\n"


def test_who_leaves_and_comes_back() -> None:
    """Everything is where the message says; the home, the password and the account are there again afterwards."""
    results = carry_out(
        project(),
        "echo kept > /srv/data/home/ann/file; echo '* * * * * true' > /var/spool/cron/crontabs/ann",
        project(accounts=[BEN], read_only=[]),
        "cat /srv/data/archive/ann/file; cat /srv/data/archive/ann.jobs/crontabs-ann; ls /var/spool/cron/crontabs",
        "stat -c %a /srv/data/archive; grep ^ann: /etc/shadow; id -nG ann",
        project(),
        "cat /srv/data/home/ann/file; grep ^ann: /etc/shadow; id -nG ann",
    )
    left = results[2]
    assert left["archived"] == [{"login": "ann", "home": "/srv/data/archive/ann", "jobs": "/srv/data/archive/ann.jobs"}]
    assert results[3] == "kept\n* * * * * true\n"
    mode, shadow, groups = results[4].splitlines()
    assert (mode, groups) == ("700", "ann")
    assert shadow.startswith(f"ann:!{HASH}:")
    assert shadow.split(":")[7] == "1"
    assert results[5]["changes"][1:] != []
    kept, shadow, groups = results[6].splitlines()
    assert (kept, groups) == ("kept", "ann proj-one")
    assert shadow.startswith(f"ann:{HASH}:")
    assert shadow.split(":")[7] == ""


def test_who_stays_in_another_project_keeps_account_and_home() -> None:
    two = project(name="two", gid=41010, accounts=[ANN], collaboration=False, read_only=[])
    results = carry_out(
        project(), two, project(accounts=[BEN], read_only=[]),
        "ls /srv/data/home /srv/data/home/ann/projects; id -nG ann; grep ^ann: /etc/shadow",
    )  # fmt: skip
    assert results[2]["archived"] == []
    listed = results[3].split()
    assert listed[:3] == ["/srv/data/home:", "ann", "ben"]
    assert "/srv/data/home/ann/projects:" in listed
    assert "one" not in listed
    assert "proj-two" in listed
    assert "proj-one" not in listed
    assert f"ann:{HASH}:" in results[3]


def test_former_writer_writes_nothing_more_not_even_the_own_files() -> None:
    ask = (
        "for u in ann ben; do setpriv --reuid $u --regid $u --init-groups sh -c '{}' && echo $u; done 2>/dev/null; true"
    )
    own = "/srv/data/reference/one/survey/deep/own"
    as_ann = "setpriv --reuid ann --regid ann --init-groups sh -c"
    results = carry_out(
        project(),
        f"{as_ann} 'umask 077; mkdir {own.rpartition('/')[0]}; echo 1 > {own}'",
        ask.format(f"cat {own} >/dev/null"),
        ask.format(f"echo 2 >> {own}"),
        project(read_only=[{"name": "survey", "writers": ["ben"]}]),
        ask.format(f"echo 3 >> {own}"),
        ask.format(f"chmod u+w {own}"),
        ask.format(f"cat {own} >/dev/null"),
        project(read_only=[]),
        ask.format(f"cat {own} >/dev/null"),
        project(),
        ask.format(f"echo 4 >> {own}"),
    )
    assert [results[i] for i in (2, 3, 5, 6, 7, 9, 11)] == [
        "ann\nben\n",
        "ann\n",
        "ben\n",
        "",
        "ann\nben\n",
        "",
        "ann\n",
    ]


def test_clash_changes_nothing() -> None:
    before, refused, after = carry_out(STATE, project(accounts=[{**ANN, "uid": 0}]), STATE)
    assert refused["failed"]
    assert "uid 0 of ann belongs to root" in refused["msg"]
    assert after == before


def step(wanted: dict[str, Any] | str) -> Any:
    """One step inside the namespaces."""
    if isinstance(wanted, str):
        return subprocess.run(["sh", "-c", wanted], capture_output=True, text=True, check=True).stdout
    from ansible.module_utils.testing import patch_module_args
    from ansible_collections.atelier.datalab.plugins.modules import project_members

    said = io.StringIO()
    with patch_module_args(wanted["module"]), contextlib.redirect_stdout(said), pytest.raises(SystemExit):
        project_members.main()
    return json.loads(said.getvalue())


if __name__ == "__main__":
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader([str(ROOT / "collections")])
    sys.stdout.write(json.dumps([step(wanted) for wanted in json.load(sys.stdin)]))
