"""Who of the hub's users has left, and which shares lead out of a project."""

from __future__ import annotations

import grp
import pwd

import memberships

GROUPS = {"ann": {"proj-a"}, "ben": {"proj-a", "proj-b"}, "cleo": {"proj-b"}, "a-collab": {"proj-a"}}


def test_who_is_in_no_project_has_left_unless_kept() -> None:
    assert memberships.leavers(["ann", "dan", "root", "a-collab"], GROUPS, ["root"]) == ["dan"]


def test_who_is_in_fewer_groups_than_the_hub_or_the_last_look_says_has_left_those() -> None:
    """The hub may not know of the end yet, or have learnt it before the look; groups of no project do not count."""
    users = {"ann": {"proj-a", "proj-b"}, "ben": {"proj-b"}, "cleo": {"proj-b"}, "dan": {"proj-a", "staff"}}
    before = {"ann": {"proj-a"}, "cleo": {"proj-a", "proj-b"}}
    assert memberships.losses(users, before, GROUPS, {"proj-a", "proj-b"}) == {
        "ann": {"proj-b"},
        "cleo": {"proj-a"},
        "dan": {"proj-a"},
    }


def test_shares_stay_between_those_with_a_common_project() -> None:
    shares = [("ann", "ben"), ("ben", "cleo"), ("ann", "cleo"), ("ann", "dan"), ("dan", "ann")]
    assert memberships.strangers(shares, GROUPS) == [("ann", "cleo"), ("ann", "dan"), ("dan", "ann")]


def test_groups_of_the_host_say_who_is_in_a_project() -> None:
    """The account of a collaborative server counts while there is one; a group that is gone has no members."""
    group = next((g for g in grp.getgrall() if g.gr_mem), None)
    projects = [{"name": "a", "group": "no-such-group", "collaboration": True}]
    projects += [{"name": "b", "group": group.gr_name}] if group else []
    found = memberships.memberships({"projects": projects})
    assert found.pop("a-collab") == {"no-such-group"}
    assert found == ({login: {group.gr_name} for login in group.gr_mem} if group else {})


def test_accounts_of_the_platform_are_not_members() -> None:
    assert memberships.is_platforms(pwd.getpwuid(0).pw_name, "/srv/data") is True
    assert memberships.is_platforms("no-such-login", "/srv/data") is False
