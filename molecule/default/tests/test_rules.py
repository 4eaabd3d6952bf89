"""Core IT's rules on the converged environment: the report looks into every host and refuses nothing of ours."""

from __future__ import annotations

import json
from pathlib import Path

from tests.hosts.platform import ALPHA, BASTION, BETA, ansible


def test_the_report_looks_into_every_host_and_refuses_nothing_of_ours(tmp_path: Path) -> None:
    """Other scenarios may have instances in the same account; those are refused, rightly, and not looked at here."""
    ansible(
        "ansible-playbook", "playbooks/rules.yml", "-i", "inventories/preprod", "-e", f"rules_reports={tmp_path}",
        check=False,
    )  # fmt: skip
    report = json.loads((tmp_path / "preprod.json").read_text(encoding="utf-8"))
    ours = {ALPHA, BETA, BASTION}
    assert report["counts"]["hosts"] == len(ours), report["gaps"]
    assert [one for one in report["findings"] if one["subject"] in ours and one["severity"] == "refuse"] == []
    asked = {one["id"]: one["asked"] for one in report["rules"]}
    assert (asked["image_marker"], asked["patch_age"]) == (3, 3)
    assert asked["certificate_expiry"] == 2, "the certificate of each hub"
