"""The instance metadata service (version 2 only): who a host is, and the credentials of its role.

The source address tells who asks. As on AWS a token belongs to one instance, and an instance without a profile has no
credentials.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.server
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lab.cloud import REGION, Instance
from lab.served import Served

Who = Callable[[str], Instance | None]
Credentials = Callable[[Instance], tuple[str, dict[str, Any]]]
LONGEST = 21600  # seconds that a token may live
TTL, TOKEN = "x-aws-ec2-metadata-token-ttl-seconds", "x-aws-ec2-metadata-token"
FRESH = datetime.timedelta(minutes=15)  # on AWS new credentials are there at least five minutes before the old ones end
ROLES = "/latest/meta-data/iam/security-credentials/"


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    text: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class Metadata:
    """The service's answers."""

    def __init__(self, who: Who, credentials: Credentials, now: Callable[[], float] = time.time) -> None:
        self._who, self._ask, self._now = who, credentials, now
        self._key = secrets.token_bytes(32)
        self._held: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}  # instance, profile -> role, credentials
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, headers: Mapping[str, str], source: str) -> Answer:
        """Return the answer to a request; names of headers are in lower case."""
        instance = self._who(source)
        if instance is None:
            return Answer(404)
        if (method, path) == ("PUT", "/latest/api/token"):
            return self._give_token(instance, headers)
        if method != "GET":
            return Answer(405)
        if not self._holds(instance, headers.get(TOKEN, "")):
            return Answer(401)
        if path.startswith(ROLES.rstrip("/")):
            return self._role(instance, path)
        text = facts(instance).get(path.rstrip("/"))
        return Answer(404) if text is None else Answer(200, text)

    def _give_token(self, instance: Instance, headers: Mapping[str, str]) -> Answer:
        if "x-forwarded-for" in headers:  # a proxy that somebody talked into asking for others
            return Answer(403)
        wanted = headers.get(TTL, "")
        if not wanted.isdigit() or not 1 <= int(wanted) <= LONGEST:
            return Answer(400)
        return Answer(200, self._token(instance, int(self._now()) + int(wanted)), ((TTL, wanted),))

    def _token(self, instance: Instance, until: int) -> str:
        mark = hmac.new(self._key, f"{instance.id} {until}".encode(), hashlib.sha256).hexdigest()
        return f"{until}-{mark}"

    def _holds(self, instance: Instance, token: str) -> bool:
        until = token.partition("-")[0]
        if not until.isdigit() or int(until) < self._now():
            return False
        return hmac.compare_digest(token.encode(), self._token(instance, int(until)).encode())

    def _role(self, instance: Instance, path: str) -> Answer:
        if not instance.profile:
            return Answer(404)
        role, found = self._credentials(instance)
        if path in (ROLES, ROLES.rstrip("/")):
            return Answer(200, role)
        return Answer(200, json.dumps(found)) if path == ROLES + role else Answer(404)

    def _credentials(self, instance: Instance) -> tuple[str, dict[str, Any]]:
        """Return role and credentials; those of a moment ago while they are good, as on AWS."""
        with self._lock:
            role, found = self._held.get((instance.id, instance.profile), ("", {}))
            now = datetime.datetime.fromtimestamp(self._now(), datetime.UTC)
            if not found or found["Expiration"] - now < FRESH:
                role, found = self._ask(instance)
                found = found | {"LastUpdated": now}
                self._held[instance.id, instance.profile] = (role, found)
        return role, {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": _moment(found["LastUpdated"]),
            "AccessKeyId": found["AccessKeyId"],
            "SecretAccessKey": found["SecretAccessKey"],
            "Token": found["SessionToken"],
            "Expiration": _moment(found["Expiration"]),
        }


def _moment(when: datetime.datetime) -> str:
    return when.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def facts(instance: Instance) -> dict[str, str]:
    """Return what an instance is told of itself, by path."""
    zone = instance.zone or f"{REGION}a"
    region = zone.rstrip("abcdef")
    document = {
        "availabilityZone": zone, "imageId": instance.image, "instanceId": instance.id, "instanceType": instance.type,
        "privateIp": instance.address, "region": region, "version": "2017-09-30",
    }  # fmt: skip
    root = "/latest/meta-data/"
    return {
        f"{root}ami-id": instance.image,
        f"{root}instance-id": instance.id,
        f"{root}instance-type": instance.type,
        f"{root}local-hostname": instance.fqdn,
        f"{root}local-ipv4": instance.address,
        f"{root}placement/availability-zone": zone,
        f"{root}placement/region": region,
        "/latest/dynamic/instance-identity/document": json.dumps(document),
    }


class MetadataServer(Served):
    """The service over HTTP, on a socket that listens already."""

    def __init__(self, listening: socket.socket, metadata: Metadata) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            server_version, sys_version = "EC2ws", ""
            timeout = 30

            def _serve(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                try:
                    made = metadata.answer(self.command, self.path, headers, self.client_address[0])
                except Exception as error:  # the host is told, whatever the emulator does
                    made = Answer(500, f"{type(error).__name__}: {error}")
                body = made.text.encode()
                self.send_response(made.status)
                for name, value in (*made.headers, ("Content-Type", "text/plain"), ("Content-Length", str(len(body)))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_HEAD = _serve  # noqa: N815 - names that the standard library calls

            def log_message(self, *args: Any) -> None:
                """Say nothing per request."""

        super().__init__(listening, Handler)
