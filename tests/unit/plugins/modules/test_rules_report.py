"""The module against moto: reads every kind, page by page, tells what it could not read, changes nothing."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.module_utils import _aws, _rules_aws
from ansible_collections.atelier.datalab.plugins.modules import rules_report
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.rules_world import EXPECTED, HOSTS, MACHINE, rules

ACCOUNT = "123456789012"
REGION = "eu-west-1"
READS = ("Describe", "List", "Get")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield boto3.client


def instances(ec2: Any, number: int, **more: Any) -> list[str]:
    image = ec2.describe_images()["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, MinCount=number, MaxCount=number, **more)
    return [one["InstanceId"] for one in made["Instances"]]


def run(capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    arguments = {"environment": "prod", "region": REGION, "account": ACCOUNT, "expected": EXPECTED, "destination": "/x"}
    with patch_module_args(arguments | options), pytest.raises(SystemExit):
        rules_report.main()
    return json.loads(capsys.readouterr().out)


def broken(found: dict[str, Any]) -> dict[str, set[str]]:
    """Rule by subject."""
    by_subject: dict[str, set[str]] = {}
    for one in found["report"]["findings"]:
        by_subject.setdefault(one["subject"], set()).add(one["rule"])
    return by_subject


def test_every_kind_is_read_and_judged(aws: Any, capsys: Any, calls: Counter[str]) -> None:
    ec2, rds, acm = aws("ec2"), aws("rds"), aws("acm")
    (machine,) = instances(ec2, 1)
    ec2.modify_instance_metadata_options(InstanceId=machine, HttpTokens="required")
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1, Encrypted=False)["VolumeId"]
    group = ec2.create_security_group(GroupName="open", Description="x")["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}],
    )
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.create_launch_template(
        LaunchTemplateName="old", LaunchTemplateData={"MetadataOptions": {"HttpTokens": "optional"}}
    )
    rds.create_db_instance(
        DBInstanceIdentifier="hub", DBInstanceClass="db.t3.micro", Engine="postgres", PubliclyAccessible=True,
        MasterUsername="x", MasterUserPassword="testing-only", AllocatedStorage=20, StorageEncrypted=False,
    )  # fmt: skip
    acm.request_certificate(DomainName="x.example.com")
    found = run(capsys)
    seen = broken(found)
    assert "approved_image" in seen[machine]
    assert "stack_managed" in seen[machine]
    assert "encryption" in seen[volume]
    assert "open_world" in seen[group]
    assert "mandatory_tags" in seen[address]
    assert {"imdsv2"} == seen["old"]
    assert {"encryption", "public_address"} <= seen["hub"]
    assert [one["what"] for one in found["report"]["gaps"]] == ["the inside of 1 instance"]
    assert found["changed"] is False
    assert [name for name in calls if not name.startswith(READS)] == []


def test_a_certificate_that_ends_soon_is_found_by_either_answer_of_acm() -> None:
    ends = datetime.datetime(2027, 1, 20, tzinfo=datetime.UTC)

    class Acm:
        """Says the end in the listing for one certificate, and only when asked for the other."""

        def get_paginator(self, _name: str) -> Any:
            return self

        def paginate(self, Includes: Any) -> Any:  # noqa: N803 boto3's
            assert {"EC_prime256v1", "RSA_4096"} <= set(Includes["keyTypes"])
            yield {"CertificateSummaryList": [{"CertificateArn": "arn:1", "NotAfter": ends}]}
            yield {"CertificateSummaryList": [{"CertificateArn": "arn:2"}]}

        def describe_certificate(self, CertificateArn: str) -> Any:  # noqa: N803 boto3's
            return {"Certificate": {"CertificateArn": CertificateArn, "NotAfter": ends}}

    assert [one["NotAfter"] for one in _rules_aws._certificates(Acm())] == [ends, ends]


def test_all_pages_are_read_and_terminated_instances_left_out(
    aws: Any, capsys: Any, calls: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_rules_aws, "_PAGE", {"PageSize": 5})
    ec2 = aws("ec2")
    made = [one for _ in range(7) for one in instances(ec2, 2)]
    ec2.terminate_instances(InstanceIds=made[:4])
    found = run(capsys)
    assert calls["DescribeInstances"] == 2
    assert {one["subject"] for one in found["report"]["findings"] if one["rule"] == "naming"} == set(made[4:])
    assert sum(calls.values()) < 20, "calls must grow by pages, not by instances"


def test_what_may_not_be_read_is_a_gap(aws: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _aws.client

    def refusing(module: Any, service: str) -> Any:
        if service in ("rds", "acm"):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": f"not {service}"}}, "Ask")
        return made(module, service)

    monkeypatch.setattr(_aws, "client", refusing)
    gaps = {one["what"]: one["why"] for one in run(capsys)["report"]["gaps"]}
    assert gaps == {
        "databases (RDS)": "Ask: AccessDenied: not rds",
        "certificates (ACM)": "Ask: AccessDenied: not acm",
    }


def test_without_the_instances_there_is_no_report(aws: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(_client: Any) -> Any:
        raise ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": "no"}}, "DescribeInstances")

    monkeypatch.setattr(_rules_aws, "gather", refusing)
    found = run(capsys)
    assert found["failed"]
    assert found["msg"] == "What runs cannot be read: DescribeInstances: UnauthorizedOperation: no"


def test_another_account_is_not_judged(aws: Any, capsys: Any) -> None:
    found = run(capsys, account="999999999999")
    assert found["failed"]
    assert "account 123456789012" in found["msg"]
    assert "report" not in found


def test_hosts_that_did_not_tell_are_gaps_with_their_reason(aws: Any, capsys: Any) -> None:
    hosts = {MACHINE: {"evidence": HOSTS[MACHINE]}, "away": {"msg": "Failed to connect\n  via ssh"}, "limited": {}}
    found = run(capsys, hosts=hosts)
    assert [(one["what"], one["why"]) for one in found["report"]["gaps"]] == [
        ("the inside of away", "Failed to connect via ssh"), ("the inside of limited", "it was not asked"),
    ]  # fmt: skip


def test_another_day_can_be_asked_for(aws: Any, capsys: Any) -> None:
    instances(aws("ec2"), 1)
    naming = rules()["naming"] | {"severity": "warn", "hardens": {"2037-01-01": {"prod": "refuse"}}}
    expected = EXPECTED | {"rules": rules() | {"naming": naming}}
    severities = [
        next(
            one["severity"]
            for one in run(capsys, expected=expected, **day)["report"]["findings"]
            if one["rule"] == "naming"
        )
        for day in ({}, {"today": "2036-12-31"}, {"today": "2037-01-01"})
    ]
    assert severities == ["warn", "warn", "refuse"]
    assert "write it as 2027-03-31" in run(capsys, today="tomorrow")["msg"]


def test_the_documentation_says_what_the_code_takes() -> None:
    assert set(rules_report.ARGUMENTS) == set(yaml.safe_load(rules_report.DOCUMENTATION)["options"])
