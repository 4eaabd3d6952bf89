"""The module `stacks` against a real emulator process: every transition, with and without check mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.module_utils import _aws, _stacks_api
from ansible_collections.atelier.datalab.plugins.modules import approved_images, stacks
from botocore.exceptions import ClientError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.aws_calls import calls  # noqa: E402
from tests.emulator import emulator, variables  # noqa: E402

__all__ = ["calls"]

REGION = "eu-west-1"
OLD, NEW = "ami-00000000000000001", "ami-00000000000000002"
CORE_IT = "210987654321"

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An emulator of this file's own, with two approved images."""
    images = [
        {"owner": CORE_IT, "name": f"debian-12-{n}", "image_id": i, "tags": {"CoreIT": "approved", "Os": "debian-12"}}
        for n, i in enumerate((OLD, NEW))
    ]
    with emulator(tmp_path_factory.mktemp("emulator"), "127.201.9.0/24", images) as running:
        yield running


@pytest.fixture(autouse=True)
def environment(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    values = variables(endpoint)
    for key, value in values.items():
        monkeypatch.setenv(key, value)
    return values


@pytest.fixture
def cfn(environment: dict[str, str]) -> Any:
    return boto3.client("cloudformation")


@pytest.fixture
def ec2(environment: dict[str, str]) -> Any:
    return boto3.client("ec2")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a module's main() with these arguments, as Ansible would; returns what it prints."""

    def go(entries: list[dict[str, Any]], *, check: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {"stacks": entries, "environment": "test", "region": REGION, "timeout": 60, **options}
        return call(stacks.main, capsys, arguments | {"_ansible_check_mode": check, "_ansible_diff": True})

    return go


def call(main: Callable[[], None], capsys: pytest.CaptureFixture[str], arguments: dict[str, Any]) -> dict[str, Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        main()
    return json.loads(capsys.readouterr().out)


def parameter(value: str = "one", **extra: Any) -> dict[str, Any]:
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value, **extra}}


def entry(name: str, resources: dict[str, Any] | None = None, **extra: Any) -> dict[str, Any]:
    template = {"Resources": resources or {"One": parameter()}, **extra.pop("template", {})}
    tags = {"ManagedBy": "atelier.datalab", "Environment": "test", "Project": "alpha"}
    return {"name": name, "template_body": json.dumps(template), "tags": tags, **extra}


def names(cfn: Any) -> set[str]:
    return {stack["StackName"] for stack in cfn.describe_stacks()["Stacks"]}


def stack(cfn: Any, name: str) -> dict[str, Any]:
    return cfn.describe_stacks(StackName=name)["Stacks"][0]


def ids(cfn: Any, name: str) -> dict[str, str]:
    found = cfn.describe_stack_resources(StackName=name)["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}


# --- the matrix -----------------------------------------------------------------------------------------------------


def test_create_again_modify_again_each_with_and_without_check_mode(cfn: Any, run: Run) -> None:
    first = [entry("matrix-a", termination_protection=True), entry("matrix-b", wave=1)]
    before = names(cfn)

    seen = run(first, check=True)
    assert (seen["changed"], [s["action"] for s in seen["stacks"]]) == (True, ["create", "create"])
    assert seen["stacks"][0]["changes"] == ["Add AWS::SSM::Parameter One"]
    assert names(cfn) == before, "check mode leaves nothing behind, not even a stack in review"

    made = run(first)
    assert (made["changed"], [s["status"] for s in made["stacks"]]) == (True, ["CREATE_COMPLETE"] * 2)
    assert stack(cfn, "matrix-a")["EnableTerminationProtection"] is True
    assert {t["Key"]: t["Value"] for t in stack(cfn, "matrix-a")["Tags"]} == first[0]["tags"]

    for check in (True, False):
        again = run(first, check=check)
        assert (again["changed"], again["diff"]) == (False, [])

    second = [entry("matrix-a", {"One": parameter("two"), "Two": parameter()}, termination_protection=True), first[1]]
    seen = run(second, check=True)
    assert [s["action"] for s in seen["stacks"]] == ["update", "none"]
    assert seen["stacks"][0]["changes"][0].startswith("Modify AWS::SSM::Parameter One")
    assert seen["stacks"][0]["changes"][1] == "Add AWS::SSM::Parameter Two"
    assert "Value: two" in seen["diff"][0]["after"]
    assert "Value: two" not in seen["diff"][0]["before"]
    assert set(ids(cfn, "matrix-a")) == {"One"}
    assert cfn.list_change_sets(StackName="matrix-a")["Summaries"] == []

    assert run(second)["changed"] is True
    assert set(ids(cfn, "matrix-a")) == {"One", "Two"}
    for check in (True, False):
        assert run(second, check=check)["changed"] is False


@pytest.mark.parametrize(
    ("change", "action"),
    [({"tags": {"Project": "beta"}}, "update"), ({"termination_protection": True}, "protect")],
)
def test_tags_and_protection_are_converged_too(cfn: Any, run: Run, change: dict[str, Any], action: str) -> None:
    name = f"small-{action}"
    run([entry(name)])
    changed = [entry(name) | change]
    assert run(changed, check=True)["stacks"][0]["action"] == action
    assert run(changed)["stacks"][0]["action"] == action
    assert run(changed)["changed"] is False


def test_another_spelling_of_the_same_template_is_no_change(run: Run) -> None:
    run([entry("spelling", template={"Outputs": {"A": {"Value": {"Fn::GetAtt": ["One", "Value"]}}}})])
    text = """
    # the same, by hand
    Outputs: {A: {Value: !GetAtt One.Value}}
    Resources: {One: {Type: "AWS::SSM::Parameter", Properties: {Value: one, Type: String}}}
    """
    assert run([entry("spelling") | {"template_body": text}])["changed"] is False


def test_a_change_by_hand_is_brought_back(cfn: Any, run: Run, tmp_path: Path) -> None:
    wanted = [entry("by-hand")]
    run(wanted, cache=str(tmp_path / "cache.json"))
    run(wanted, cache=str(tmp_path / "cache.json"))
    tags = [{"Key": k, "Value": v} for k, v in wanted[0]["tags"].items()]
    other = json.dumps({"Resources": {"One": parameter("by hand")}})
    cfn.update_stack(StackName="by-hand", TemplateBody=other, Tags=tags)
    cfn.get_waiter("stack_update_complete").wait(StackName="by-hand", WaiterConfig={"Delay": 0.2})
    assert run(wanted, cache=str(tmp_path / "cache.json"))["changed"] is True
    assert cfn.get_template(StackName="by-hand")["TemplateBody"] != other


def test_a_hundred_stacks_with_nothing_to_do_are_few_calls(run: Run, calls: Counter[str], tmp_path: Path) -> None:
    many = [entry(f"many-{n:03}", {"One": parameter(str(n))}) for n in range(100)]
    cache = str(tmp_path / "cache.json")
    assert run(many, cache=cache)["changed"] is True
    assert run(many, cache=cache)["changed"] is False
    calls.clear()
    assert run(many, cache=cache)["changed"] is False
    assert set(calls) == {"DescribeStacks"}
    assert calls["DescribeStacks"] <= 3

    Path(cache).write_text('{"damaged": 1}')
    assert run(many, cache=cache)["changed"] is False, "a damaged cache is only slow"


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_failure_names_the_resource_the_reason_and_the_remedy(cfn: Any, run: Run) -> None:
    taken = {"One": parameter(Name="/taken")}
    run([entry("fail-first", taken)])
    broken = {"Good": parameter(), "Bad": parameter(Name="/taken") | {"DependsOn": "Good"}}
    failed = run([entry("fail-second", broken, termination_protection=True), entry("fail-later", wave=1)])
    assert failed["failed"] is True
    assert "fail-second: Bad (AWS::SSM::Parameter):" in failed["msg"]
    assert "already exists" in failed["msg"]
    assert "What to do: an object of that name exists outside this stack" in failed["msg"]
    assert "now ROLLBACK_COMPLETE" in failed["msg"]
    assert "1 stacks of later waves were not begun" in failed["msg"]
    assert "fail-later" not in names(cfn)

    mended = [entry("fail-second", {"Good": parameter()}, termination_protection=True)]
    assert run(mended, check=True)["stacks"][0]["action"] == "create"
    assert stack(cfn, "fail-second")["StackStatus"] == "ROLLBACK_COMPLETE"
    assert run(mended)["stacks"][0]["status"] == "CREATE_COMPLETE", "even though the dead stack was protected"
    assert run(mended)["changed"] is False


def test_a_failed_update_leaves_the_stack_as_it_was_and_can_be_mended(run: Run) -> None:
    run([entry("undo-other", {"One": parameter(Name="/undo")}), entry("undo")])
    bad = [entry("undo", {"One": parameter(), "Two": parameter(Name="/undo")})]
    failed = run(bad)
    assert "undo: Two (AWS::SSM::Parameter)" in failed["msg"]
    assert "The stack is as it was before" in failed["msg"]
    assert run([entry("undo", {"One": parameter("two")})])["stacks"][0]["status"] == "UPDATE_COMPLETE"


def test_a_stack_left_in_review_is_made(cfn: Any, run: Run) -> None:
    body = entry("review")["template_body"]
    cfn.create_change_set(StackName="review", ChangeSetName="x", ChangeSetType="CREATE", TemplateBody=body)
    assert stack(cfn, "review")["StackStatus"] == "REVIEW_IN_PROGRESS"
    assert run([entry("review")])["stacks"][0]["status"] == "CREATE_COMPLETE"


def test_faults_in_the_entries_are_told_before_any_call(run: Run, calls: Counter[str]) -> None:
    failed = run([entry("1-bad"), entry("unknown", parameters={"Typo": "x"})])
    assert "1-bad: not a stack name" in failed["msg"]
    assert "unknown: parameter Typo is not in the template" in failed["msg"]
    assert not calls


def test_a_dead_endpoint_is_told_in_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(_aws, "client", lambda *_: boto3.client("cloudformation", config=_quick()))
    failed = run([entry("x")])
    assert failed["msg"].startswith("The stacks cannot be listed: Could not connect to the endpoint URL")


def _quick() -> Any:
    from botocore.config import Config

    return Config(retries={"max_attempts": 0})


def test_orphans_are_reported_and_left_alone(cfn: Any, run: Run) -> None:
    run([entry("orphan-a"), entry("orphan-b")])
    result = run([entry("orphan-a")])
    assert "orphan-b" in result["orphans"]
    assert "orphan-a" not in result["orphans"]
    assert (result["changed"], stack(cfn, "orphan-b")["StackStatus"]) == (False, "CREATE_COMPLETE")


def test_check_mode_tells_an_update_whose_import_this_run_would_make(cfn: Any, run: Run) -> None:
    run([entry("gives"), entry("takes", wave=1)])
    export = {"Outputs": {"A": {"Value": "x", "Export": {"Name": "given"}}}}
    both = [
        entry("gives", template=export),
        entry("takes", {"One": parameter({"Fn::ImportValue": "given"})}, wave=1),
    ]  # type: ignore[arg-type]
    seen = run(both, check=True)
    assert seen["stacks"][1]["changes"] == [
        "Modify AWS::SSM::Parameter One", "(told from the templates: given is made by this same run)",
    ]  # fmt: skip
    assert run(both)["changed"] is True
    assert run(both, check=True)["changed"] is False


# --- interrupted ----------------------------------------------------------------------------------------------------

WAITING = {
    "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
    "Wait": {
        "Type": "AWS::CloudFormation::WaitCondition",
        "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "600", "Count": 1},
    },
}


SCRIPT = """
import sys
from ansible.module_utils.testing import patch_module_args
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([sys.argv[1]])
from ansible_collections.atelier.datalab.plugins.modules import stacks
with patch_module_args({arguments!r}):
    stacks.main()
"""


def signal(cfn: Any, name: str) -> None:
    """Let a stack's wait condition go on."""
    for _ in range(100):
        handle = ids(cfn, name).get("Handle")
        if handle:
            break
        time.sleep(0.1)
    body = json.dumps({"Status": "SUCCESS", "Reason": "done", "UniqueId": "1", "Data": "x"}).encode()
    urlopen(Request(handle, data=body, method="PUT", headers={"Content-Type": ""}), timeout=10)  # noqa: S310


def test_a_stack_in_progress_is_named_with_the_remedy(cfn: Any, run: Run) -> None:
    waiting = [entry("busy", WAITING)]
    cfn.create_stack(StackName="busy", TemplateBody=waiting[0]["template_body"])
    for check in (True, False):
        failed = run(waiting, check=check, timeout=1)
        assert failed["failed"] is True
        assert "busy: CREATE_IN_PROGRESS" in failed["msg"]
        assert "wait until it is done and run again" in failed["msg"]
    signal(cfn, "busy")


@pytest.mark.slow
def test_killed_half_way_the_next_run_waits_and_carries_on(
    cfn: Any, run: Run, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [entry("killed", WAITING), entry("killed-later", wave=1)]
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(arguments={"stacks": wanted, "environment": "test", "region": REGION}))
    process = subprocess.Popen([sys.executable, script, str(ROOT / "collections")], env=os.environ | environment)
    for _ in range(150):
        if "killed" in names(cfn):
            break
        time.sleep(0.1)
    process.kill()
    process.wait(10)
    assert stack(cfn, "killed")["StackStatus"] == "CREATE_IN_PROGRESS"
    assert "killed-later" not in names(cfn)

    wait = _stacks_api.StackApi.wait
    signalled: list[str] = []

    def wait_once_signalled(api: Any, *arguments: Any) -> Any:
        """The creation ends only after somebody began to wait for it."""
        if not signalled:
            signalled.append("killed")
            signal(cfn, "killed")
        return wait(api, *arguments)

    monkeypatch.setattr(_stacks_api.StackApi, "wait", wait_once_signalled)
    done = run(wanted)
    assert signalled
    assert [s["status"] for s in done["stacks"]] == ["CREATE_COMPLETE"] * 2
    # What was made by the interrupted run carries the tags too, so nothing is left to change.
    assert [s["changed"] for s in done["stacks"]] == [False, True]


# --- machines -------------------------------------------------------------------------------------------------------


SIZE = {"DataGib": "10"}  # a volume never shrinks, so a test that grows it leaves its mark here


def ours() -> list[dict[str, Any]]:
    """A whole small environment from the shipped templates."""
    own = {"Environment": "test"}
    late = {"late_parameters": {"ImageId": "image.debian-12", "AdminPublicKey": "secret.key"}}
    late["keep_parameters"] = ["ImageId", "AdminPublicKey"]  # type: ignore[assignment]

    def one(kind: str, name: str, wave: int, project: str, parameters: dict[str, str], **more: Any) -> dict[str, Any]:
        tags = {
            "Name": name, "Project": project, "Environment": "test", "Role": kind, "Owner": "alice",
            "CostCenter": "CC-1042", "Schedule": "office", "Backup": "daily", "ManagedBy": "atelier.datalab",
        }  # fmt: skip
        path = str(ROOT / f"roles/{kind}/files/{kind}.cfn.yml")
        return {"name": name, "wave": wave, "template": path, "tags": tags, "parameters": own | parameters, **more}

    return [
        one("network", "test-network", 0, "platform", {
            "VpcCidr": "10.30.0.0/16", "ZoneA": "a", "ZoneB": "b", "PublicCidrA": "10.30.0.0/24",
            "PublicCidrB": "10.30.1.0/24", "PrivateCidrA": "10.30.16.0/24", "PrivateCidrB": "10.30.17.0/24",
            "DomainName": "test.example.com", "Egress": "nat",
        }),
        one("bastion", "test-bastion", 1, "platform", {
            "Name": "test-platform-bastion-01", "DomainName": "test.example.com", "Zone": "A",
            "InstanceType": "t3.micro", "PrivateIpAddress": "10.30.0.10", "DisableApiTermination": "false",
        }, **late),
        one("project", "test-project-alpha", 1, "alpha", {"Project": "alpha"}),
        one("backups", "test-backups", 1, "platform", {}),
        one("machine", "test-machine-alpha-workstation-01", 2, "alpha", {
            "Project": "alpha", "Role": "workstation", "Name": "test-alpha-workstation-01",
            "DomainName": "test.example.com", "Zone": "A", "InstanceType": "m6i.large",
            "PrivateIpAddress": "10.30.16.21", "RootGib": "30", "DataGib": SIZE["DataGib"],
            "DisableApiTermination": "false",
        }, **late),
    ]  # fmt: skip


LATE = {"image.debian-12": OLD, "secret.key": "ssh-ed25519 AAAA test"}
MACHINE = "test-machine-alpha-workstation-01"


@pytest.fixture
def platform(run: Run) -> list[dict[str, Any]]:
    """The environment, as the data says; whatever an earlier test did to it is undone."""
    result = run(ours(), late_values=LATE, allow_replacement=[MACHINE])
    assert not result.get("failed"), result["msg"]
    return ours()


def test_the_shipped_templates_converge_and_stay(run: Run, platform: list[dict[str, Any]]) -> None:
    for check in (True, False):
        assert run(platform, late_values=LATE, check=check)["changed"] is False


def test_what_they_made_is_what_was_promised(cfn: Any, ec2: Any, platform: list[dict[str, Any]]) -> None:
    machine = ids(cfn, MACHINE)
    instance = ec2.describe_instances(InstanceIds=[machine["Machine"]])["Reservations"][0]["Instances"][0]
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert "PublicIpAddress" not in instance
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert tags.items() >= (platform[4]["tags"] | {"Name": "test-alpha-workstation-01"}).items()
    volumes = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [machine["Machine"]]}])
    assert [v["Encrypted"] for v in volumes["Volumes"]] == [True, True]
    for name in ("test-project-alpha", "test-bastion"):
        group = ec2.describe_security_groups(GroupIds=[ids(cfn, name)["SecurityGroup"]])["SecurityGroups"][0]
        assert group["IpPermissions"] == []
        assert [r["CidrIp"] for p in group["IpPermissionsEgress"] for r in p["IpRanges"]] == ["127.0.0.1/32"]


