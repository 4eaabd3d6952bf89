"""The seeded account through the whole path: every planted fault is found, none invented, dossiers are right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.audit import hosts, seed

pytestmark = pytest.mark.slow

NOW = (datetime.now(tz=UTC) + timedelta(days=45)).replace(microsecond=0).isoformat()
FILES = ("report.html", "machines.csv", "findings.csv", "costs.csv", "audit.json", "proposal.yml")
# What the machines of group "forgotten" are from inside, in their order.
INSIDE = (hosts.JUPYTER, hosts.DATABASE, hosts.SINGLE, hosts.AIRFLOW)


def play(root: Path, folder: Path, *, hosts_: bool = False, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run the playbook as a person would."""
    given = {
        "audit_accounts": [{"account": seed.ACCOUNT, "environment": "prod", "regions": [seed.REGION]}],
        "audit_folder": str(folder),
        "audit_now": NOW,
        "audit_hosts": hosts_,
        "audit_keep_evidence": True,
        **variables,
    }
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [program, "playbooks/audit.yml", "-i", "inventories/prod/hosts.yml", "-e", json.dumps(given)]
    environment = os.environ | {"ANSIBLE_CONFIG": str(root / "ansible.cfg")}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(account: seed.Account, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The account audited once, with evidence from inside four machines and one that did not answer."""
    place = tmp_path_factory.mktemp("audit")
    evidence = place / "evidence"
    evidence.mkdir()
    forgotten = account.machines["forgotten"]
    for host, instance in zip(INSIDE, forgotten, strict=False):
        found = host.evidence(place / "trees" / instance)
        (evidence / f"{instance}.json").write_text(json.dumps(found))
    silent = {"unreachable": "unreachable: Connection timed out"}
    (evidence / f"{forgotten[4]}.json").write_text(json.dumps(silent))
    with pytest.MonkeyPatch.context() as patch:
        for key, value in {
            "AWS_ENDPOINT_URL": account.endpoint, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1",
        }.items():  # fmt: skip
            patch.setenv(key, value)
        done = play(root, place)
        assert done.returncode == 0, done.stdout + done.stderr
        first = {name: (place / name).read_bytes() for name in FILES}
        done = play(root, place)
        assert done.returncode == 0, done.stdout + done.stderr
    (place / "first").mkdir()
    for name, content in first.items():
        (place / "first" / name).write_bytes(content)
    return place


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "audit.json").read_text())


def expected(account: seed.Account) -> set[tuple[str, str]]:
    """The planted faults; who is known from inside has an owner after all."""
    jupyter, _, _, airflow = account.machines["forgotten"][:4]
    return account.expected - {(jupyter, "owner_known"), (airflow, "owner_known")}


def test_every_planted_fault_is_found_and_none_invented(account: seed.Account, report: dict[str, Any]) -> None:
    found = {(one["id"], finding["rule"]) for one in report["resources"] for finding in one["findings"]}
    assert sorted(expected(account) - found) == [], "not found"
    assert sorted(found - expected(account)) == [], "invented"


def test_every_finding_says_what_and_what_to_do(report: dict[str, Any]) -> None:
    findings = [finding for one in report["resources"] for finding in one["findings"]]
    assert all(finding["text"] and finding["remedy"] for finding in findings)
    assert len(findings) == len({(finding["rule"], finding["subject"]) for finding in findings})


def test_who_is_held_by_a_stack_is_what_the_stacks_hold(report: dict[str, Any]) -> None:
    machines = [one for one in report["resources"] if one["kind"] == "instance"]
    assert len(machines) == 100
    assert sum(one["managed"] == "stack" for one in machines) == seed.MANAGED
    assert sum(one["managed"] == "hand" for one in machines) == 60
    assert all(one["stack"].startswith("prod-") for one in machines if one["managed"] == "stack")


def proposals(report: dict[str, Any], instance: str) -> dict[str, Any]:
    one = next(one for one in report["resources"] if one["id"] == instance)
    return one["proposals"]


def test_a_machine_whose_clues_agree_is_named(account: seed.Account, report: dict[str, Any]) -> None:
    found = proposals(report, account.machines["forgotten"][0])
    assert {name: one["value"] for name, one in found.items()} == {
        "Project": "alpha", "Owner": "alice", "Role": "workstation",
    }  # fmt: skip
    proofs = " ".join(found["Project"]["votes"][0]["proofs"])
    assert "/mnt/alpha-data" in proofs
    assert "alice logged in 2 times" in proofs


def test_a_machine_whose_clues_contradict_stays_unknown(account: seed.Account, report: dict[str, Any]) -> None:
    found = proposals(report, account.machines["forgotten"][1])
    assert found["Role"]["value"] == "database"
    assert found["Project"]["value"] is None
    assert found["Project"]["why"].startswith("clues contradict")
    assert {vote["value"] for vote in found["Project"]["votes"]} == {"alpha", "beta"}


def test_one_kind_of_clue_is_never_enough(account: seed.Account, report: dict[str, Any]) -> None:
    found = proposals(report, account.machines["forgotten"][2])
    assert found["Role"]["value"] is None
    assert found["Role"]["why"] == "only one kind of clue, for webapp"


def test_without_a_clue_it_says_so(account: seed.Account, report: dict[str, Any]) -> None:
    found = proposals(report, account.machines["nameless"][0])
    assert {one["value"] for one in found.values()} == {None}
    assert found["Owner"]["why"] == "no clue"


def test_a_machine_that_does_not_answer_is_a_gap(account: seed.Account, report: dict[str, Any]) -> None:
    gaps = [gap for gap in report["gaps"] if gap["reason"] == "unreachable: Connection timed out"]
    assert [gap["kind"] for gap in gaps] == ["inside of old-4"]


def test_a_second_audit_is_identical(folder: Path) -> None:
    for name in FILES:
        assert (folder / "first" / name).read_bytes() == (folder / name).read_bytes(), name


def test_the_moment_stands_in_one_line_of_each_file(folder: Path) -> None:
    for name in ("report.html", "audit.json", "proposal.yml"):
        assert sum(NOW in line for line in (folder / name).read_text().splitlines()) == 1, name


def test_the_page_needs_nothing_from_outside_and_runs_nothing_it_was_given(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    for word in ("http://", "https://", "src=", "url(", "@import", "<link"):
        assert word not in page, word
    assert not hosts.words(page) & {"secret", "hush", "s3cret"}, "an argument of a command was read out"


def test_costs_add_up_and_a_missing_price_is_named(
    folder: Path, cloud: dict[str, str], report: dict[str, Any], root: Path
) -> None:
    machine = next(one for one in report["resources"] if one["name"] == "old-0")
    # m5.large 0.107 x 730 h, 20 GiB of gp3 at 0.088
    assert machine["total"]["amount"] == pytest.approx(0.107 * 730 + 20 * 0.088, abs=0.01)
    held = next(one for one in report["resources"] if one["name"] == "prod-alpha-workstation-01")
    # office: 45 of 168 hours; disks of 30 and 10 GiB
    assert held["total"]["amount"] == pytest.approx(0.107 * 195.5 + 40 * 0.088, abs=0.01)
    prices = yaml.safe_load((root / "inventories/shared/audit.yml").read_text())["audit_prices"]
    del prices["regions"][seed.REGION]["instances"]["m5.large"]
    done = play(root, folder, audit_prices=prices, audit_cloudtrail=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No price for eu-west-1: instances m5.large" in (folder / "report.html").read_text()
    again = json.loads((folder / "audit.json").read_text())
    machine = next(one for one in again["resources"] if one["name"] == "old-0")
    assert machine["total"]["missing"] == ["eu-west-1: instances m5.large"]
