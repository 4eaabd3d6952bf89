"""Core IT's rules where they work: cfn-lint on templates, the playbook on an environment that the emulator holds."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import boto3
import pytest
import yaml
from cfnlint import api as cfnlint

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lab import landing_zone  # noqa: E402
from tests.emulator import REGION, emulator, playbook  # noqa: E402

BIN = Path(sys.executable).parent
SOON = (datetime.datetime.now(tz=datetime.UTC) + datetime.timedelta(days=30)).date().isoformat()
EXCEPTIONS = [
    {"rule": "imdsv2", "subject": "preprod-beta-workstation-01", "ticket": "CORE-1", "expires": SOON},
    {"rule": "naming", "subject": "alpha", "ticket": "CORE-2", "expires": "2026-01-01"},
    {"rule": "naming", "subject": "i-0123456789abcdef0", "ticket": "CORE-3", "expires": SOON},
]

# -- templates

TEMPLATE = """
Resources:
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: x
      SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 22, ToPort: 22, CidrIp: 0.0.0.0/0}]
  Launch:
    Type: AWS::EC2::LaunchTemplate
    Properties: {LaunchTemplateData: {ImageId: ami-0123456789abcdef0}}
  Disk:
    Type: AWS::EC2::Volume
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties: {AvailabilityZone: !Select [0, !GetAZs ""], Size: 1, Encrypted: !If [Lab, false, true]}
  Address:
    Type: AWS::EC2::EIP
    Properties: {InstanceId: i-0123456789abcdef0}
