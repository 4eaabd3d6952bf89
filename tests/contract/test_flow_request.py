"""The request to core IT on an environment that the emulator holds: what is new, ended, made by hand, missing."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lab import landing_zone  # noqa: E402
from tests.emulator import emulator, playbook  # noqa: E402

pytestmark = pytest.mark.slow

ALICE, CAROL = "alice.martin@example.com", "carol.petit@example.com"  # inventories/preprod, projects.yml
COLUMNS = ("change", "flow", "source_addresses", "destination_addresses", "protocol", "port", "email", "ticket", "why")


class Environment:
    """Preprod on an emulator of this file's own."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self.inventory = folder / "inventories/preprod"
        shutil.copytree(ROOT / "inventories", folder / "inventories", symlinks=True)
        self.client = lambda service: boto3.client(
            service, endpoint_url=endpoint, region_name="eu-west-1",
            aws_access_key_id="testing", aws_secret_access_key="testing",  # noqa: S106
        )  # fmt: skip
        self.endpoint = endpoint
        self.file = self.inventory / "group_vars/all/flows.yml"
        self.flows = yaml.safe_load(self.file.read_text(encoding="utf-8"))["flows"]

    def write(self, flows: list[dict[str, Any]]) -> None:
        self.file.write_text(yaml.safe_dump({"flows": flows}), encoding="utf-8")

    def play(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return playbook(self.endpoint, name, self.inventory, *arguments)

    def request(self, folder: Path, *arguments: str) -> tuple[int, str, list[tuple[str, ...]]]:
        """How it ended, what it said in one line, and the rows of the CSV."""
        done = self.play("flow_request", "-e", f"flow_request_reports={folder}", *arguments)
        said = " ".join((done.stdout + done.stderr).replace("\\n", " ").split())
        with (folder / "preprod-request.csv").open(encoding="utf-8") as file:
            return done.returncode, said, [tuple(row[key] for key in COLUMNS) for row in csv.DictReader(file)]

    def groups(self) -> dict[str, Any]:
        return {one["GroupId"]: one for one in self.client("ec2").describe_security_groups()["SecurityGroups"]}


@pytest.fixture(scope="module")
def preprod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """As provision.yml makes it."""
    state = tmp_path_factory.mktemp("emulator")
    with emulator(state, "127.201.14.0/24", landing_zone.image_list()) as endpoint:
        made = Environment(endpoint, tmp_path_factory.mktemp("request"))
        made.client("ssm").put_parameter(
            Name="/atelier/preprod/access/admin_public_key", Value="ssh-ed25519 AAAA test", Type="String"
        )
        done = made.play("provision")
        assert done.returncode == 0, done.stdout + done.stderr
        yield made


def test_after_provisioning_there_is_nothing_to_ask_for_and_no_drift(preprod: Environment, tmp_path: Path) -> None:
    code, said, rows = preprod.request(tmp_path, "-e", "flow_request_strict=true")
    assert (code, rows) == (0, []), said
    assert "0 new, 0 ended; 0 rules made by hand, 0 missing; 0 flows end within 30 days" in said
    page = (tmp_path / "preprod-request.html").read_text(encoding="utf-8")
    assert "nothing to open or to close" in page
    # Four lines of head and four flows of flows.yml; what the platform has by itself: ssh to the bastion and to two
    # projects, their notebooks through the bastion, AWS's endpoints for three.
    assert len((tmp_path / "preprod-matrix.md").read_text(encoding="utf-8").splitlines()) == 4 + 4 + 3 + 2 + 3


def test_new_ended_planted_and_missing_are_found_and_nothing_else(preprod: Environment, tmp_path: Path) -> None:
    kept, changed, ended = (one.copy() for one in preprod.flows[:3])  # the fourth leaves the matrix
    changed["port"], ended["expires"] = 8443, "2026-01-01"
    fresh = kept | {"name": "lake", "source": "project:alpha", "destination": "project:beta", "port": 9000}
    ec2 = preprod.client("ec2")
    (alpha,) = (
        key for key, one in preprod.groups().items() if one["Description"].startswith("Machines of project alpha")
    )
    by_hand = {"IpProtocol": "tcp", "FromPort": 3389, "ToPort": 3389, "IpRanges": [{"CidrIp": "192.0.2.7/32"}]}
    removed = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    (planted,) = ec2.authorize_security_group_ingress(GroupId=alpha, IpPermissions=[by_hand])["SecurityGroupRules"]
    ec2.revoke_security_group_ingress(GroupId=alpha, IpPermissions=[removed])
    preprod.write([kept, changed, ended, fresh])
    before = preprod.groups()
    try:
        code, said, rows = preprod.request(tmp_path)
        strict, refused, _ = preprod.request(tmp_path, "-e", "flow_request_strict=true")
        checked = preprod.play("flow_request", "--check", "-e", f"flow_request_reports={tmp_path / 'none'}")
        after = preprod.groups()
    finally:
        preprod.write(preprod.flows)
        ec2.revoke_security_group_ingress(GroupId=alpha, IpPermissions=[by_hand])
        ec2.authorize_security_group_ingress(GroupId=alpha, IpPermissions=[removed])
    assert after == before, "reading changes nothing"
    subnet = {"alpha": "10.20.16.0/24", "beta": "10.20.17.0/24"}
    mirror, offices = "198.51.100.10/32", "10.0.0.0/8 198.51.100.0/24"
    assert sorted(rows) == [
        ("ended", "notebooks-beta", offices, subnet["beta"], "tcp", "443", CAROL, "FLOW-203", "expired on 2026-01-01"),
        ("ended", "packages-alpha", subnet["alpha"], mirror, "tcp", "8080", ALICE, "FLOW-202", "changed in the matrix"),
        ("ended", "packages-beta", subnet["beta"], mirror, "tcp", "8080", CAROL, "FLOW-204", "no longer in the matrix"),
        ("new", "lake", subnet["alpha"], subnet["beta"], "tcp", "9000", ALICE, "FLOW-201", "new in the matrix"),
        ("new", "packages-alpha", subnet["alpha"], mirror, "tcp", "8443", ALICE, "FLOW-202", "changed in the matrix"),
    ]  # fmt: skip
    assert "2 new, 3 ended; 1 rule made by hand, 1 missing" in said, said
    assert (code, strict, checked.returncode) == (0, 2, 0), "refused only where it is asked to"
    for words in (said, refused):
        assert f"{alpha} (project:alpha): ingress 192.0.2.7/32 to project:alpha tcp 3389 was made by hand" in words
        assert planted["SecurityGroupRuleId"] in words
        assert "flow notebooks-alpha: 10.0.0.0/8 to project:alpha tcp 443 is missing" in words
        assert "by not known, since not known" in words, "the emulator keeps no ids of rules in its trail"
        assert "Traceback" not in words
    assert said.count("was made by hand (") == 1, said
    assert not (tmp_path / "none").exists()