@pytest.mark.parametrize(
    "change", [{"InstanceType": "m6i.xlarge"}, {"DataGib": "20"}, {"AlarmTopicArn": "arn:aws:sns:eu-west-1:1:t"}]
)
def test_changes_in_place_keep_the_instance(
    cfn: Any, run: Run, platform: list[dict[str, Any]], change: dict[str, str]
) -> None:
    before = ids(cfn, MACHINE)
    platform[4]["parameters"] |= change
    SIZE.update({key: change[key] for key in SIZE.keys() & change.keys()})
    assert run(platform, late_values=LATE, check=True)["changed"] is True
    result = run(platform, late_values=LATE)
    assert [s["name"] for s in result["stacks"] if s["changed"]] == [MACHINE]
    after = ids(cfn, MACHINE)
    assert (after["Machine"], after["DataVolume"]) == (before["Machine"], before["DataVolume"])
    assert run(platform, late_values=LATE)["changed"] is False


def test_a_new_owner_reaches_the_instance_without_a_new_one(
    cfn: Any, ec2: Any, run: Run, platform: list[dict[str, Any]]
) -> None:
    before = ids(cfn, MACHINE)["Machine"]
    platform[4]["tags"]["Owner"] = "bob"
    assert not run(platform, late_values=LATE).get("failed")
    instance = ec2.describe_instances(InstanceIds=[before])["Reservations"][0]["Instances"][0]
    assert {"Key": "Owner", "Value": "bob"} in instance["Tags"]
    assert ids(cfn, MACHINE)["Machine"] == before


