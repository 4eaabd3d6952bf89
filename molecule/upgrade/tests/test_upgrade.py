"""From the previous release to this one with members at work, back, and forward again. Each fixture is one step of that
way, in this order; docs/howto/upgrade.md tells what is seen here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.hosts import plain, releases
from tests.hosts.platform import ROOT, ansible

testinfra_hosts = plain.hosts("workstation")
SETTINGS = "/etc/jupyterhub/settings.json"
ENVIRONMENTS = "/opt/atelier/conda/envs"


def generation(host: Host, name: str) -> str:
    """The generation of a conda environment that is in service."""
    return host.check_output(f"readlink {ENVIRONMENTS}/{name}/current")


@pytest.fixture(scope="module")
def interrupted(work: Any) -> Any:
    """This release's run killed when everything is written and built, and nothing restarted."""
    before = {name: generation(work.host, name) for name in ("hub", "jupyter", "delta-base")}
    assert work.over("killed", lambda: releases.killed(releases.RESTART)) == -9
    return before


@pytest.fixture(scope="module")
def upgraded(work: Any, interrupted: Any) -> dict[str, Any]:
    """This release."""
    return work.over("forward", releases.converge)


@pytest.fixture(scope="module")
def backed_out(work: Any, upgraded: Any) -> dict[str, Any]:
    """The previous release again."""
    return work.over("back", releases.converge_previous)


@pytest.fixture(scope="module")
def forward_again(work: Any, backed_out: Any) -> dict[str, Any]:
    """This release again."""
    return work.over("forward again", releases.converge)


def outdated(report: dict[str, Any]) -> set[str]:
    """Whose servers run an older JupyterLab, as the run says at its end."""
    (found,) = (r for _, task, r in report["all"] if task.endswith("Look for servers on an older JupyterLab"))
    return {server["user"] for server in found["servers"]}


def test_a_killed_run_leaves_the_old_hub_at_work(work: Any, interrupted: Any) -> None:
    """What is on disk is the new release's, what runs is the old one's."""
    assert work.host.check_output("systemctl show --property NeedDaemonReload --value jupyterhub") == "yes"
    assert generation(work.host, "hub") != interrupted["hub"]
    assert work.seconds["killed"]["hub"] == 0
    work.goes_on()
    work.tab_goes_on()


def test_members_work_on_over_the_upgrade(work: Any, upgraded: Any) -> None:
    settings = json.loads(work.host.file(SETTINGS).content_string)
    assert settings["authentication"]["mode"] == "pam"
    assert upgraded["rc"] == 0
    work.goes_on()


def test_the_open_page_comes_back_without_a_reload(work: Any, upgraded: Any) -> None:
    work.tab.shot("upgrade-dialog")
    work.tab_goes_on()
    work.tab.shot("upgraded")


def test_the_hub_is_away_for_seconds(work: Any, upgraded: Any) -> None:
    assert 0 < work.seconds["forward"]["hub"] < 60
    assert work.seconds["forward"]["server"] < 60


def test_an_unchanged_spec_is_not_built_again(work: Any, interrupted: Any, upgraded: Any) -> None:
    """The lock made on the controller is the one that the previous release solved on the machine."""
    assert generation(work.host, "delta-base") == interrupted["delta-base"]
    assert generation(work.host, "jupyter") != interrupted["jupyter"]


def test_who_runs_an_older_jupyterlab_is_told(work: Any, upgraded: Any) -> None:
    ines, otto = work.hub.members
    assert outdated(upgraded) == {ines, otto}
    assert work.told(ines)
    page = work.tab.context.new_page()
    page.goto(f"{work.tab.setting.url}/hub/home")
    assert "older JupyterLab" in page.locator("#outdated-server").inner_text()
    page.screenshot(path=work.tab.setting.screenshots / "delta-otto-outdated.png")
    page.close()


def test_a_restart_of_the_server_ends_the_notice_and_the_second_run_changes_nothing(work: Any, upgraded: Any) -> None:
    ines, otto = work.hub.members
    seen = work.hub.visit(ines, f"kept = {work.mark!r}", fresh=True)
    work.kernel = seen["kernel"]
    work.note()
    assert not work.told(ines)
    assert work.told(otto)
    again = releases.converge()
    assert [(host, task) for host, task, _ in again["changed"]] == []
    assert outdated(again) == {otto}
    slice_ = work.host.check_output(f"systemctl show --property Slice --value jupyter-{ines}-singleuser")
    assert slice_ == "datalab-delta.slice", "backing out would not meet what only this release makes"


def test_the_previous_release_takes_over_what_runs(work: Any, backed_out: Any) -> None:
    """One server is of the previous release, the other of this one."""
    settings = json.loads(work.host.file(SETTINGS).content_string)
    assert "authentication" not in settings
    work.goes_on()
    work.tab_goes_on()
    assert 0 < work.seconds["back"]["hub"] < 60


def test_what_only_this_release_has_opens_nothing_and_is_in_nobodys_way(work: Any, backed_out: Any) -> None:
    """The accounts of the health check and of the collaborative server stay; the timer goes on."""
    secret = work.host.file("/etc/jupyterhub/secrets/health.env").content_string.strip().partition("=")[2]
    assert work.hub.visit("datalab-health", password=secret)["login"] is False
    assert work.host.user("delta-collab").password.startswith("!")
    assert work.host.check_output("systemctl is-active datalab-metrics.timer") == "active"
    assert work.host.file("/srv/data/reference/delta/survey").is_directory
    assert work.host.check_output("systemctl --failed --plain --no-legend") == ""


def test_the_previous_release_starts_servers_again(work: Any, backed_out: Any) -> None:
    ines, _ = work.hub.members
    seen = work.hub.visit(ines, f"kept = {work.mark!r}", fresh=True)
    assert seen["kernels"] == ["delta-base"]
    work.kernel = seen["kernel"]
    work.note()


def test_forward_again(work: Any, forward_again: Any) -> None:
    ines, otto = work.hub.members
    work.goes_on()
    work.tab_goes_on()
    assert outdated(forward_again) == {ines, otto}
    with work.host.sudo():
        healthy = work.host.run("datalab-health")
    assert healthy.rc == 0, healthy.stdout


def test_the_previous_releases_data_is_still_valid_and_newer_keys_are_named_on_the_way_back() -> None:
    """Forward no word of an environment's data changes; back, the older release says which keys to take out."""
    tree = releases.export()
    done = ansible("ansible-playbook", ROOT / "playbooks/validate.yml", "-i", tree / "inventories/preprod/hosts.yml")
    assert "failed=0" in done.stdout
    refused = ansible(
        "ansible-playbook", tree / "playbooks/validate.yml", "-i", ROOT / "inventories/preprod/hosts.yml",
        check=False, **releases.previous_environment(),
    )  # fmt: skip
    assert refused.returncode != 0
    assert "conda_sets" in refused.stdout


def test_a_clone_without_history_is_told_what_to_type(tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{ROOT}", str(tmp_path / "clone")], check=True)
    with pytest.raises(releases.NoHistoryError, match="type: git fetch --unshallow"):
        releases.commit_of(releases.previous_version(), tmp_path / "clone")
