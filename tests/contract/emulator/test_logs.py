"""The questions that docs/howto/logs.md teaches find what they are about and nothing else."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from tests.contract.emulator.conftest import Cloud

PAGE = (Path(__file__).resolve().parents[3] / "docs/howto/logs.md").read_text()
MESSAGES = [
    "Accepted publickey for alice from 198.51.100.20 port 1 ssh2: ED25519 SHA256:x",
    "Invalid user bob from 198.51.100.20 port 1",
    "User carol from 198.51.100.20 not allowed because not listed in AllowUsers",
    "Connection closed by authenticating user dave 198.51.100.20 port 1 [preauth]",
    "Received request from 198.51.100.20 port 1 to connect to host 192.0.2.1 port 9, but the request was denied.",
    "pam_unix(sshd:session): session closed for user erin",
]
WANTED = [MESSAGES[:1], MESSAGES[1:4], MESSAGES[4:5], MESSAGES[:1]]  # in the page's order


def test_the_patterns_of_the_page(cloud: Cloud) -> None:
    logs, where = cloud.client("logs"), {"logGroupName": "/page", "logStreamName": "i-1"}
    logs.create_log_group(logGroupName="/page")
    logs.create_log_stream(**where)
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": json.dumps({"message": text, "identifier": "sshd"})} for text in MESSAGES]
    logs.put_log_events(**where, logEvents=events)
    patterns = re.findall(r"--filter-pattern '([^']+)'", PAGE)
    assert len(patterns) == len(WANTED)
    for pattern, wanted in zip(patterns, WANTED, strict=True):
        # The emulator knows no "or" (AWS: ?a ?b), so its parts are asked one by one.
        parts = re.findall(r'\?("[^"]+")', pattern) or [pattern]
        pages = [logs.filter_log_events(logGroupName="/page", filterPattern=part)["events"] for part in parts]
        assert all(pages), pattern
        assert [json.loads(event["message"])["message"] for page in pages for event in page] == wanted, pattern