def current_and_other_image(cfn: Any) -> tuple[str, str]:
    """The machine's image, and one it does not have."""
    values = {p["ParameterKey"]: p["ParameterValue"] for p in stack(cfn, MACHINE)["Parameters"]}
    return values["ImageId"], NEW if values["ImageId"] == OLD else OLD


def test_a_newer_image_is_offered_not_imposed(cfn: Any, run: Run, platform: list[dict[str, Any]]) -> None:
    before = ids(cfn, MACHINE)["Machine"]
    history = cfn.list_change_sets(StackName=MACHINE)["Summaries"]
    current, offered = current_and_other_image(cfn)
    newer = LATE | {"image.debian-12": offered}
    kept = run(platform, late_values=newer)
    assert kept["changed"] is False
    assert kept["stacks"][-1]["kept"] == {"ImageId": {"current": current, "offered": offered}}

    for check in (True, False):
        refused = run(platform, late_values=newer, refresh=[MACHINE], check=check)
        assert (refused["failed"], refused["changed"]) == (True, False)
        assert f"it would replace AWS::EC2::Instance Machine ({before}) because of LaunchTemplate" in refused["msg"]
        assert f"allow_replacement: [{MACHINE}]" in refused["msg"]
        assert cfn.list_change_sets(StackName=MACHINE)["Summaries"] == history
    assert ids(cfn, MACHINE)["Machine"] == before


