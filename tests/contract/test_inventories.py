"""The four environments: same files, valid, apart from each other; templates agree."""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.atelier.datalab.plugins.module_utils import _model, _model_output
from cfnlint import api as cfnlint

ROOT = Path(__file__).resolve().parents[2]
LADDER = ["lab", "dev", "preprod", "prod"]
TODAY = datetime.date(2027, 1, 15)


def variables(environment: str) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for path in sorted((ROOT / "inventories" / environment / "group_vars/all").glob("*.yml")):
        data |= yaml.safe_load(path.read_text(encoding="utf-8"))
    return data


DATA = {environment: variables(environment) for environment in LADDER}


def derived(environment: str) -> dict[str, Any]:
    model = _model.validate(DATA[environment], TODAY, environment)
    assert isinstance(model, _model.Model), str(model)
    return _model_output.derive(model, TODAY, ROOT)


@pytest.mark.parametrize("environment", LADDER)
def test_it_is_valid(environment: str) -> None:
    assert derived(environment)["warnings"] == []


@pytest.mark.parametrize("environment", LADDER[1:])
def test_it_has_the_files_of_every_other(environment: str) -> None:
    files = [
        {str(path.relative_to(ROOT / "inventories" / one)) for path in (ROOT / "inventories" / one).rglob("*.yml")}
        for one in (LADDER[0], environment)
    ]
    assert files[0] == files[1]


@pytest.mark.parametrize("name", ["corporate", "rules"])
@pytest.mark.parametrize("environment", LADDER)
def test_what_the_company_says_is_linked_not_copied(environment: str, name: str) -> None:
    link = ROOT / "inventories" / environment / f"group_vars/all/00_{name}.yml"
    assert link.is_symlink()
    assert str(link.readlink()) == f"../../../shared/{name}.yml"


@pytest.mark.parametrize("environment", LADDER)
def test_the_static_inventory_is_the_controller_alone(environment: str) -> None:
    inventory = yaml.safe_load((ROOT / "inventories" / environment / "hosts.yml").read_text(encoding="utf-8"))
    assert list(inventory["all"]["hosts"]) == ["localhost"]


@pytest.mark.parametrize("environment", LADDER)
def test_no_file_but_the_secrets_holds_a_template(environment: str) -> None:
    for path in (ROOT / "inventories" / environment / "group_vars/all").glob("*.yml"):
        assert (path.name == "secrets.yml") == ("{{" in path.read_text(encoding="utf-8")), path


def test_all_ask_for_the_same_secrets() -> None:
    assert len({tuple(sorted(data["secrets"])) for data in DATA.values()}) == 1


def test_networks_and_domains_are_apart() -> None:
    networks = [ipaddress.IPv4Network(data["platform"]["network"]["cidr"]) for data in DATA.values()]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(networks, 2))
    assert len({data["platform"]["domain"] for data in DATA.values()}) == len(LADDER)


def test_no_secret_gets_into_the_fact() -> None:
    for environment in LADDER:
        assert "lookup" not in json.dumps(derived(environment))


# -- the model's stacks and the templates agree


class _Loader(yaml.SafeLoader):
    """Reads a template; CloudFormation's short forms become what they hold."""


def _short_form(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return node.value
    return loader.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else loader.construct_mapping(node)


_Loader.add_multi_constructor("!", _short_form)


@pytest.mark.parametrize("environment", LADDER)
def test_every_stack_gives_its_template_what_it_asks_for(environment: str) -> None:
    for stack in derived(environment)["stacks"]:
        if "template_body" in stack:
            continue
        declared = yaml.load(Path(stack["template"]).read_text(encoding="utf-8"), Loader=_Loader)["Parameters"]  # noqa: S506
        given = stack["parameters"] | dict.fromkeys(stack.get("late_parameters", {}))
        assert set(given) <= set(declared), f"{stack['name']} gives what the template does not know"
        asked = {name for name, one in declared.items() if "Default" not in one}
        assert asked <= set(given), f"{stack['name']} leaves out what the template asks for"
        for name, value in stack["parameters"].items():
            assert value in [str(one) for one in declared[name].get("AllowedValues", [value])], (stack["name"], name)
            pattern = declared[name].get("AllowedPattern", ".*")
            assert re.fullmatch(pattern, value), f"{stack['name']}: {name}={value} does not match {pattern}"


def _exports(stack: dict[str, Any]) -> set[str]:
    template = yaml.load(Path(stack["template"]).read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    found = set()
    for output in template["Outputs"].values():
        name = output.get("Export", {}).get("Name", "")
        found.add(re.sub(r"\$\{(\w+)\}", lambda match: stack["parameters"][match[1]], name))
    return found


@pytest.mark.parametrize("environment", LADDER)
def test_flows_import_only_what_earlier_waves_export(environment: str) -> None:
    stacks = derived(environment)["stacks"]
    flows = next(stack for stack in stacks if "template_body" in stack)
    earlier = [stack for stack in stacks if stack["wave"] < flows["wave"]]
    imported = set(re.findall(r'"Fn::ImportValue": "([^"]+)"', flows["template_body"]))
    assert imported
    assert imported <= set().union(*map(_exports, earlier))


def test_the_generated_template_is_clean() -> None:
    flows = next(stack for stack in derived("preprod")["stacks"] if "template_body" in stack)
    settings = yaml.safe_load((ROOT / ".cfnlintrc").read_text(encoding="utf-8"))
    core_it = [str(ROOT / folder) for folder in settings["append_rules"]]
    found = cfnlint.lint(flows["template_body"], config={"regions": settings["regions"], "append_rules": core_it})
    assert [str(one) for one in found] == []
