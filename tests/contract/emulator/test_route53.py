"""AWS::Route53::HostedZone (private) and its records on the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

ZONE = "preprod.datalab.example.com"


def zone(network: dict[str, str], **changed: Any) -> dict[str, Any]:
    """A private zone and one record in it."""
    properties = {
        "Name": ZONE,
        "HostedZoneConfig": {"Comment": "machines"},
        "VPCs": [{"VPCId": network["Vpc"], "VPCRegion": "eu-west-1"}],
        "HostedZoneTags": [{"Key": "Environment", "Value": "preprod"}],
    }
    return {
        "Zone": {"Type": "AWS::Route53::HostedZone", "Properties": {**properties, **changed}},
        "Record": {
            "Type": "AWS::Route53::RecordSet",
            "Properties": {
                "HostedZoneId": {"Ref": "Zone"},
                "Name": f"bastion.{ZONE}",
                "Type": "A",
                "TTL": "60",
                "ResourceRecords": ["10.20.0.10"],
            },
        },
    }


@pytest.fixture
def stack(cloud: Any, network: dict[str, str]) -> Iterator[dict[str, str]]:
    """The stack ``zone``; yields its ids."""
    yield cloud.create("zone", zone(network))
    cloud.delete("zone")
    assert cloud.client("route53").list_hosted_zones()["HostedZones"] == []


def records(cloud: Any, zone_id: str) -> dict[str, list[str]]:
    found = cloud.client("route53").list_resource_record_sets(HostedZoneId=zone_id)["ResourceRecordSets"]
    return {r["Name"]: [v["Value"] for v in r["ResourceRecords"]] for r in found if r["Type"] == "A"}


def test_zone_is_private_to_the_vpc(cloud: Any, network: dict[str, str], stack: dict[str, str]) -> None:
    route53 = cloud.client("route53")
    found = route53.get_hosted_zone(Id=stack["Zone"])
    assert found["HostedZone"]["Config"] == {"Comment": "machines", "PrivateZone": True}
    assert found["VPCs"] == [{"VPCRegion": "eu-west-1", "VPCId": network["Vpc"]}]
    tags = route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=stack["Zone"])
    assert tags["ResourceTagSet"]["Tags"] == [{"Key": "Environment", "Value": "preprod"}]
    assert records(cloud, stack["Zone"]) == {f"bastion.{ZONE}.": ["10.20.0.10"]}


def test_comment_and_record_change_in_place(cloud: Any, network: dict[str, str], stack: dict[str, str]) -> None:
    wanted = zone(network, HostedZoneConfig={"Comment": "renamed"})
    wanted["Record"]["Properties"]["ResourceRecords"] = ["10.20.0.11"]
    changes = cloud.changes("zone", wanted)
    assert {c["Replacement"] for c in changes.values()} == {"False"}
    assert cloud.update("zone", wanted) == stack
    found = cloud.client("route53").get_hosted_zone(Id=stack["Zone"])["HostedZone"]
    assert found["Config"] == {"Comment": "renamed", "PrivateZone": True}
    assert records(cloud, stack["Zone"]) == {f"bastion.{ZONE}.": ["10.20.0.11"]}


def test_another_name_replaces(cloud: Any, network: dict[str, str], stack: dict[str, str]) -> None:
    wanted = zone(network, Name=f"new.{ZONE}")
    wanted["Record"]["Properties"]["Name"] = f"bastion.new.{ZONE}"
    assert cloud.changes("zone", wanted)["Zone"]["Replacement"] == "True"
    new = cloud.update("zone", wanted)
    assert new["Zone"] != stack["Zone"]
    assert records(cloud, new["Zone"]) == {f"bastion.new.{ZONE}.": ["10.20.0.10"]}


def test_drift(cloud: Any, network: dict[str, str], stack: dict[str, str]) -> None:
    assert cloud.drift("zone")["Zone"] == "IN_SYNC"
    cloud.client("route53").update_hosted_zone_comment(Id=stack["Zone"], Comment="by hand")
    assert cloud.drift("zone")["Zone"] == "MODIFIED"


def test_one_vpc_has_one_zone_of_a_name(cloud: Any, network: dict[str, str], stack: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="already associated with VPC"):
        cloud.create("twin", zone(network))
    cloud.delete("twin")


def test_unknown_vpc_is_refused(cloud: Any) -> None:
    with pytest.raises(AssertionError, match="VPC ID 'vpc-0' is not valid"):
        cloud.create("lost", zone({"Vpc": "vpc-0"}))
    cloud.delete("lost")
