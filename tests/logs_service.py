"""CloudWatch Logs as far as a shipper knows it: PutLogEvents with the limits of its reference, and faults on demand.

moto and the lab's emulator take any request; here one that AWS would refuse is refused.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from typing import Any

DAY = 24 * 3600 * 1000


class Refused(Exception):  # noqa: N818 - named as a word of the tests
    """An answer that is an error of AWS's."""

    def __init__(self, code: str, message: str = "", status: int = 400) -> None:
        super().__init__(message or code)
        self.code, self.status = code, status


class LogsService:
    """One log group. `faults` are raised, one per request, before anything else; `after` is called once accepted."""

    def __init__(self, group: str = "/test") -> None:
        self.group = group
        self.streams: dict[str, list[dict[str, Any]]] = {}
        self.faults: list[Refused] = []
        self.after: Any = None
        self.malformed = ""  # a message that is never taken
        self.requests: list[str] = []
        self._server: http.server.ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def messages(self, stream: str) -> list[str]:
        """The journal's messages, as sent."""
        return [json.loads(one["message"])["message"] for one in self.streams.get(stream, [])]

    def start(self) -> None:
        """Answer; again on the same port after `stop`."""
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                try:
                    answer, status = service.answer(self.headers["X-Amz-Target"].rpartition(".")[2], body), 200
                except Refused as error:
                    answer, status = {"__type": error.code, "message": str(error)}, error.status
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Be away."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request."""
        self.requests.append(operation)
        if self.faults:
            raise self.faults.pop(0)
        if body["logGroupName"] != self.group:
            raise Refused("ResourceNotFoundException", "The specified log group does not exist.")
        if operation == "CreateLogStream":
            if body["logStreamName"] in self.streams:
                raise Refused("ResourceAlreadyExistsException")
            self.streams[body["logStreamName"]] = []
            return {}
        if body["logStreamName"] not in self.streams:
            raise Refused("ResourceNotFoundException", "The specified log stream does not exist.")
        return self._put(self.streams[body["logStreamName"]], body["logEvents"])

    def _put(self, stream: list[dict[str, Any]], events: list[dict[str, Any]]) -> dict[str, Any]:
        check(events)
        if self.malformed and any(self.malformed in one["message"] for one in events):
            raise Refused("InvalidParameterException", "Log event is malformed")
        now = int(time.time() * 1000)
        old = sum(one["timestamp"] < now - 14 * DAY for one in events)
        new = sum(one["timestamp"] > now + 2 * 3600 * 1000 for one in events)
        stream += events[old : len(events) - new]
        info = {"tooOldLogEventEndIndex": old} if old else {}
        info |= {"tooNewLogEventStartIndex": len(events) - new} if new else {}
        if self.after:
            self.after()
        return {"rejectedLogEventsInfo": info} if info else {}


def check(events: list[dict[str, Any]]) -> None:
    """What AWS refuses: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html"""
    times = [one["timestamp"] for one in events]
    if not 1 <= len(events) <= 10_000:
        raise Refused("InvalidParameterException", f"{len(events)} events")
    if times != sorted(times):
        raise Refused("InvalidParameterException", "Log events in a single PutLogEvents request must be chronological.")
    if times[-1] - times[0] > DAY:
        raise Refused("InvalidParameterException", "The batch of log events spans more than 24 hours.")
    if sum(len(one["message"].encode()) + 26 for one in events) > 1_048_576:
        raise Refused("InvalidParameterException", "Upload too large")
    if any(not one["message"] or len(one["message"].encode()) > 262_118 for one in events):
        raise Refused("InvalidParameterException", "Log event too large or empty")