"""


def test_cfn_lint_knows_core_its_rules(tmp_path: Path) -> None:
    """As `make lint` calls it: the folder of rules comes from .cfnlintrc."""
    file = tmp_path / "bad.cfn.yml"
    file.write_text(f"Conditions: {{Lab: !Equals [!Ref AWS::Region, eu-west-1]}}\n{TEMPLATE}", encoding="utf-8")
    command = [str(BIN / "cfn-lint"), "--format", "json", "-t", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    told = {one["Rule"]["Id"]: one for one in json.loads(done.stdout) if one["Rule"]["Id"].startswith("E9")}
    assert {key: one["Location"]["Path"][1] for key, one in told.items()} == {
        "E9001": "Group", "E9002": "Launch", "E9003": "Disk", "E9004": "Address",
    }  # fmt: skip
    assert "rule open_world" in told["E9001"]["Message"]


def test_the_generated_template_is_asked_too() -> None:
    """The flows template is no file; test_inventories lints it with the same settings, here it is made to fail."""
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0", "GroupId": "sg-0123456789abcdef0"}
    template = {"Resources": {"Flow": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": rule}}}
    settings = yaml.safe_load((ROOT / ".cfnlintrc").read_text(encoding="utf-8"))
    config = {"regions": settings["regions"], "append_rules": [str(ROOT / one) for one in settings["append_rules"]]}
    assert [one.rule.id for one in cfnlint.lint(json.dumps(template), config=config)] == ["E9001"]


# -- what runs


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Preprod with three exceptions: one in force, one that has ended, one for nothing."""
    folder = tmp_path_factory.mktemp("rules")
    shutil.copytree(ROOT / "inventories", folder / "inventories", symlinks=True)
    granted = [{"owner": "alice", "reason": "a test", **one} for one in EXCEPTIONS]
    text = yaml.safe_dump({"exceptions": granted})
    (folder / "inventories/preprod/group_vars/all/exceptions.yml").write_text(text, encoding="utf-8")
    return folder / "inventories/preprod"


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory, inventory: Path) -> Iterator[Callable[..., Any]]:
    """Preprod as provision.yml makes it, on an emulator of this file's own; runs playbooks against it."""
    state = tmp_path_factory.mktemp("emulator")
    with emulator(state, "127.201.12.0/24", landing_zone.image_list()) as endpoint:
        made = boto3.Session("testing", "testing", region_name=REGION)
        made.client("ssm", endpoint_url=endpoint).put_parameter(
            Name="/atelier/preprod/access/admin_public_key", Value="ssh-ed25519 AAAA test", Type="String"
        )

        def run(name: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
            done = playbook(endpoint, name, inventory, *arguments)
            assert not check or done.returncode == 0, done.stdout + done.stderr
            return done

        run.ec2 = made.client("ec2", endpoint_url=endpoint)  # type: ignore[attr-defined]
        run("provision")
        yield run


def report(play: Any, folder: Path, *arguments: str, check: bool = True) -> tuple[str, dict[str, Any]]:
    """What the playbook says, and the report it wrote. No host runs behind the emulator, so only localhost plays."""
    done = play("rules", "--limit", "localhost", "-e", f"rules_reports={folder}", *arguments, check=check)
    return done.stdout + done.stderr, json.loads((folder / "preprod.json").read_text(encoding="utf-8"))


def test_what_the_platform_makes_keeps_every_rule(play: Any, tmp_path: Path) -> None:
    output, made = report(play, tmp_path)
    assert {one["rule"] for one in made["findings"]} == {"exception_current"}, made["findings"]
    assert made["counts"]["refuse"] == 0
    assert "0 refused, 2 warnings" in output
    assert {one["state"] for one in made["rules"]} <= {"ok", "off", "unseen", "warn"}
    asked = {one["id"]: one["asked"] for one in made["rules"]}
    assert (asked["naming"], asked["imdsv2"]) == (3, 6), "a bastion, two machines, and their launch templates"
    assert [one["what"] for one in made["gaps"]] == [
        f"the inside of preprod-{name}-01" for name in ("alpha-workstation", "beta-workstation", "platform-bastion")
    ]


def test_hosts_tell_about_themselves_and_one_that_does_not_answer_is_a_gap(play: Any, tmp_path: Path) -> None:
    """One machine is this computer, the others are where nobody listens."""
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    away = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    common = {"ansible_become": False, "ansible_ssh_common_args": "-o ConnectTimeout=2", "ansible_ssh_retries": 0}
    common["instance_id"] = "i-0"  # what EC2's inventory tells of each
    hosts = {
        "preprod-alpha-workstation-01": here | common,
        "preprod-beta-workstation-01": away | common,
        "preprod-platform-bastion-01": away | common,
    }
    more = tmp_path / "more.yml"
    more.write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")
    done = play("rules", "-i", str(more), "-e", f"rules_reports={tmp_path}", check=False)
    made = json.loads((tmp_path / "preprod.json").read_text(encoding="utf-8"))
    assert made["counts"]["hosts"] == 1
    asked = {one["id"]: one["asked"] for one in made["rules"]}
    assert (asked["image_marker"], asked["patch_age"]) == (1, 1)
    marked = [one for one in made["findings"] if one["rule"] == "image_marker"]
    assert [(one["subject"], one["severity"], one["wrong"]) for one in marked] == [
        ("preprod-alpha-workstation-01", "refuse", "host carries no marker of core IT")
    ]
    gaps = {one["what"].rpartition(" ")[2]: one["why"] for one in made["gaps"]}
    assert set(gaps) == {"preprod-beta-workstation-01", "preprod-platform-bastion-01"}
    assert all("Connection refused" in why for why in gaps.values()), gaps
    assert "Refused by image_marker 1" in done.stdout + done.stderr
    more.write_text(yaml.safe_dump({"all": {"hosts": dict.fromkeys(hosts, away | common)}}), encoding="utf-8")
    play("rules", "-i", str(more), "-e", f"rules_reports={tmp_path}")  # succeeds: a gap is no refusal


def test_nothing_is_written_in_check_mode(play: Any, tmp_path: Path) -> None:
    done = play("rules", "--limit", "localhost", "--check", "-e", f"rules_reports={tmp_path / 'none'}")
    assert "0 refused" in done.stdout
    assert not (tmp_path / "none").exists()


def test_what_was_made_by_hand_is_refused_and_an_exception_lets_pass(play: Any, tmp_path: Path) -> None:
    ec2 = play.ec2
    image = next(one["ImageId"] for one in ec2.describe_images()["Images"] if "unapproved" in one["Name"])
    subnet = ec2.describe_subnets()["Subnets"][0]
    group = ec2.create_security_group(GroupName="trial", Description="x", VpcId=subnet["VpcId"])["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
    )
    tags = [{"Key": "Name", "Value": "box"}, {"Key": "Owner", "Value": "eve"}]
    by_hand = ec2.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet["SubnetId"], SecurityGroupIds=[group],
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )["Instances"][0]["InstanceId"]  # fmt: skip
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.associate_address(AllocationId=address, InstanceId=by_hand)
    (beta,) = [
        one["InstanceId"]
        for each in ec2.describe_instances(Filters=[{"Name": "tag:Project", "Values": ["beta"]}])["Reservations"]
        for one in each["Instances"]
    ]
    ec2.modify_instance_metadata_options(InstanceId=beta, HttpTokens="optional")
    before = ec2.describe_instances()["Reservations"]
    output, made = report(play, tmp_path, check=False)
    assert ec2.describe_instances()["Reservations"] == before, "reading changes nothing"
    by_subject: dict[str, set[str]] = {}
    for one in made["findings"]:
        by_subject.setdefault(one["subject"], set()).add(f"{one['rule']} {one['severity']}")
    assert {
        "approved_image refuse", "mandatory_tags refuse", "naming refuse", "public_address refuse", "imdsv2 refuse",
        "backup_present refuse", "schedule_present refuse", "owner_member warn", "stack_managed warn",
    } == by_subject["box"]  # fmt: skip
    assert "open_world refuse" in by_subject[group]
    assert by_subject["preprod-beta-workstation-01"] == {"imdsv2 warn"}
    assert not {"preprod-alpha-workstation-01", "preprod-platform-bastion-01"} & set(by_subject)
    for words in ("failed=1", "Refused by", "excepted", "CORE-1", str(tmp_path)):
        assert words in output, output
    suite = Xml.parse(tmp_path / "preprod.xml").getroot()[0]  # noqa: S314 our own file
    assert int(suite.get("failures") or 0) == made["counts"]["refuse"] > 0
    assert "<script" not in (tmp_path / "preprod.html").read_text(encoding="utf-8")
    assert "Traceback" not in output
