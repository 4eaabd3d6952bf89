"""Templates as data: spelling does not matter, conditions and imports are told without AWS."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible_collections.atelier.datalab.plugins.module_utils import _stacks_template as templates
from hypothesis import given, settings
from hypothesis import strategies as st

YAML = """
AWSTemplateFormatVersion: 2010-09-09
# a comment
Parameters: {Zone: {Type: String}}
Conditions:
  InA: !Equals [!Ref Zone, A]
  NotA: !Not [!Condition InA]
  Both: !And [!Condition InA, !Condition NotA]
Resources:
  One: {Type: "AWS::SSM::Parameter", Condition: InA, Properties: {Value: !GetAtt Two.Arn}}
  Two: {Type: "AWS::SSM::Parameter", Properties: {Value: !Sub "${Zone}-x"}}
  Three: {Type: "AWS::SSM::Parameter", Condition: Both}
  Four: {Type: "AWS::SSM::Parameter", Condition: NotA, Properties: {Value: {"Fn::ImportValue": !Sub "net-${Zone}"}}}
"""


def test_short_long_and_json_forms_are_equal() -> None:
    short = templates.parse(YAML)
    long = templates.parse(
        YAML.replace("!GetAtt Two.Arn", '{"Fn::GetAtt": [Two, Arn]}').replace("!Ref Zone", '{"Ref": "Zone"}')
    )
    assert short == long == templates.parse(json.dumps(short)) == templates.parse(short)
    assert templates.digest(short) == templates.digest(long)


def test_a_real_difference_is_seen() -> None:
    assert templates.parse(YAML) != templates.parse(YAML.replace("${Zone}-x", "${Zone}-y"))


def test_dates_stay_text() -> None:
    assert templates.parse(YAML)["AWSTemplateFormatVersion"] == "2010-09-09"


@pytest.mark.parametrize(("zone", "expected"), [("A", {"One", "Two"}), ("B", {"Two", "Four"})])
def test_conditions_decide_what_would_be_made(zone: str, expected: set[str]) -> None:
    assert set(templates.resources(templates.parse(YAML), {"Zone": zone})) == expected


def test_imports_are_told_for_what_would_be_made() -> None:
    assert templates.imports(templates.parse(YAML), {"Zone": "B"}) == {"net-B"}
    assert templates.imports(templates.parse(YAML), {"Zone": "A"}) == set()


@pytest.mark.parametrize("text", ["a: [", "just text", "Parameters: {}", "[]"])
def test_what_is_not_a_template_is_refused(text: str) -> None:
    with pytest.raises(templates.TemplateError):
        templates.parse(text)


def test_long_templates_are_sent_compact_and_too_long_ones_refused() -> None:
    def text(count: int) -> str:
        many = {f"R{n}": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": "x" * 20}} for n in range(count)}
        return json.dumps({"Resources": many}, indent=8)

    fits, long = text(500), text(1000)
    assert len(fits) > templates.MAX_BODY
    assert templates.parse(templates.body_for_api(fits, templates.parse(fits))) == templates.parse(fits)
    with pytest.raises(templates.TemplateError, match="split it"):
        templates.body_for_api(long, templates.parse(long))


plain = st.recursive(
    st.text("abcXYZ :#'\"${}!-", max_size=8) | st.integers(-5, 5) | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)  # the time of one example says nothing on a busy machine
@given(
    st.dictionaries(
        st.text("AB", min_size=1, max_size=3), st.fixed_dictionaries({"Type": st.just("T"), "Properties": plain})
    )
)
def test_yaml_json_and_data_mean_the_same(resources: dict) -> None:
    data = {"Resources": resources}
    assert templates.parse(yaml.safe_dump(data)) == templates.parse(json.dumps(data)) == data
