"""doors.py FILE: knock at doors all the time until FILE is there; print when each was last open, as JSON.

Runs on the host with the hub's own Python, beside a copy of datalab_visit.py. Standard input is one JSON object: url,
certificate, passwords, tokens (both by login) and doors: name -> what to do. A door is one of
  login, path            a request with the browser's cookies; with token: true with the API token instead
  login, server, kernel  a cell on a connection that is opened once and kept open
  command                a command that succeeds
With `server` the login enters that one's server first. When every door has opened once, FILE.open is made; if one does
not, that is an error. Times are seconds of the host's clock.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from datalab_visit import Visit, collect
from tornado.httpclient import HTTPClientError
from tornado.websocket import WebSocketClosedError, websocket_connect

PAUSE, PATIENCE = 0.4, 5.0
Knock = Callable[[], Awaitable[bool]]


def page(visit: Visit, path: str) -> Knock:
    """A request that is answered with 200."""

    async def knock() -> bool:
        answer = await visit.client.fetch(visit.request(path, request_timeout=PATIENCE), raise_error=False)
        return answer.code == 200

    return knock


def command(words: str) -> Knock:
    """A command that succeeds."""

    async def knock() -> bool:
        quiet = asyncio.subprocess.DEVNULL
        done = await asyncio.create_subprocess_shell(words, stdin=quiet, stdout=quiet, stderr=quiet)
        return await done.wait() == 0

    return knock


async def cell(visit: Visit, kernel: str) -> Knock:
    """A cell that prints, on one connection that is never opened again."""
    request = visit.request(f"/user/{visit.server}/api/kernels/{kernel}/channels")
    request.url = request.url.replace("http", "ws", 1)
    socket = await websocket_connect(request, resolver=visit.resolver)

    async def knock() -> bool:
        number = uuid.uuid4().hex
        head = {"msg_id": number, "msg_type": "execute_request", "username": "", "version": "5.3", "date": ""}
        content = {"code": "print('in')", "silent": False, "store_history": False, "allow_stdin": False}
        body = {"header": {**head, "session": number}, "parent_header": {}, "metadata": {}, "content": content}
        await socket.write_message(json.dumps({**body, "channel": "shell", "buffers": []}))
        text, _ = await asyncio.wait_for(collect(socket, number), PATIENCE)
        return text == "in\n"

    return knock


async def watch(knock: Knock, until: Callable[[], bool]) -> dict[str, Any]:
    """Knock until the end; `last` is when the last successful knock began, `now` whether it is open at the end."""
    seen: dict[str, Any] = {"times": 0, "last": 0.0, "now": False}
    while not until():
        began = time.time()
        try:
            seen["now"] = await knock()
        except (OSError, TimeoutError, HTTPClientError, WebSocketClosedError):  # no answer, or the connection ended
            seen["now"] = False
        if seen["now"]:
            seen["times"], seen["last"] = seen["times"] + 1, began
        await asyncio.sleep(PAUSE)
    return seen


async def main() -> dict[str, Any]:
    """Open every door, then watch them all at once."""
    end, wanted = Path(sys.argv[1]), json.load(sys.stdin)
    visits: dict[tuple[str, str, bool], Visit] = {}

    async def visit_of(door: dict[str, Any]) -> Visit:
        """One visit for each person, server and way to say who one is."""
        login, token = door["login"], door.get("token", False)
        server = door.get("server", "")
        if (login, server, token) not in visits:
            known = wanted["tokens"][login] if token else ""
            made = Visit(wanted["url"], wanted["certificate"], login, token=known, server=server)
            if not token and not await made.log_in(wanted["passwords"][login]):
                raise RuntimeError(f"{login} cannot log in")
            if server:
                await made.start(120)
            visits[login, server, token] = made
        return visits[login, server, token]

    kernels: dict[tuple[str, str], str] = {}
    knocks: dict[str, Knock] = {}
    for name, door in wanted["doors"].items():
        if "command" in door:
            knocks[name] = command(door["command"])
            continue
        visit = await visit_of(door)
        if "kernel" in door:
            key = door["server"], door["kernel"]
            kernels[key] = await visit.kernel(kernels.get(key, door["kernel"]))
            knocks[name] = await cell(visit, kernels[key])
        else:
            knocks[name] = page(visit, door["path"])
    closed = [name for name, knock in knocks.items() if not await knock()]
    if closed:
        raise RuntimeError(f"closed from the beginning: {', '.join(closed)}")
    end.with_name(f"{end.name}.open").touch()
    seen = await asyncio.gather(*(watch(knock, end.exists) for knock in knocks.values()))
    return dict(zip(knocks, seen, strict=True))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main())))
