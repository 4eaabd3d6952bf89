"""The CloudFormation templates: lint, least privilege, closed groups, tags, and the parameters the data gives them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from ansible_collections.atelier.datalab.plugins.module_utils import _model, _model_output, _stacks, _stacks_template
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

ROOT = Path(__file__).resolve().parents[2]
PATHS = sorted(ROOT.glob("roles/*/files/*.cfn.yml"))
TEMPLATES = {path.name.removesuffix(".cfn.yml"): _stacks_template.parse(path.read_text()) for path in PATHS}
ENVIRONMENTS = sorted(path.parent.parent.parent.name for path in ROOT.glob("inventories/*/group_vars/all/platform.yml"))
TODAY = date(2026, 11, 23)


def resources(*types: str) -> list[Any]:
    return [
        pytest.param(resource, id=f"{name}-{logical_id}")
        for name, template in TEMPLATES.items()
        for logical_id, resource in template["Resources"].items()
        if not types or resource["Type"] in types
    ]


def walk(node: Any) -> Iterator[Any]:
    yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(inner)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_all_are_here() -> None:
    assert set(TEMPLATES) >= {"network", "bastion", "project", "machine", "backups"}


def test_cfn_lint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("cfn-lint"))], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_fits_in_a_request(path: Path) -> None:
    assert len(path.read_bytes()) < _stacks_template.MAX_BODY


# --- who may do what ------------------------------------------------------------------------------------------------


def statements(resource: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        statement
        for policy in resource["Properties"].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
    ]


@pytest.mark.parametrize("role", resources("AWS::IAM::Role"))
def test_roles_have_least_privilege(role: dict[str, Any]) -> None:
    for statement in statements(role):
        assert statement["Effect"] == "Allow"
        assert not any("*" in action for action in as_list(statement["Action"])), statement
        for resource in as_list(statement["Resource"]):
            assert resource not in ("*", "arn:*"), statement
            assert "Fn::GetAtt" in resource or re.fullmatch(
                r"arn:\$\{AWS::Partition\}:\w+:\$\{AWS::Region\}:\$\{AWS::AccountId\}:\w+/[^*]+(/\*)?",
                resource["Fn::Sub"],
            ), f"{resource} is not one named thing of this account and region"
    for trust in role["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
        assert set(trust["Principal"]) == {"Service"}, "only an AWS service of ours takes these roles"


@pytest.mark.parametrize("role", resources("AWS::IAM::Role"))
def test_roles_take_the_permissions_boundary_of_the_account(role: dict[str, Any]) -> None:
    assert role["Properties"]["PermissionsBoundary"]["Fn::If"][0] == "HasBoundary"


def test_only_known_managed_policies() -> None:
    used = [
        arn["Fn::Sub"].rpartition("policy/")[2]
        for template in TEMPLATES.values()
        for resource in template["Resources"].values()
        for arn in resource.get("Properties", {}).get("ManagedPolicyArns", [])
    ]
    assert used == ["service-role/AWSBackupServiceRolePolicyForBackup"]


@pytest.mark.parametrize("group", resources("AWS::EC2::SecurityGroup"))
def test_security_groups_are_closed_both_ways(group: dict[str, Any]) -> None:
    assert "SecurityGroupIngress" not in group["Properties"]
    # Without any egress entry AWS adds "allow all".
    assert [rule["CidrIp"] for rule in group["Properties"]["SecurityGroupEgress"]] == ["127.0.0.1/32"]


def test_the_whole_world_appears_in_default_routes_only() -> None:
    for template in TEMPLATES.values():
        for logical_id, resource in template["Resources"].items():
            if resource["Type"] != "AWS::EC2::Route":
                assert not [node for node in walk(resource) if node in ("0.0.0.0/0", "::/0")], logical_id
            assert not resource["Type"].startswith("AWS::EC2::SecurityGroup") or resource["Type"].endswith("Group")


@pytest.mark.parametrize("subnet", resources("AWS::EC2::Subnet"))
def test_no_subnet_gives_public_addresses(subnet: dict[str, Any]) -> None:
    assert subnet["Properties"]["MapPublicIpOnLaunch"] is False


# --- machines and disks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("launch", resources("AWS::EC2::LaunchTemplate"))
def test_launch_templates_are_hardened(launch: dict[str, Any]) -> None:
    data = launch["Properties"]["LaunchTemplateData"]
    assert data["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
    }
    assert all(mapping["Ebs"]["Encrypted"] is True for mapping in data["BlockDeviceMappings"])
    assert {mapping["Ebs"]["VolumeType"] for mapping in data["BlockDeviceMappings"]} == {"gp3"}
    assert "TagSpecifications" not in data, "a new owner would mean a new version, hence a new instance"


@pytest.mark.parametrize("launch", resources("AWS::EC2::LaunchTemplate"))
def test_user_data_is_what_cloud_init_reads(launch: dict[str, Any]) -> None:
    text = launch["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Fn::Sub"]
    assert text.startswith("#cloud-config\n")
    config = yaml.safe_load(text)
    (user,) = config["users"]
    assert (user["name"], user["lock_passwd"], user["ssh_authorized_keys"]) == (
        "datalab-admin",
        True,
        ["${AdminPublicKey}"],
    )
    assert (config["ssh_pwauth"], config["disable_root"]) == (False, True)


@pytest.mark.parametrize("volume", resources("AWS::EC2::Volume"))
def test_data_volumes_outlive_their_machine(volume: dict[str, Any]) -> None:
    assert volume["DeletionPolicy"].startswith("Retain")
    assert volume["UpdateReplacePolicy"] == "Retain"
    assert volume["Properties"]["Encrypted"] is True
    assert "Condition" not in volume


@pytest.mark.parametrize("group", resources("AWS::Logs::LogGroup"))
def test_logs_end_some_day(group: dict[str, Any]) -> None:
    assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_the_data_may_ask_for_every_retention_of_the_bastions_log() -> None:
    allowed = TEMPLATES["bastion"]["Parameters"]["LogRetentionDays"]["AllowedValues"]
    assert [int(days) for days in allowed] == list(get_args(_model.Bastion.model_fields["log_days"].annotation))


# --- tags -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", resources())
def test_everything_taggable_has_a_name(resource: dict[str, Any]) -> None:
    """The other mandatory tags come from the stack; CloudFormation hands them to every resource that it can tag."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("eu-west-1", resource["Type"]).schema
    tagging = schema.get("tagging", {})
    if not tagging.get("taggable", True) or "tagProperty" not in tagging:
        return
    tags = resource["Properties"].get(tagging["tagProperty"].rpartition("/")[2])
    assert "Name" in (tags if isinstance(tags, dict) else {tag["Key"] for tag in tags or []})


