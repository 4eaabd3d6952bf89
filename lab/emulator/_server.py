"""MiniStack's ASGI application with our state on disk and two calls of our own under /_lab/.

GET  /_lab/status  who serves this port: pid, versions, account, state file
POST /_lab/images  {"region": ..., "images": [...]}: what core IT shares with the account
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app as ministack_app

from lab.emulator import ec2_image
from lab.emulator._state import Store

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
READ_ACTION = re.compile(r"^(Describe|List|Get|Lookup|Validate|Estimate)[A-Z]")
SAVE_INTERVAL = 0.1  # seconds; for stack operations nobody is waiting for


class Application:
    """The ASGI application."""

    def __init__(self, store: Store, account: str, stop: asyncio.Event) -> None:
        self.store, self.account, self.stop = store, account, stop
        self._saver: asyncio.Task[None] | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection event, as ASGI asks."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith("/_lab/"):
            await self._lab(scope, receive, send)
        elif scope["type"] == "http":
            await self._aws(scope, receive, send)
        else:
            await ministack_app(scope, receive, send)

    async def _lifespan(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self._saver = asyncio.create_task(self._save_regularly())
        await ministack_app(scope, receive, send)
        self._saver.cancel()
        if self.store.path.parent.is_dir():
            self.store.flush()

    async def _save_regularly(self) -> None:
        while True:
            await asyncio.sleep(SAVE_INTERVAL)
            if not self.store.path.parent.is_dir():
                # Without its folder nobody can find, and so stop, this process any more.
                self.stop.set()
                return
            self.store.flush()

    async def _aws(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body = await _read(receive)
        writes = not is_read(scope, body)
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> dict[str, Any]:
            return pending.pop() if pending else await receive()

        async def save_then_send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self.store.dirty = self.store.dirty or writes
                self.store.flush()
            await send(message)

        await ministack_app(scope, replay, save_then_send)

    async def _lab(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if (scope["method"], scope["path"]) == ("GET", "/_lab/status"):
            await _answer(send, 200, self._status())
        elif (scope["method"], scope["path"]) == ("POST", "/_lab/images"):
            try:
                await _answer(send, 200, self._put_images(json.loads(body)))
            except (KeyError, TypeError, ValueError) as error:
                await _answer(send, 400, {"error": f"{type(error).__name__}: {error}"})
        else:
            await _answer(send, 404, {"error": f"no such call: {scope['method']} {scope['path']}"})

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "ministack": version("ministack"),
            "account": self.account,
            "state": str(self.store.path),
        }

    def _put_images(self, request: dict[str, Any]) -> dict[str, Any]:
        identifiers = {
            image["name"]: ec2_image.put_image(image, self.account, request["region"]) for image in request["images"]
        }
        self.store.dirty = True
        self.store.flush()
        return {"image_ids": identifiers}


def is_read(scope: dict[str, Any], body: bytes) -> bool:
    """Whether a request cannot change anything, judged by its action or, without one, by GET."""
    headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    if not action and body.startswith(b"Action="):
        action = parse_qs(body[:200].decode(errors="replace"))["Action"][0]
    return bool(READ_ACTION.match(action)) if action else scope["method"] in ("GET", "HEAD")


async def _read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _answer(send: Send, status: int, document: dict[str, Any]) -> None:
    body = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def run(port: int, state_file: Path, account: str) -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT.

    Raises OSError when the port is taken and ValueError when the state cannot be read: before
    serving, because the server swallows what fails inside the application's own start.
    """
    listener = socket.create_server(("127.0.0.1", port))
    store = Store(state_file)
    store.restore()
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.2
    config.startup_timeout = 30
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(Application(store, account, stop), config, shutdown_trigger=stop.wait)