def test_the_data_volume_outlives_the_instance(cfn: Any, ec2: Any, run: Run, platform: list[dict[str, Any]]) -> None:
    before = ids(cfn, MACHINE)
    platform[4]["parameters"]["Instance"] = "absent"
    refused = run(platform, late_values=LATE)
    assert "it would remove AWS::EC2::Instance Machine" in refused["msg"]
    assert not run(platform, late_values=LATE, allow_replacement=[MACHINE]).get("failed")
    volume = ec2.describe_volumes(VolumeIds=[before["DataVolume"]])["Volumes"][0]
    assert volume["State"] == "available"

    platform[4]["parameters"]["Instance"] = "present"
    _, offered = current_and_other_image(cfn)
    rebuilt = run(platform, late_values=LATE | {"image.debian-12": offered}, refresh=[MACHINE])
    assert not rebuilt.get("failed"), rebuilt.get("msg")
    after = ids(cfn, MACHINE)
    assert after["DataVolume"] == before["DataVolume"]
    assert after["Machine"] != before["Machine"]
    instance = ec2.describe_instances(InstanceIds=[after["Machine"]])["Reservations"][0]["Instances"][0]
    assert instance["ImageId"] == offered
    volume = ec2.describe_volumes(VolumeIds=[after["DataVolume"]])["Volumes"][0]
    assert [a["InstanceId"] for a in volume["Attachments"]] == [after["Machine"]]


