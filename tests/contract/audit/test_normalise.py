"""Tags and names that somebody said yes to, and adoption, on an account of this file's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.module_utils import _adopt, _adopt_api
from ansible_collections.atelier.datalab.plugins.modules import adopt, normalise
from botocore.stub import Stubber
from cfnlint import api as cfnlint

from tests.audit import seed
from tests.emulator import emulator

ACCOUNTS = [{"account": seed.ACCOUNT, "environment": "prod", "regions": [seed.REGION]}]
VOCABULARY = {"Project": ["alpha", "beta"], "Owner": ["alice", "carol"], "Role": ["workstation", "database"]}
PATTERN = "prod-[a-z]+-(workstation|database)-[0-9]{2}"
GROUPS = (
    seed.Group("forgotten", 4, set(), {"Name": "old-{n}"}, bare=True),
    seed.Group("public", 1, set(), address=True),
)

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seed.Account]:
    """A few machines, in an emulator that nothing else looks at."""
    with emulator(tmp_path_factory.mktemp("emulator"), "127.201.13.0/24", seed.IMAGES) as endpoint:
        yield seed.Account(endpoint).build(GROUPS, managed=2)


def tags(account: seed.Account, instance: str) -> dict[str, str]:
    found = account.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return {tag["Key"]: tag["Value"] for tag in found.get("Tags") or []}


def entry(account: seed.Account, instance: str, **more: Any) -> dict[str, Any]:
    seen = {key: value for key, value in tags(account, instance).items() if not key.startswith("aws:")}
    known = {"id": instance, "account": seed.ACCOUNT, "region": seed.REGION, "apply": True, "tags": {}, "seen": seen}
    return known | more


@pytest.fixture
def call(cloud: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run a module on these entries."""

    def go(module: Any, *entries: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
        file = tmp_path / "proposal.yml"
        file.write_text(yaml.safe_dump({"audited": "2027-01-01", "entries": list(entries)}))
        arguments = {"file": str(file), "accounts": ACCOUNTS, "region": seed.REGION, "_ansible_check_mode": check}
        if module is normalise:
            arguments |= {"vocabulary": VOCABULARY, "name_pattern": PATTERN}
        with patch_module_args(arguments | {"_ansible_diff": True} | options), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return go


def test_apply_again_with_and_without_check_mode(account: seed.Account, call: Run) -> None:
    first, second = account.machines["forgotten"][:2]
    wanted = {"Project": "alpha", "Owner": "alice", "Role": "workstation"}
    yes = entry(account, first, tags=wanted, rename="prod-alpha-workstation-90")
    no = entry(account, second, tags=wanted, apply=False)
    before = tags(account, first), tags(account, second)

    seen = call(normalise, yes, no, check=True)
    assert seen["changed"] is True
    assert seen["changes"] == [
        {
            "id": first,
            "tags": {key: {"before": None, "after": value} for key, value in wanted.items()}
            | {"Name": {"before": "old-0", "after": "prod-alpha-workstation-90"}},
        }
    ]
    assert seen["diff"][0]["before"] == "Name: old-0\n"
    assert "Owner: alice\n" in seen["diff"][0]["after"]
    assert (tags(account, first), tags(account, second)) == before

    done = call(normalise, yes, no)
    assert done["changes"] == seen["changes"], "check mode told the truth"
    assert tags(account, first) == before[0] | wanted | {"Name": "prod-alpha-workstation-90"}
    assert tags(account, second) == before[1], "apply is false"
    for check in (True, False):
        again = call(normalise, yes, no, check=check)
        assert (again["changed"], again["changes"]) == (False, [])
    assert again["summary"] == "0 machines changed, 1 as wanted, 1 left alone (apply is false)"


def test_half_written_is_carried_on(account: seed.Account, call: Run) -> None:
    instance = account.machines["forgotten"][1]
    yes = entry(account, instance, tags={"Project": "beta", "Owner": "carol"})
    account.ec2.create_tags(Resources=[instance], Tags=[{"Key": "Project", "Value": "beta"}])
    assert call(normalise, yes)["changes"] == [
        {"id": instance, "tags": {"Owner": {"before": None, "after": "carol"}}},
    ]


def test_one_message_names_every_offender_and_nothing_is_written(account: seed.Account, call: Run) -> None:
    third, fourth = account.machines["forgotten"][2:4]
    unknown = entry(account, third) | {"id": "i-0123456789abcdef0", "tags": {"Project": "alpha"}}
    word = entry(account, third, tags={"Project": "gamma", "Colour": "red", "ManagedBy": "atelier.datalab"})
    changed = entry(account, fourth, tags={"Project": "alpha"}, rename="prod-alpha-workstation-01")
    changed["seen"] = {"Name": "older"}
    before = tags(account, third), tags(account, fourth)
    said = call(normalise, unknown, word, changed)
    assert said["failed"] is True
    assert said["msg"].splitlines() == [
        "proposal.yml has 6 faults; nothing was changed.",
        (
            f"  proposal.yml: entries[0] (i-0123456789abcdef0): there is no such instance in {seed.ACCOUNT} eu-west-1; "
            "audit again, or remove the entry"
        ),
        f"  proposal.yml: entries[1] ({third}).tags.Colour: is not a tag that is set here; use Owner, Project, Role",
        f"  proposal.yml: entries[1] ({third}).tags.ManagedBy: only stacks write it; remove it",
        (
            f"  proposal.yml: entries[1] ({third}).tags.Project = gamma: is not in the vocabulary; "
            "write one of alpha, beta"
        ),
        (
            f"  proposal.yml: entries[2] ({fourth}).rename = prod-alpha-workstation-01: {holder(account)} has that "
            "name; take another number"
        ),
        (
            f"  proposal.yml: entries[2] ({fourth}): was changed since the audit (Name was older, is old-3); "
            "audit again and review it anew"
        ),
    ]
    assert (tags(account, third), tags(account, fourth)) == before


def holder(account: seed.Account) -> str:
    filters = [{"Name": "tag:Name", "Values": ["prod-alpha-workstation-01"]}]
    return account.ec2.describe_instances(Filters=filters)["Reservations"][0]["Instances"][0]["InstanceId"]


def test_an_account_that_was_not_given_is_refused(account: seed.Account, call: Run) -> None:
    other = entry(account, account.machines["forgotten"][2]) | {"account": "999999999999"}
    assert "account 999999999999 is not among the accounts given" in call(normalise, other)["msg"]


# -- adoption


def test_the_template_says_what_is_there_and_lints(account: seed.Account, call: Run, tmp_path: Path) -> None:
    instance = account.machines["public"][0]
    data = account.ec2.create_volume(AvailabilityZone=f"{seed.REGION}a", Size=50, VolumeType="gp3", Encrypted=True)
    account.ec2.attach_volume(VolumeId=data["VolumeId"], InstanceId=instance, Device="/dev/sdg")
    yes = entry(account, instance, adopt=True)
    seen = call(adopt, yes, check=True, folder=str(tmp_path / "adopt"))
    assert seen["changed"] is True
    assert not (tmp_path / "adopt").exists(), "check mode writes nothing"
    done = call(adopt, yes, folder=str(tmp_path / "adopt"))
    assert call(adopt, yes, folder=str(tmp_path / "adopt"))["changed"] is False
    text = Path(done["stacks"][0]["template"]).read_text()
    # Adopted as it is: core IT's own rules (E9...) are broken by the machine, and the audit says so.
    assert [str(one) for one in cfnlint.lint(text, regions=[seed.REGION]) if not one.rule.id.startswith("E9")] == []
    template = json.loads(text)
    assert {key: one["Type"] for key, one in template["Resources"].items()} == {
        "Machine": "AWS::EC2::Instance", "Volume1": "AWS::EC2::Volume", "Address1": "AWS::EC2::EIP",
    }  # fmt: skip
    assert {one["DeletionPolicy"] for one in template["Resources"].values()} == {"Retain"}
    assert template["Resources"]["Machine"]["Properties"]["InstanceType"] == "m5.large"
    identifiers = json.loads(Path(done["stacks"][0]["resources"]).read_text())
    assert [one["ResourceIdentifier"] for one in identifiers[:2]] == [
        {"InstanceId": instance}, {"VolumeId": data["VolumeId"]},
    ]  # fmt: skip
    assert {one["LogicalResourceId"] for one in identifiers} == set(template["Resources"])


def test_without_yes_nothing_is_adopted(account: seed.Account, call: Run, tmp_path: Path) -> None:
    instance = account.machines["public"][0]
    for choice in ({"apply": False, "adopt": True}, {"apply": True, "adopt": False}):
        done = call(adopt, entry(account, instance, **choice), folder=str(tmp_path / "adopt"))
        assert (done["changed"], done["stacks"]) == (False, [])


def test_what_a_stack_holds_is_passed_over(account: seed.Account, call: Run, tmp_path: Path) -> None:
    done = call(adopt, entry(account, holder(account), adopt=True), folder=str(tmp_path / "adopt"))
    assert [one["status"] for one in done["stacks"]] == ["held by it already"]
    assert done["changed"] is False


def test_an_import_that_is_refused_leaves_nothing_behind(account: seed.Account, call: Run, tmp_path: Path) -> None:
    """The emulator cannot import instances and says so, which is a refusal like any other."""
    instance = account.machines["public"][0]
    said = call(adopt, entry(account, instance, adopt=True), folder=str(tmp_path / "adopt"), execute=True)
    assert f"prod-adopted-{instance}: {instance} was not imported, nothing was changed: " in said["msg"]
    names = {one["StackName"] for one in account.client("cloudformation").describe_stacks()["Stacks"]}
    assert f"prod-adopted-{instance}" not in names
    assert call(adopt, entry(account, instance, adopt=True), folder=str(tmp_path / "a"), execute=True, check=True)[
        "changed"
    ]


class Pretended:
    """A machine whose CloudFormation is a list of answers."""

    id = "i-0123456789abcdef0"

    def __init__(self, cfn: Any) -> None:
        self.cfn = cfn

    def template(self) -> dict[str, Any]:
        return {"Resources": {}}

    def identifiers(self) -> list[dict[str, Any]]:
        return [
            {
                "ResourceType": "AWS::EC2::Instance",
                "LogicalResourceId": "Machine",
                "ResourceIdentifier": {"InstanceId": self.id},
            }
        ]


STAMP = "2027-01-01T00:00:00Z"


def answers(action: str) -> tuple[Any, Stubber]:
    cfn = boto3.Session("testing", "testing", region_name=seed.REGION).client("cloudformation")
    stub = Stubber(cfn)
    stub.add_client_error("describe_stacks", "ValidationError", "Stack with id x does not exist")
    stub.add_response("create_change_set", {"Id": "c", "StackId": "s"})
    stub.add_response("describe_change_set", {"Status": "CREATE_IN_PROGRESS"})
    change = {
        "ResourceChange": {"Action": action, "ResourceType": "AWS::EC2::Instance", "LogicalResourceId": "Machine"}
    }
    stub.add_response("describe_change_set", {"Status": "CREATE_COMPLETE", "Changes": [change]})
    return cfn, stub


def stack(status: str) -> dict[str, Any]:
    return {"Stacks": [{"StackName": "x", "CreationTime": STAMP, "StackStatus": status}]}


def test_an_import_is_executed_and_waited_for() -> None:
    cfn, stub = answers("Import")
    stub.add_response("execute_change_set", {})
    stub.add_response("describe_stacks", stack("IMPORT_IN_PROGRESS"))
    stub.add_response("describe_stacks", stack("IMPORT_COMPLETE"))
    with stub:
        assert _adopt_api.execute(Pretended(cfn), "x", 60, sleep=lambda _: None) == "IMPORT_COMPLETE"
        stub.assert_no_pending_responses()


def test_a_change_set_that_does_more_than_import_is_never_executed() -> None:
    cfn, stub = answers("Modify")
    stub.add_response("delete_change_set", {})
    stub.add_response("describe_stacks", stack("REVIEW_IN_PROGRESS"))
    stub.add_response("delete_stack", {})
    with stub, pytest.raises(_adopt.AdoptError, match="nothing was changed: Modify AWS::EC2::Instance Machine"):
        _adopt_api.execute(Pretended(cfn), "x", 60, sleep=lambda _: None)
    stub.assert_no_pending_responses()


def test_a_stack_of_that_name_is_never_touched() -> None:
    cfn = boto3.Session("testing", "testing", region_name=seed.REGION).client("cloudformation")
    with Stubber(cfn) as stub:
        stub.add_response("describe_stacks", stack("IMPORT_COMPLETE"))
        with pytest.raises(_adopt.AdoptError, match="there is such a stack already"):
            _adopt_api.execute(Pretended(cfn), "x", 60, sleep=lambda _: None)


# -- the playbooks


def test_the_audit_looks_into_what_runs(
    account: seed.Account, cloud: dict[str, str], root: Path, tmp_path: Path
) -> None:
    """Every machine of the account is this computer here, which is all that differs from ssh."""
    given = {
        "audit_accounts": ACCOUNTS, "audit_folder": str(tmp_path), "audit_size_seconds": 0.2,
        "ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable,
    }  # fmt: skip
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [program, "playbooks/audit.yml", "-i", "inventories/prod/hosts.yml", "-e", json.dumps(given)]
    environment = os.environ | {"ANSIBLE_CONFIG": str(root / "ansible.cfg")}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout
    assert "unreachable=1" not in done.stdout
    report = json.loads((tmp_path / "audit.json").read_text())
    running = {one["id"] for one in report["resources"] if one["kind"] == "instance" and one["state"] == "running"}
    assert {file.stem for file in (tmp_path / "evidence").glob("*.json")} == running
    assert len(running) == 7
    processes = [one["evidence"]["processes"] for one in report["resources"] if one["id"] in running]
    assert all(processes)
    assert not [gap for gap in report["gaps"] if gap["reason"] == "not tried"]


@pytest.mark.slow
def test_the_playbook_from_audit_to_tags(
    account: seed.Account, cloud: dict[str, str], root: Path, tmp_path: Path
) -> None:
    given = {"audit_accounts": ACCOUNTS, "audit_folder": str(tmp_path / "out"), "audit_hosts": False}

    def play(name: str, *more: str) -> subprocess.CompletedProcess[str]:
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        command = [program, f"playbooks/{name}.yml", "-i", "inventories/prod/hosts.yml", "-e", json.dumps(given), *more]
        environment = os.environ | {"ANSIBLE_CONFIG": str(root / "ansible.cfg")}
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    play("audit")
    file = tmp_path / "out/proposal.yml"
    review = yaml.safe_load(file.read_text())
    assert {one["apply"] for one in review["entries"]} == {False}
    assert "changed=0" in play("normalise").stdout, "nobody said yes yet"
    chosen = next(one for one in review["entries"] if one["id"] == account.machines["forgotten"][3])
    chosen["apply"], chosen["tags"]["Backup"] = True, "daily"
    file.write_text(yaml.safe_dump(review))
    assert "+Backup: daily" in play("normalise", "--check", "--diff").stdout
    assert "Backup" not in tags(account, chosen["id"])
    play("normalise")
    assert tags(account, chosen["id"])["Backup"] == "daily"
    assert "changed=0" in play("normalise").stdout
