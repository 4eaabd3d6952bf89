"""The metadata service: tokens, who is who, credentials of a role only where there is one."""

from __future__ import annotations

import datetime
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.utils import InstanceMetadataFetcher

from lab.cloud import Instance
from lab.metadata import ROLES, Answer, Metadata, MetadataServer

BASTION = Instance("i-b", "running", "127.0.0.1", "s", "10.0.0.0/24", zone="eu-west-1a", profile="bastion")
PLAIN = Instance("i-p", "running", "10.0.0.9", "s", "10.0.0.0/24", zone="eu-west-1b")
TTL = {"x-aws-ec2-metadata-token-ttl-seconds": "60"}


class Service:
    """The service with a clock of the test's own."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0
        self.asked: list[str] = []
        hosts = {one.address: one for one in (BASTION, PLAIN)}
        self.metadata = Metadata(hosts.get, self._credentials, lambda: self.time)

    def _credentials(self, instance: Instance) -> tuple[str, dict[str, Any]]:
        self.asked.append(instance.id)
        ends = datetime.datetime.fromtimestamp(self.time + 3600, datetime.UTC)
        number = len(self.asked)
        return "the-role", {
            "AccessKeyId": f"A{number}", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": ends
        }  # fmt: skip

    def token(self, source: str = BASTION.address) -> str:
        return self.metadata.answer("PUT", "/latest/api/token", TTL, source).text

    def get(self, path: str, token: str, source: str = BASTION.address) -> Answer:
        return self.metadata.answer("GET", path, {"x-aws-ec2-metadata-token": token}, source)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"x-aws-ec2-metadata-token-ttl-seconds": "0"}, 400),
        ({"x-aws-ec2-metadata-token-ttl-seconds": "21601"}, 400),
        ({"x-aws-ec2-metadata-token-ttl-seconds": "x"}, 400),
        (TTL | {"x-forwarded-for": "10.0.0.1"}, 403),
        (TTL, 200),
    ],
)
def test_a_token_is_asked_for_properly(service: Service, headers: dict[str, str], status: int) -> None:
    assert service.metadata.answer("PUT", "/latest/api/token", headers, BASTION.address).status == status


def test_nothing_is_told_without_a_token_of_ones_own_that_still_holds(service: Service) -> None:
    path, token = "/latest/meta-data/instance-id", service.token()
    assert service.get(path, token) == Answer(200, "i-b")
    assert service.get(path, service.token(PLAIN.address)).status == 401
    for wrong in ("", "x", token + "0", "9" + token):
        assert service.get(path, wrong).status == 401
    service.time += 61
    assert service.get(path, token).status == 401


def test_a_stranger_is_told_nothing(service: Service) -> None:
    assert service.metadata.answer("PUT", "/latest/api/token", TTL, "10.9.9.9").status == 404


def test_where_it_is(service: Service) -> None:
    token = service.token(PLAIN.address)
    for path, text in (("placement/region", "eu-west-1"), ("placement/availability-zone/", "eu-west-1b")):
        assert service.get(f"/latest/meta-data/{path}", token, PLAIN.address).text == text
    assert service.get("/latest/meta-data/nothing", token, PLAIN.address).status == 404


def test_credentials_are_the_roles_of_an_instance_that_has_one(service: Service) -> None:
    token = service.token()
    assert service.get(ROLES, token).text == "the-role"
    assert json.loads(service.get(ROLES + "the-role", token).text)["AccessKeyId"] == "A1"
    assert service.get(ROLES + "another", token).status == 404
    plain = service.token(PLAIN.address)
    assert [service.get(path, plain, PLAIN.address).status for path in (ROLES, ROLES + "the-role")] == [404, 404]
    assert service.asked == ["i-b"]


def test_credentials_are_renewed_before_they_end(service: Service) -> None:
    assert json.loads(service.get(ROLES + "the-role", service.token()).text)["AccessKeyId"] == "A1"
    service.time += 3600 - 15 * 60 + 1
    assert json.loads(service.get(ROLES + "the-role", service.token()).text)["AccessKeyId"] == "A2"


@pytest.fixture
def server(service: Service) -> Iterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    made = MetadataServer(listening, service.metadata)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    made.close()


def test_awss_own_client_gets_them_over_http(server: str) -> None:
    found = InstanceMetadataFetcher(base_url=server, num_attempts=1, env={}).retrieve_iam_role_credentials()
    assert (found["role_name"], found["access_key"], found["token"]) == ("the-role", "A1", "t")