def test_deleting_the_stack_keeps_the_data_volume(cfn: Any, ec2: Any, platform: list[dict[str, Any]]) -> None:
    volume = ids(cfn, MACHINE)["DataVolume"]
    cfn.delete_stack(StackName=MACHINE)
    cfn.get_waiter("stack_delete_complete").wait(StackName=MACHINE, WaiterConfig={"Delay": 0.2})
    with pytest.raises(ClientError):
        stack(cfn, MACHINE)
    assert ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available"


def test_the_bastion_may_write_the_streams_of_its_log_and_no_other(cfn: Any, platform: list[dict[str, Any]]) -> None:
    """`<group>:*` is what covers a stream; the group's name alone covers none."""
    made = ids(cfn, "test-bastion")
    policy = boto3.client("iam").get_role_policy(RoleName=made["InstanceRole"], PolicyName="own-log")
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Resource"] == f"arn:aws:logs:{REGION}:123456789012:log-group:/atelier/test/bastion:*"
    assert not [action for action in statement["Action"] if not action.startswith("logs:")]


def test_without_a_nat_gateway_there_are_endpoints(cfn: Any, run: Run) -> None:
    network = ours()[0] | {"name": "test-none"}
    network["parameters"] |= {"Egress": "none", "Environment": "none"}
    made = run([network])
    assert not made.get("failed"), made.get("msg")
    assert {"LogsEndpoint", "MetricsEndpoint", "ParametersEndpoint"} <= ids(cfn, "test-none").keys()
    assert not {"NatGateway", "PrivateDefaultRoute"} & ids(cfn, "test-none").keys()


