"""The model: faults are told, never thrown; what is valid comes to stacks, machines, projects; warnings warn."""

from __future__ import annotations

import copy
import datetime
import json
from pathlib import PurePath
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _model as model
from ansible_collections.atelier.datalab.plugins.module_utils import _model_output as output
from ansible_collections.atelier.datalab.plugins.module_utils import _names as names
from ansible_collections.atelier.datalab.plugins.module_utils._model_rules import Rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

settings.register_profile("steady", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("steady")

TODAY = datetime.date(2027, 1, 15)
LOOKUP = "{{ lookup('amazon.aws.ssm_parameter', '/atelier/dev/x', region=platform.region) }}"
DATA: dict[str, Any] = {
    "corporate": {
        "company": "Atelier",
        "networks": ["198.51.100.0/24"],
        "email_domains": ["example.com"],
        "cost_centers": ["CC-0001"],
        "images": {"debian-12": {"owner": "210987654321", "tags": {"Os": "debian-12"}, "architecture": "x86_64"}},
        "schedules": [
            {
                "name": "office",
                "timezone": "Europe/Paris",
                "periods": [{"days": ["mon"], "begin": "09:00", "end": "18:00"}],
            }
        ],
        "backup_classes": [
            {"name": "daily", "cron": "cron(0 2 * * ? *)", "timezone": "Europe/Paris", "keep_days": 30},
            {"name": "none"},
        ],
    },
    "platform": {
        "environment": "dev",
        "account": "123456789012",
        "region": "eu-west-1",
        "domain": "dev.example.com",
        "owner": "ada",
        "cost_center": "CC-0001",
        "termination_protection": True,
        "network": {
            "cidr": "10.20.0.0/16",
            "zones": [
                {"name": "b", "public": "10.20.0.0/24", "private": "10.20.16.0/24"},
                {"name": "c", "public": "10.20.1.0/24", "private": "10.20.17.0/24"},
            ],
            "egress": "none",
        },
        "bastion": {"image": "debian-12", "instance_type": "t3.micro", "zone": "b"},
        "tls": {"mode": "private_ca"},
        "jupyterhub": {"memory_limit": "2G", "cpu_limit": 1.5, "cull_idle_seconds": 3600, "cull_every_seconds": 300},
    },
    "members": [{"login": "ada", "name": "Ada", "email": "ada@example.com", "uid": 4001}],
    "projects": [
        {
            "name": "alpha",
            "title": "Alpha",
            "owner": "ada",
            "cost_center": "CC-0001",
            "members": ["ada"],
            "schedule": "office",
            "backup": "daily",
            "tags": {"DataClass": "internal"},
            "environments": [{"name": "base", "channels": ["conda-forge"], "packages": ["python=3.12"]}],
            "machines": [
                {
                    "role": "workstation",
                    "number": 7,
                    "image": "debian-12",
                    "instance_type": "m6i.large",
                    "zone": "c",
                    "data_gib": 10,
                }
            ],
        }
    ],
    "flows": [
        {
            "name": "web",
            "source": "corporate",
            "destination": "project:alpha",
            "protocol": "tcp",
            "port": 443,
            "owner": "ada",
            "reason": "Notebooks",
            "ticket": "FLOW-1",
            "expires": datetime.date(2027, 12, 31),
        }
    ],
    "rules": {name: {"severity": "refuse"} for name in Rules.model_fields}
    | {"image_age": {"severity": "warn", "max_days": 90}}
    | {name: {"severity": "refuse", "max_days": 90} for name in ("patch_age", "exception_current")}
    | {"certificate_expiry": {"severity": "refuse", "min_days": 21}},
    "secrets": dict.fromkeys(
        ["admin_public_key", "conda_mirrors", "password_hashes", "tls_ca_certificate", "tls_ca_private_key"], LOOKUP
    ),
}


def changed(*changes: tuple[str, Any]) -> dict[str, Any]:
    data = copy.deepcopy(DATA)
    for path, value in changes:
        *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        here: Any = data
        for step in parents:
            here = here[step]
        here[last] = value
    return data


def valid(*changes: tuple[str, Any]) -> model.Model:
    found = model.validate(changed(*changes), TODAY)
    assert isinstance(found, model.Model), str(found)
    return found


def derived(*changes: tuple[str, Any], host: str | None = None) -> dict[str, Any]:
    return output.derive(valid(*changes), TODAY, PurePath("/c"), host)


def stack(name: str, *changes: tuple[str, Any]) -> dict[str, Any]:
    return next(one for one in derived(*changes)["stacks"] if one["name"] == name)


# -- told, never thrown


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        return found + [place for key, inside in value.items() for place in _places(inside, (*path, key))]
    if isinstance(value, list):
        return found + [place for key, inside in enumerate(value) for place in _places(inside, (*path, key))]
    return found


PLACES = _places(DATA)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates()
    | st.sampled_from(["10.20.0.0/24", "project:x"]),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.text(max_size=5), inside, max_size=2),
    max_leaves=4,
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(PLACES), anything), min_size=1, max_size=3))
def test_whatever_stands_anywhere_is_told_and_never_thrown(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    data = copy.deepcopy(DATA)
    for path, value in changes:
        here: Any = data
        try:
            for step in path[:-1]:
                here = here[step]
            here[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    found = model.validate(data, TODAY)
    if isinstance(found, model.Offences):
        for one in found.offences:
            assert one.why
            assert one.instead
        assert str(found).count("\n") == len(found.offences), "an offence is not one line"
    else:
        json.dumps(output.derive(found, TODAY, PurePath("/c")))


@pytest.mark.parametrize("path", [place for place in PLACES if isinstance(place[-1], str)])
def test_a_key_with_a_letter_too_many_is_always_seen(path: tuple[Any, ...]) -> None:
    free = ("images", "tags")  # mappings whose keys the data chooses
    if len(path) > 1 and path[-2] in free:
        return
    data = copy.deepcopy(DATA)
    here: Any = data
    for step in path[:-1]:
        here = here[step]
    here[path[-1] + "x"] = here.pop(path[-1])
    if len(path) == 1:  # the action reads the known variables only: an unknown one is somebody else's
        assert isinstance(model.validate({key: data[key] for key in DATA if key in data}, TODAY), model.Offences)
        return
    found = model.validate(data, TODAY)
    assert isinstance(found, model.Offences)
    named = [one for one in found.offences if one.path == (*path[:-1], path[-1] + "x")]
    assert [one.instead for one in named] == [f"did you mean {path[-1]}?"]


@pytest.mark.parametrize("data", [{}, {"platform": None}, {"projects": {}}, {"members": [None, 1, "x"]}])
def test_hardly_any_data_is_told_too(data: dict[str, Any]) -> None:
    found = model.validate(data, TODAY)
    assert isinstance(found, model.Offences)
    assert {one.path[0] for one in found.offences} == set(model.VARIABLES) - {"exceptions"}, "these may be left out"


def test_no_secret_is_shown() -> None:
    found = model.validate(
        changed(("secrets.conda_mirrors", "hunter2"), ("members.0.ssh_keys", ["PRIVATE KEY 7"])), TODAY
    )
    assert "hunter2" not in str(found)
    assert "PRIVATE KEY 7" not in str(found)
    assert "revoke it now" in str(found)


# -- rules


def test_a_rule_that_warns_warns_and_lets_pass() -> None:
    found = valid(("rules.backup_present.severity", "warn"), ("projects.0.backup", "none"))
    assert [(one.key, one.rule) for one in found.warnings] == [("projects[0].backup", "backup_present")]
    told = derived(("rules.backup_present.severity", "warn"), ("projects.0.backup", "none"))["warnings"]
    assert "without backup (rule backup_present); name a backup class" in told[0]


def test_a_rule_that_is_off_says_nothing() -> None:
    assert valid(("rules.backup_present.severity", "off"), ("projects.0.backup", "none")).warnings == ()


def test_a_flow_that_has_ended_is_left_out_warned_about_and_named() -> None:
    changes = (("rules.flow_expired.severity", "warn"), ("flows.0.expires", datetime.date(2027, 1, 14)))
    assert valid(*changes).expired_flows == ("web",)
    assert [one.rule for one in valid(*changes).warnings] == ["flow_expired"]
    assert "flow-web" not in stack("dev-flows", *changes)["template_body"]
    assert "flow-web" in stack("dev-flows")["template_body"]


@pytest.mark.parametrize(
    ("warn_days", "expires", "said"),
    [
        (None, "2027-02-15", []),
        (None, "2027-02-14", ["ends in 30 days"]),
        (None, "2027-01-16", ["ends in 1 day"]),
        (None, "2027-01-15", ["ends today"]),
        (7, "2027-01-23", []),
        (7, "2027-01-22", ["ends in 7 days"]),
    ],
)
def test_the_end_of_a_flow_is_warned_of_and_never_refused_before(warn_days: Any, expires: str, said: list[str]) -> None:
    changes = (("rules.flow_expired.warn_days", warn_days), ("flows.0.expires", expires))
    assert [one.why for one in valid(*changes).warnings] == said, "the rule itself refuses"
    assert derived(*changes)["matrix"]["warn_days"] == (warn_days or 30)
    refused = model.validate(changed(("flows.0.expires", "2027-01-14")), TODAY)
    assert isinstance(refused, model.Offences)


def test_no_warning_where_the_rule_is_off() -> None:
    assert valid(("rules.flow_expired.severity", "off"), ("flows.0.expires", "2027-01-15")).warnings == ()


def test_core_it_is_told_addresses_and_people() -> None:
    found = derived()["matrix"]
    assert found["addresses"] == {
        "corporate": ["198.51.100.0/24"],
        "bastion": ["10.20.0.0/24"],
        "endpoints": ["10.20.16.0/24", "10.20.17.0/24"],
        "project:alpha": ["10.20.17.0/24"],  # its machine is in zone c
    }
    assert derived(("platform.bastion.address", "10.20.0.10"))["matrix"]["addresses"]["bastion"] == ["10.20.0.10/32"]
    none_yet = derived(("projects.0.machines", []))["matrix"]["addresses"]
    assert none_yet["project:alpha"] == ["10.20.16.0/24", "10.20.17.0/24"]
    assert found["people"] == {"ada": {"name": "Ada", "email": "ada@example.com"}}
    assert {one["name"] for one in found["flows"]} >= {"flow-web", "ssh-bastion", "ssh-alpha"}
    assert all(one["reason"] for one in found["flows"])
    assert "matrix" not in derived(host="dev-alpha-workstation-07")


def test_absolute_rules_may_be_weak_in_lab_only() -> None:
    weak = ("rules.encryption.severity", "warn")
    assert isinstance(model.validate(changed(weak), TODAY), model.Offences)
    lab = (
        ("platform.environment", "lab"),
        *((f"secrets.{key}", LOOKUP.replace("dev", "lab")) for key in DATA["secrets"]),
    )
    assert isinstance(model.validate(changed(weak, *lab), TODAY), model.Model)
    assert isinstance(model.validate(changed(("rules.open_world.severity", "warn"), *lab), TODAY), model.Offences)


BEFORE_THE_LADDER = (
    "approved_image", "image_age", "mandatory_tags", "naming", "public_address", "open_world", "flow_expired", "imdsv2",
    "encryption", "backup_present", "schedule_present",
)  # fmt: skip


def test_the_rules_of_a_release_without_the_ladder_stay_valid_and_mean_the_same() -> None:
    rules = {name: DATA["rules"][name] for name in BEFORE_THE_LADDER}
    found = derived(("rules", rules | {"image_age": {"severity": "warn", "max_days": 90}}))
    assert found["rules"]["image_age"] == {"severity": "warn", "max_days": 90}
    assert found["rules"]["encryption"] == {"severity": "refuse"}
    assert set(found["rules"]) == set(BEFORE_THE_LADDER), "what core IT was not asked about is not judged"
    assert found["expected"]["exceptions"] == []


def granted(rule: str, subject: str) -> tuple[str, Any]:
    one = {"rule": rule, "subject": subject, "owner": "ada", "reason": "a test", "ticket": "CORE-1"}
    return "exceptions", [one | {"expires": "2027-02-01"}]


MACHINE = "dev-alpha-workstation-07"


@pytest.mark.parametrize("subject", [MACHINE, "alpha"])
def test_a_hosts_rules_know_its_exceptions(subject: str) -> None:
    change = granted("approved_image", subject)
    assert derived(change, host=MACHINE)["rules"]["approved_image"]["severity"] == "warn"
    for other in (None, "dev-platform-bastion-01"):
        assert derived(change, host=other)["rules"]["approved_image"]["severity"] == "refuse"


def test_an_exception_lets_one_old_image_be_used() -> None:
    refused = ("rules.image_age.severity", "refuse")
    assert derived(refused)["images"]["debian-12"]["on_old"] == "refuse"
    assert derived(refused, granted("image_age", "debian-12"))["images"]["debian-12"]["on_old"] == "warn"
    assert derived(refused, granted("image_age", "debian-12"))["rules"]["image_age"]["severity"] == "refuse"


def test_what_is_expected_names_what_exists() -> None:
    found = derived()["expected"]
    assert {MACHINE, "dev-platform-bastion-01", "alpha", "web", "debian-12"} <= set(found["subjects"])
    assert found["tags"]["Role"] == ["access", "backups", "bastion", "flows", "network", "project", "workstation"]
    assert found["tags"]["Project"] == ["alpha", "platform"]
    assert (found["owners"]["alpha"], found["members"]) == (["ada"], ["ada"])
    assert "dev-machine-alpha-workstation-07" in found["stacks"]
    json.dumps(found)
    assert "expected" not in derived(host=MACHINE)


def test_more_flows_than_a_template_holds_are_refused() -> None:
    many = [DATA["flows"][0] | {"name": f"web-{n}", "port": n} for n in range(1, 200)]
    found = model.validate(changed(("flows", many)), TODAY)
    assert isinstance(found, model.Offences)
    assert "51200" in str(found)


# -- what it comes to


def test_every_parameter_is_a_text_and_every_stack_has_the_mandatory_tags() -> None:
    for one in derived()["stacks"]:
        assert all(isinstance(value, str) for value in one["parameters"].values()), one
        assert set(names.MANDATORY_TAGS) <= set(one["tags"])
        assert not any(names.tag_problem(key, value) for key, value in one["tags"].items())
        assert one["termination_protection"] is True
        assert ("template" in one) != ("template_body" in one)


def test_stacks_come_in_waves() -> None:
    waves = {one["name"]: one["wave"] for one in derived()["stacks"]}
    assert waves == {
        "dev-access": 0,
        "dev-network": 0,
        "dev-bastion": 1,
        "dev-backups": 1,
        "dev-project-alpha": 1,
        "dev-flows": 2,
        "dev-machine-alpha-workstation-07": 2,
    }


def test_a_machines_stack() -> None:
    found = stack("dev-machine-alpha-workstation-07")
    assert found["parameters"] == {
        "Environment": "dev",
        "Project": "alpha",
        "Role": "workstation",
        "Name": "dev-alpha-workstation-07",
        "DomainName": "dev.example.com",
        "Zone": "B",
        "InstanceType": "m6i.large",
        "PrivateIpAddress": "",
        "RootGib": "30",
        "DataGib": "10",
        "DisableApiTermination": "true",
    }
    assert found["late_parameters"] == {"ImageId": "image.debian-12", "AdminPublicKey": "secret.admin_public_key"}
    assert found["tags"]["DataClass"] == "internal"
    assert found["template"] == "/c/roles/machine/files/machine.cfn.yml"


@pytest.mark.parametrize("egress", ["nat", "none"])
def test_endpoints_are_opened_whatever_the_way_out(egress: str) -> None:
    """The bastion's log goes through one: there is no rule to the Internet."""
    changes = [("platform.network.egress", egress)]
    assert "EndpointSecurityGroupId" in stack("dev-flows", *changes)["template_body"]
    assert {"endpoints-bastion", "endpoints-alpha"} <= {one["name"] for one in derived(*changes)["openings"]}


def test_a_host_finds_its_machine_and_project_and_others_find_none() -> None:
    own = derived(host="dev-alpha-workstation-07")
    assert own["machine"]["fqdn"] == "dev-alpha-workstation-07.dev.example.com"
    assert own["project"]["group"] == "proj-alpha"
    assert own["project"]["members"] == [
        {"login": "ada", "name": "Ada", "email": "ada@example.com", "uid": 4001, "ssh_keys": []}
    ]
    assert own["project"]["gid"] == names.derived_id("proj-alpha")
    assert own["project"]["conda"] == [{"name": "alpha-base", "channels": ["conda-forge"], "packages": ["python=3.12"]}]
    assert own["project"]["kernels"] == [{"name": "base", "prefix": "/opt/atelier/conda/envs/alpha-base/current"}]
    assert own["machine"]["server_names"] == ["dev-alpha-workstation-07.dev.example.com"]
    assert not {"machine", "project"} & set(derived(host="dev-platform-bastion-01"))


def test_nothing_of_the_secrets_gets_through() -> None:
    assert "lookup" not in json.dumps(derived())
