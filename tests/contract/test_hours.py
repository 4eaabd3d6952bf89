"""The playbooks of the hours as people run them, against an emulator of this file's own."""

from __future__ import annotations

import json
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
from tests.emulator import REGION, emulator, playbook  # noqa: E402

pytestmark = pytest.mark.slow

INVENTORY = ROOT / "inventories/preprod"
NIGHT, HOLIDAY = "2037-01-15T23:00:00+01:00", "2037-07-14T10:00:00+02:00"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with emulator(tmp_path_factory.mktemp("emulator"), "127.201.16.0/24", landing_zone.image_list()) as found:
        yield found


@pytest.fixture(scope="module")
def ec2(endpoint: str) -> Any:
    """EC2 with one machine of the environment, that runs."""
    client = boto3.client(
        "ec2", endpoint_url=endpoint, region_name=REGION,
        aws_access_key_id="testing", aws_secret_access_key="testing",  # noqa: S106
    )  # fmt: skip
    tags = {
        "Name": "preprod-x", "Environment": "preprod", "ManagedBy": "atelier.datalab", "Schedule": "office",
        "Role": "workstation", "Project": "alpha",
    }  # fmt: skip
    image = client.describe_images()["Images"][0]["ImageId"]
    client.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.micro",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}],
    )  # fmt: skip
    return client


def said(text: str) -> str:
    """What was printed, without the folding of long lines."""
    return " ".join(text.split())


def state(ec2: Any) -> str:
    return ec2.describe_instances()["Reservations"][0]["Instances"][0]["State"]["Name"]


def test_check_shows_what_would_be_done_and_why_and_does_nothing(endpoint: str, ec2: Any, tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    arguments = ["-e", f"hours_history={history}", "-e", f"hours_now={NIGHT}"]
    asked = playbook(endpoint, "hours", INVENTORY, "--check", "--diff", *arguments)
    assert asked.returncode == 0, asked.stdout + asked.stderr
    # No probe has said anything, and the rule of inventories/shared says which side wins: visibly.
    assert "outside hours office; its probe has never said anything; the rule for silent" in said(asked.stdout)
    assert (state(ec2), history.exists()) == ("running", False)
    closed = playbook(
        endpoint, "hours", INVENTORY, "--check", "-e", f"hours_history={history}", "-e", f"hours_now={HOLIDAY}"
    )
    assert "a closed day: Fête nationale" in closed.stdout
    done = playbook(endpoint, "hours", INVENTORY, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert state(ec2) in ("stopping", "stopped")
    assert [json.loads(line)["action"] for line in history.read_text().splitlines()] == ["stop"]


def test_the_plan_is_written_for_each_environment_without_a_cloud(endpoint: str, tmp_path: Path) -> None:
    for name in ("preprod", "prod"):
        done = playbook(
            endpoint, "hours_plan", ROOT / "inventories" / name,
            "-e", f"hours_plan_reports={tmp_path}", "-e", "hours_plan_first=2027-07-12",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Fête nationale" in (tmp_path / f"{name}-plan.html").read_text(encoding="utf-8")
        assert (tmp_path / f"{name}-plan.ics").read_bytes().startswith(b"BEGIN:VCALENDAR\r\n")
        assert "changed=0" in done.stdout


def test_moved_schedules_are_written_down(endpoint: str, tmp_path: Path) -> None:
    source = tmp_path / "items.json"
    period = {"type": "period", "name": "p", "begintime": "8:00", "endtime": "23:59", "weekdays": ["mon-fri"]}
    source.write_text(json.dumps([period, {"type": "schedule", "name": "s", "periods": ["p@m6i.large"]}]))
    arguments = ["-e", f"hours_move_from={source}", "-e", f"hours_move_reports={tmp_path / 'made'}"]
    for changed in ("changed=2", "changed=0"):  # the folder and the file
        done = playbook(endpoint, "hours_move", INVENTORY, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert changed in done.stdout
    assert "it ended at 23:59" in done.stdout
    (found,) = yaml.safe_load((tmp_path / "made/moved.yml").read_text())["schedules"]
    assert found["periods"][0] == {
        "name": "p", "days": ["mon-fri"], "begin": "08:00", "end": "24:00", "instance_type": "m6i.large",
    }  # fmt: skip
