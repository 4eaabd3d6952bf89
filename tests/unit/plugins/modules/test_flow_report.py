"""The module against moto: reads only, tells what it could not read, and refuses the wrong account."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.module_utils import _flows_api
from ansible_collections.atelier.datalab.plugins.modules import flow_report
from botocore.exceptions import ClientError
from moto import mock_aws

REGION = "eu-west-1"
MATRIX = {"flows": [], "corporate": ["10.0.0.0/8"], "addresses": {"endpoints": []}, "people": {}, "warn_days": 30}


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An account with the group of project alpha, open to the whole Internet as AWS makes it, and no flows stack."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        client = boto3.client("ec2")
        ids = [one["GroupId"] for one in client.describe_security_groups()["SecurityGroups"]]
        # moto's CloudFormation wants more than is installed; the contract test has a whole one.
        monkeypatch.setattr(_flows_api, "groups", lambda *_: dict.fromkeys(ids[:1], "project:alpha"))
        monkeypatch.setattr(_flows_api, "held", lambda *_: {})
        yield client


def run(capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    arguments = {
        "environment": "prod", "region": REGION, "account": "123456789012", "matrix": MATRIX, "destination": "/x",
    }  # fmt: skip
    with patch_module_args(arguments | options), pytest.raises(SystemExit):
        flow_report.main()
    return json.loads(capsys.readouterr().out)


def refuse(*_: Any) -> Any:
    raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not yours"}}, "LookupEvents")


def test_a_trail_that_may_not_be_read_is_a_gap_and_the_maker_stays_unknown(
    ec2: Any, capsys: Any, calls: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_flows_api, "makers", refuse)
    report = run(capsys)["report"]
    (planted,) = report["by_hand"]
    assert (planted["of"], planted["destination"], planted["by"], planted["at"]) == (
        "project:alpha", "0.0.0.0/0", "not known", "not known",
    )  # fmt: skip
    why = "LookupEvents: AccessDeniedException: not yours"
    assert report["gaps"] == [{"what": "who made rules by hand (CloudTrail)", "why": why}]
    assert all(name.startswith(("Describe", "List", "Get")) for name in calls), calls


def test_the_trail_is_asked_only_where_rules_were_made_by_hand(
    ec2: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in ec2.describe_security_groups()["SecurityGroups"]:
        ec2.revoke_security_group_egress(GroupId=one["GroupId"], IpPermissions=one["IpPermissionsEgress"])
    monkeypatch.setattr(_flows_api, "makers", refuse)
    report = run(capsys)["report"]
    assert (report["by_hand"], report["gaps"]) == ([], [])


def test_what_it_cannot_read_it_does_not_take_for_empty(ec2: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_flows_api, "held", refuse)
    found = run(capsys)
    assert found["failed"]
    assert found["msg"].startswith("The rules in AWS cannot be read: LookupEvents: AccessDenied")


def test_another_account_or_a_day_that_is_none_is_refused(ec2: Any, capsys: Any) -> None:
    assert "platform.account of prod is 210987654321" in run(capsys, account="210987654321")["msg"]
    assert "write it as 2027-03-31" in run(capsys, today="tomorrow")["msg"]


def test_the_documentation_says_what_the_code_takes() -> None:
    assert set(flow_report.ARGUMENTS) == set(yaml.safe_load(flow_report.DOCUMENTATION)["options"])