def test_with_a_nat_gateway_logs_and_metrics_still_have_theirs(cfn: Any, platform: list[dict[str, Any]]) -> None:
    assert {"NatGateway", "LogsEndpoint", "MetricsEndpoint"} <= ids(cfn, "test-network").keys()
    assert "ParametersEndpoint" not in ids(cfn, "test-network")


# --- images ---------------------------------------------------------------------------------------------------------


def test_images_by_criteria(capsys: pytest.CaptureFixture[str]) -> None:
    criteria = {"owner": CORE_IT, "tags": {"CoreIT": "approved", "Os": "debian-12"}, "architecture": "x86_64"}
    arguments = {"region": REGION, "images": {"debian-12": criteria}, "in_use": [OLD, NEW]}
    found = call(approved_images.main, capsys, arguments | {"_ansible_check_mode": True})
    assert found["ids"]["debian-12"] in (OLD, NEW)
    assert {entry["approved"] for entry in found["in_use"].values()} == {True}
    missing = {
        "debian-12": criteria,
        "debian-13": criteria | {"tags": {"Os": "debian-13"}},
        "none": {"owner": "1" * 12},
    }
    failed = call(approved_images.main, capsys, {"region": REGION, "images": missing})
    assert "debian-13" in failed["msg"]
    assert "tag Os is debian-12, must be debian-13" in failed["msg"]
    assert "none:" in failed["msg"]
    failed = call(approved_images.main, capsys, {"region": REGION, "images": {"x": {}}})
    assert failed["msg"] == "images: every key needs 'owner'"
