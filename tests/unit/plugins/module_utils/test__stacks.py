"""What differs, what is dangerous, what is left over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _stacks as stacks
from hypothesis import given, settings
from hypothesis import strategies as st

BODY = """
Parameters: {Image: {Type: String}, Size: {Type: Number, Default: 3}, Secret: {Type: String, NoEcho: true, Default: x}}
Resources: {One: {Type: "AWS::SSM::Parameter", Properties: {Value: !Ref Image}}}
"""


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "name": "lab-a", "template_body": BODY, "parameters": {}, "late_parameters": {"Image": "image.debian"},
        "keep_parameters": ["Image"], "tags": {"Project": "alpha"}, "termination_protection": False,
    } | changes  # fmt: skip


def wanted(**changes: Any) -> stacks.Wanted:
    return stacks.read_entries([entry(**changes)], {"image.debian": "ami-1"})[0]


def existing(of: stacks.Wanted, **changes: Any) -> stacks.Existing:
    same = stacks.Existing(
        of.name, "arn:1", "CREATE_COMPLETE", parameters=of.parameters, tags=of.tags, protected=of.protected
    )
    return replace(same, **changes)


def step(of: stacks.Wanted, was: stacks.Existing, **options: Any) -> stacks.Step:
    return stacks.step_for(of, was, of.template, **options)


def test_the_same_is_nothing_to_do() -> None:
    one = wanted()
    assert step(one, existing(one)).action == "none"
    assert step(one, existing(one)).after == ""


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({"tags": {"Project": "beta"}}, "update"),
        ({"tags": {}}, "update"),
        ({"parameters": {"Image": "ami-1", "Size": "4", "Secret": "x"}}, "update"),
        ({"parameters": {"Image": "ami-1", "Size": "3", "Secret": "****"}}, "none"),
        ({"protected": True}, "protect"),
        ({"protected": True, "tags": {}}, "update"),
    ],
)
def test_each_difference_is_seen(changes: dict[str, Any], action: str) -> None:
    assert step(wanted(), existing(wanted(), **changes)).action == action


def test_a_different_template_is_seen_and_shown() -> None:
    one = wanted()
    old = {"Resources": {"One": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": "old"}}}}
    seen = stacks.step_for(one, existing(one), old)
    assert seen.action == "update"
    assert "-        Value: old" in stacks.unified(seen.before, seen.after)


def test_an_existing_stack_keeps_its_image_and_says_so() -> None:
    old = existing(wanted(), parameters={"Image": "ami-0", "Size": "3", "Secret": "****"})
    kept = step(wanted(), old)
    assert kept.action == "none"
    assert kept.kept == {"Image": {"current": "ami-0", "offered": "ami-1"}}
    renewed = step(wanted(), old, refresh=True)
    assert (renewed.action, renewed.parameters["Image"], renewed.kept) == ("update", "ami-1", {})
    assert renewed.previous == {"Secret"}, "a hidden value cannot be compared, so it stays"


def test_every_fault_of_every_entry_in_one_message() -> None:
    entries = [
        entry(name="1bad"),
        entry(late_parameters={"Image": "image.none"}),
        entry(parameters={"Typo": 1}, late_parameters={}),
        entry(name="lab-b", template_body="nonsense"),
        entry(name="lab-c", template_body=None, template="/no/such/file"),
        entry(name="lab-d", keep_parameters=["Nothing"]),
    ]
    with pytest.raises(stacks.StacksError) as error:
        stacks.read_entries(entries, {"image.debian": "ami-1"})
    for words in (
        "1bad: not a stack name", "waits for 'image.none'", "parameter Typo is not in the template",
        "parameter Image has no value", "lab-b: template (body): not a CloudFormation template",
        "lab-c: template /no/such/file", "keep_parameters names Nothing", "lab-a: named 2 times",
    ):  # fmt: skip
        assert words in str(error.value)


def change(
    action: str = "Modify", kind: str = "AWS::EC2::Instance", replacement: str = "False", *causes: tuple[str, str]
) -> dict:
    details = [{"Target": {"Attribute": "Properties", "Name": n, "RequiresRecreation": r}} for n, r in causes]
    inner = {
        "Action": action,
        "ResourceType": kind,
        "LogicalResourceId": "X",
        "Replacement": replacement,
        "Details": details,
    }
    return {"ResourceChange": inner}


@pytest.mark.parametrize(
    ("described", "dangerous"),
    [
        (change(), False),
        (change("Remove"), True),
        (change("Remove", "AWS::SSM::Parameter"), False),
        (change("Modify", "AWS::EC2::Instance", "True", ("SubnetId", "Always")), True),
        (change("Modify", "AWS::EC2::Volume", "True"), True),
        (change("Modify", "AWS::RDS::DBInstance", "True"), True),
        # A stop and a start: no replacement of an EBS-backed instance.
        (change("Modify", "AWS::EC2::Instance", "Conditional", ("InstanceType", "Conditionally")), False),
        # The launch template changes: AWS only says Conditional, and then replaces.
        (change("Modify", "AWS::EC2::Instance", "Conditional", ("LaunchTemplate", "Always")), True),
        (change("Add"), False),
    ],
)
def test_dangers(described: dict, dangerous: bool) -> None:
    assert bool(stacks.dangers([described])) is dangerous


def test_an_instance_that_the_parameters_leave_out_is_a_removal() -> None:
    body = """
    Parameters: {Instance: {Type: String}}
    Conditions: {Here: !Equals [!Ref Instance, present]}
    Resources: {M: {Type: "AWS::EC2::Instance", Condition: Here}, P: {Type: "AWS::SSM::Parameter", Condition: Here}}
    """
    one = wanted(template_body=body, parameters={"Instance": "absent"}, late_parameters={}, keep_parameters=[])
    change = step(one, existing(one, parameters={"Instance": "present"}))
    assert stacks.removals(change, one.template, {"Instance": "present"}) == ["remove AWS::EC2::Instance M"]
    assert stacks.removals(change, one.template, {"Instance": "absent"}) == []


def test_orphans_are_ours_of_this_environment_and_unnamed() -> None:
    def one(name: str, managed: str, environment: str) -> stacks.Existing:
        return stacks.Existing(name, name, "CREATE_COMPLETE", tags={"ManagedBy": managed, "Environment": environment})

    found = [
        one("gone", "atelier.datalab", "lab"), one("kept", "atelier.datalab", "lab"),
        one("other", "atelier.datalab", "prod"), one("foreign", "somebody", "lab"),
    ]  # fmt: skip
    assert stacks.orphans(found, ["kept"], "lab") == ["gone"]


values = st.dictionaries(st.sampled_from(["Image", "Size", "Secret"]), st.text("ab1", max_size=3), max_size=3)


@settings(deadline=None)  # the time of one example says nothing on a busy machine
@given(
    values, st.dictionaries(st.text("ab", min_size=1, max_size=2), st.text("xy", max_size=2), max_size=3), st.booleans()
)
def test_what_was_just_built_needs_nothing(parameters: dict, tags: dict, protected: bool) -> None:
    one = wanted(
        parameters={"Image": "i", **parameters}, late_parameters={}, tags=tags, termination_protection=protected
    )
    first = stacks.step_for(one, None, None)
    assert first.action == "create"
    built = existing(one, parameters=first.parameters)
    assert step(one, built).action == "none"


def test_waves_come_in_order() -> None:
    entries = [entry(name="lab-c", wave=2), entry(name="lab-b", wave=0), entry(name="lab-a", wave=2)]
    assert [one.name for one in stacks.read_entries(entries, {"image.debian": "x"})] == ["lab-b", "lab-a", "lab-c"]
