from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _members as members

ACCOUNTS = "root:x:0:0:root:/root:/bin/bash\nalice:x:2001:2001:Alice:/srv/data/home/alice:/bin/bash\n"
SHADOW = "root:*:19000:0:99999:7:::\nalice:!$6$salt$hash:19000:0:99999:7::1:\n"
GROUP = "root:x:0:\nalice:x:2001:\nproj-alpha:x:3000:alice,bob\nproj-beta:x:3001:bob\n"


def known() -> tuple[dict, dict]:
    return members.read_accounts(ACCOUNTS, SHADOW), members.read_groups(GROUP)


def wanted(**change) -> dict:
    alice = {"login": "alice", "uid": 2001}
    project = {"project": "alpha", "group": "proj-alpha", "gid": 3000, "collaboration": True, "read_only": []}
    return {**project, "accounts": [alice], "password_hashes": {}, **change}


def test_account_is_read_with_its_lock() -> None:
    alice = known()[0]["alice"]
    assert (alice.uid, alice.home, alice.locked, alice.has_password) == (2001, "/srv/data/home/alice", True, True)
    assert known()[0]["root"].has_password is False


@pytest.mark.parametrize(("password", "expires"), [("!$6$x$y", ""), ("$6$x$y", "1"), ("!", "20000")])
def test_only_both_signs_together_mean_that_we_locked_it(password: str, expires: str) -> None:
    assert members.Account("a", 1, 1, "", "", password, expires).locked is False


def test_who_leaves_and_who_stays_elsewhere() -> None:
    groups = known()[1]
    assert members.leavers("proj-alpha", ["alice"], groups) == ["bob"]
    assert members.leavers("proj-new", ["alice"], groups) == []
    assert members.stays_elsewhere("bob", "proj-alpha", groups, "proj-") is True
    assert members.stays_elsewhere("alice", "proj-alpha", groups, "proj-") is False


def test_whom_the_directory_added_is_read_as_the_hub_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "directory.json"
    members.write_record(path, {"proj-alpha": ["bob"]})
    assert path.stat().st_mode & 0o777 == 0o600
    record = members.read_record(path.read_text())
    assert members.leavers("proj-alpha", ["alice", *record["proj-alpha"]], known()[1]) == []
    for broken in ("", "[]", '{"proj-alpha": "bob"}'):
        with pytest.raises(ValueError, match=r".+"):
            members.read_record(broken)


def test_what_fits_is_not_complained_about() -> None:
    assert members.complaints(wanted(), *known()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gid": 9}, "group proj-alpha has gid 3000"),
        ({"group": "proj-new", "gid": 3001}, "belongs to group proj-beta"),
        ({"accounts": [{"login": "alice", "uid": 5}]}, "alice has uid 2001"),
        ({"accounts": [{"login": "zoe", "uid": 2001}]}, "uid 2001 of zoe belongs to alice"),
        ({"accounts": [{"login": "zoe", "uid": 3001}]}, "gid 3001, which zoe needs too, belongs to group proj-beta"),
        ({"accounts": [{"login": "proj-beta", "uid": 7}]}, "a group proj-beta of another gid exists"),
        ({"gid": 2001}, "uid 2001 of alpha-collab belongs to alice"),
        ({"accounts": [{"login": "alpha-collab", "uid": 7}]}, "the name alpha-collab is kept for the collaborative"),
        ({"project": "x", "group": "x", "accounts": [{"login": "x-collab", "uid": 7}]}, "the name x-collab is kept"),
        ({"read_only": [{"name": "../up", "writers": []}]}, 'read_only "../up": write a name'),
        ({"read_only": [{"name": "a", "writers": []}] * 2}, "read_only a is there twice"),
        ({"read_only": [{"name": "a", "writers": ["bob", "alice"]}]}, "read_only a: bob cannot write, not a member"),
        ({"password_hashes": {"alice": "plain text"}}, "the password hash of alice is not a crypt(5) hash"),
    ],
)
def test_clashes_are_named(change: dict, said: str) -> None:
    found = members.complaints(wanted(**change), *known())
    assert len([line for line in found if said in line]) == 1
    assert "plain text" not in " ".join(found)


@pytest.mark.parametrize("form", ["-6", "-5"])
def test_hashes_of_openssl_are_accepted(form: str) -> None:
    made = subprocess.run(
        ["openssl", "passwd", form, "-stdin"], input="word", text=True, capture_output=True, check=True
    )
    assert members.HASH.fullmatch(made.stdout.strip())
    assert members.HASH.fullmatch("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7")
    assert not members.HASH.fullmatch("$1$salt$tooweaktobeaccepted000")


def test_list_of_a_read_only_folder_is_what_setfacl_makes(tmp_path: Path) -> None:
    """The tool of the operating system is asked to make the same list."""
    entries = "u::rwx,u:2001:rwx,u:2002:rwx,g::r-x,g:3000:r-x,m::rwx,o::---"
    subprocess.run(["setfacl", "--set", entries, tmp_path], check=True)
    made = os.getxattr(tmp_path, "system.posix_acl_access")
    assert members.reader_acl(3000, [2002, 2001], execute=True) == made


def test_farewell_says_where_everything_is() -> None:
    kept = {"home": "/srv/data/archive/bob", "jobs": ""}
    said = members.farewell("bob", "alpha", kept, check=False)
    assert "moved to /srv/data/archive/bob" in said
    assert "crontab" not in said
    assert "other projects" in members.farewell("bob", "alpha", None, check=True)
