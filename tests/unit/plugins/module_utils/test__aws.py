"""Clients that wait when AWS says slow down, and errors in one sentence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _aws
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

THROTTLED = b"""<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
<Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>"""
EMPTY = b"""<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
<DescribeStacksResult><Stacks/></DescribeStacksResult></DescribeStacksResponse>"""


class Busy(BaseHTTPRequestHandler):
    """CloudFormation that refuses the first two calls."""

    seen = 0

    def do_POST(self) -> None:
        type(self).seen += 1
        throttled = self.seen <= 2
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(400 if throttled else 200)
        self.end_headers()
        self.wfile.write(THROTTLED if throttled else EMPTY)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Module:
    """An AnsibleAWSModule as far as clients go."""

    def __init__(self, endpoint: str, **params: Any) -> None:
        self.endpoint, self.params = endpoint, params

    def client(self, service: str, aws_config: dict[str, Any]) -> Any:
        session = boto3.Session("testing", "testing", region_name="eu-west-1")
        return session.client(service, endpoint_url=self.endpoint, config=Config(**aws_config, proxies={}))


@pytest.fixture
def busy() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Busy)
    Busy.seen = 0
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_throttled_calls_are_repeated(busy: str) -> None:
    assert _aws.client(Module(busy), "cloudformation").describe_stacks()["Stacks"] == []
    assert Busy.seen == 3


def test_the_callers_botocore_options_go_first(busy: str) -> None:
    module = Module(busy, aws_config={"retries": {"max_attempts": 0}})
    with pytest.raises(ClientError) as error:
        _aws.client(module, "cloudformation").describe_stacks()
    assert _aws.sentence(error.value) == "DescribeStacks: Throttling: Rate exceeded"
    assert _aws.code(error.value) == "Throttling"


def test_errors_without_an_answer_are_one_line_too() -> None:
    error = EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
    assert _aws.sentence(error) == 'Could not connect to the endpoint URL: "http://127.0.0.1:9"'
    assert _aws.code(error) == ""
