"""A real emulator process for these tests, and the few things they do with stacks."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import WaiterError

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lab import launcher
from tests.emulator import free_port

REGION = "eu-west-1"
PUBLIC_NETWORK = "127.201.7.0/24"
CORE_IT = "210987654321"
IMAGE = {"owner": CORE_IT, "name": "debian-12-approved", "tags": {"CoreIT": "approved"}, "root_gib": 6}
SESSION = boto3.Session("testing", "testing", region_name=REGION)
FAST = {"Delay": 0.1, "MaxAttempts": 100}


class StackError(AssertionError):
    """A stack operation did not complete; says the first failing event."""


class Cloud:
    """The emulator as a client sees it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """A boto3 client that retries nothing, so that errors show at once."""
        if service not in self._clients:
            config = Config(retries={"max_attempts": 0}, proxies={})
            self._clients[service] = SESSION.client(service, endpoint_url=self.endpoint, config=config)
        return self._clients[service]

    @property
    def cfn(self) -> Any:
        return self.client("cloudformation")

    @property
    def ec2(self) -> Any:
        return self.client("ec2")

    @cached_property
    def image(self) -> str:
        """The id of the approved image."""
        return self.ec2.describe_images(Owners=[CORE_IT])["Images"][0]["ImageId"]

    def create(self, name: str, resources: dict[str, Any], **options: Any) -> dict[str, str]:
        """Create a stack and wait; returns the physical ids by logical id."""
        self.cfn.create_stack(StackName=name, **_request(resources, options))
        return self._wait("stack_create_complete", name)

    def update(self, name: str, resources: dict[str, Any], **options: Any) -> dict[str, str]:
        """Update a stack and wait; returns the physical ids by logical id."""
        self.cfn.update_stack(StackName=name, **_request(resources, options))
        return self._wait("stack_update_complete", name)

    def delete(self, name: str) -> None:
        """Delete a stack and wait."""
        self.cfn.delete_stack(StackName=name)
        self._wait("stack_delete_complete", name)

    def _wait(self, waiter: str, name: str) -> dict[str, str]:
        try:
            self.cfn.get_waiter(waiter).wait(StackName=name, WaiterConfig=FAST)
        except WaiterError as error:
            raise StackError(self.first_failure(name)) from error
        return {} if waiter == "stack_delete_complete" else self.ids(name)

    def ids(self, name: str) -> dict[str, str]:
        """Physical ids by logical id."""
        found = self.cfn.describe_stack_resources(StackName=name)["StackResources"]
        return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found}

    def outputs(self, name: str) -> dict[str, str]:
        """Outputs by key."""
        stack = self.cfn.describe_stacks(StackName=name)["Stacks"][0]
        return {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}

    def first_failure(self, name: str) -> str:
        """The reason of the oldest FAILED event."""
        events = self.cfn.describe_stack_events(StackName=name)["StackEvents"]
        failed = [e for e in reversed(events) if e["ResourceStatus"].endswith("FAILED")]
        return f"{failed[0]['LogicalResourceId']}: {failed[0].get('ResourceStatusReason')}" if failed else "no event"

    def changes(self, name: str, resources: dict[str, Any], **options: Any) -> dict[str, dict[str, Any]]:
        """What a change set announces, by logical id; nothing is executed."""
        request = _request(resources, options)
        self.cfn.create_change_set(StackName=name, ChangeSetName="preview", ChangeSetType="UPDATE", **request)
        described = self.cfn.describe_change_set(StackName=name, ChangeSetName="preview")
        self.cfn.delete_change_set(StackName=name, ChangeSetName="preview")
        return {c["ResourceChange"]["LogicalResourceId"]: c["ResourceChange"] for c in described["Changes"]}

    def drift(self, name: str) -> dict[str, str]:
        """Drift status by logical id, freshly detected."""
        detection = self.cfn.detect_stack_drift(StackName=name)["StackDriftDetectionId"]
        status = self.cfn.describe_stack_drift_detection_status(StackDriftDetectionId=detection)
        assert status["DetectionStatus"] == "DETECTION_COMPLETE", status
        drifts = self.cfn.describe_stack_resource_drifts(StackName=name)["StackResourceDrifts"]
        return {d["LogicalResourceId"]: d["StackResourceDriftStatus"] for d in drifts}


def _request(resources: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    template = {"Resources": resources, **{k: options.pop(k) for k in ("Parameters", "Outputs") if k in options}}
    values = options.pop("values", {})
    parameters = [
        {"ParameterKey": k, **({"UsePreviousValue": True} if v is None else {"ParameterValue": v})}
        for k, v in values.items()
    ]
    request = {"TemplateBody": json.dumps(template), "Parameters": parameters, **options}
    return {**request, "Capabilities": ["CAPABILITY_NAMED_IAM"]}


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[launcher.Emulator]:
    """The emulator process the tests share; one image is seeded."""
    state = tmp_path_factory.mktemp("emulator")
    running = launcher.start(state, free_port(), PUBLIC_NETWORK)
    launcher.register_images(running, [IMAGE])
    yield running
    launcher.stop(state)


@pytest.fixture(scope="session")
def cloud(emulator: launcher.Emulator) -> Cloud:
    """Clients of the shared emulator."""
    return Cloud(emulator.endpoint)


@pytest.fixture(scope="session")
def network(cloud: Cloud) -> dict[str, str]:
    """A VPC with one subnet, a security group and an instance profile that tests may use."""
    resources = {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.77.0.0/16"}},
        "Subnet": {
            "Type": "AWS::EC2::Subnet",
            "Properties": {
                "VpcId": {"Ref": "Vpc"},
                "CidrBlock": "10.77.1.0/24",
                "AvailabilityZone": f"{REGION}a",
            },
        },
        "Group": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {"GroupDescription": "test", "VpcId": {"Ref": "Vpc"}},
        },
        "OtherGroup": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {"GroupDescription": "other", "VpcId": {"Ref": "Vpc"}},
        },
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "ec2.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ],
                }
            },
        },
        "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": "Role"}]}},
    }
    return cloud.create("network", resources)