@pytest.mark.parametrize("instance", resources("AWS::EC2::Instance"))
def test_root_volumes_get_the_tags_of_their_instance(instance: dict[str, Any]) -> None:
    assert instance["Properties"]["PropagateTagsToVolumeOnCreation"] is True


# --- the data and the templates -------------------------------------------------------------------------------------


def data_of(environment: str) -> dict[str, Any]:
    folder = ROOT / "inventories" / environment / "group_vars" / "all"
    merged: dict[str, Any] = {}
    for path in sorted(folder.glob("*.yml")):
        merged |= yaml.safe_load(path.read_text()) or {}
    return {key: value for key, value in merged.items() if key in _model.VARIABLES}


@pytest.fixture(params=ENVIRONMENTS)
def entries(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """`datalab.stacks` of each environment."""
    model = _model.validate(data_of(request.param), TODAY, request.param)
    assert isinstance(model, _model.Model), model
    return _model_output.derive(model, TODAY, ROOT)["stacks"]


def test_every_stack_has_exactly_the_parameters_of_its_template(entries: list[dict[str, Any]]) -> None:
    # read_entries refuses unknown ones and those without a value.
    late = {value for entry in entries for value in entry.get("late_parameters", {}).values()}
    stacks = _stacks.read_entries(entries, dict.fromkeys(late, "x"))
    assert len(stacks) == len(entries)


def test_an_entry_that_lacks_a_parameter_would_be_seen(entries: list[dict[str, Any]]) -> None:
    del entries[0]["parameters"]["VpcCidr"]
    with pytest.raises(_stacks.StacksError, match="VpcCidr has no value"):
        _stacks.read_entries(entries, {"image.debian-12": "x", "image.debian-13": "x", "secret.admin_public_key": "x"})


def test_values_meet_the_patterns_of_the_templates(entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        template = _stacks_template.parse(entry.get("template_body") or Path(entry["template"]).read_text())
        for name, value in entry["parameters"].items():
            declared = template["Parameters"][name]
            assert re.fullmatch(declared.get("AllowedPattern", ".*"), value), (entry["name"], name, value)
            assert value in map(str, declared.get("AllowedValues", [value])), (entry["name"], name, value)
            assert float(declared.get("MinValue", "-inf")) <= float(value if "MinValue" in declared else "inf")


def test_every_import_is_exported_by_an_earlier_wave(entries: list[dict[str, Any]]) -> None:
    exported: dict[str, int] = {}
    needed: list[tuple[str, int, set[str]]] = []
    for entry in entries:
        template = _stacks_template.parse(entry.get("template_body") or Path(entry["template"]).read_text())
        defaults = {
            key: str(d["Default"]) for key, d in _stacks_template.parameters(template).items() if "Default" in d
        }
        values = defaults | entry["parameters"]
        for output in (template.get("Outputs") or {}).values():
            if "Condition" in output and not _stacks_template.holds(template, output["Condition"], values):
                continue
            name = _stacks_template.resolve(output.get("Export", {}).get("Name"), values)
            if name:
                assert name not in exported
                exported[name] = entry["wave"]
        needed.append((entry["name"], entry["wave"], _stacks_template.imports(template, values)))
    for stack, wave, names in needed:
        for name in names:
            assert exported.get(name, 99) < wave, f"{stack} needs {name}"
    assert any(names for _, _, names in needed)


def test_mandatory_tags_are_on_every_stack(entries: list[dict[str, Any]]) -> None:
    mandatory = {"Name", "Project", "Environment", "Role", "Owner", "CostCenter", "Schedule", "Backup", "ManagedBy"}
    for entry in entries:
        assert mandatory <= entry["tags"].keys(), entry["name"]
        assert all(entry["tags"].values()), entry["name"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_inventory_asks_for_its_own_environment_and_region(environment: str) -> None:
    plugin = yaml.safe_load((ROOT / "inventories" / environment / "aws_ec2.yml").read_text())
    platform = data_of(environment)["platform"]
    assert plugin["regions"] == [platform["region"]]
    assert plugin["filters"]["tag:Environment"] == environment == platform["environment"]
    assert "stopped" in plugin["filters"]["instance-state-name"], "a machine that is off must still be known"
    assert not {"terminated", "shutting-down"} & set(plugin["filters"]["instance-state-name"])
    assert plugin["strict"] is True
    assert "hostvars_prefix" not in plugin, "it silently empties keyed_groups"
