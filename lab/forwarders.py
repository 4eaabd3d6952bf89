"""The ways into the lab: TCP forwarders from loopback to the hosts, and the package channel inside.

They listen in the main namespace and connect from the corporate network in the router's, as a member's computer would.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import socket
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import network
from lab.cloud import Instance
from lab.identity import PORTS, Lab
from lab.served import Served

Say = Callable[[str], None]
CHUNK = 1 << 16


@dataclass(frozen=True, order=True)
class Forward:
    """One way in: `listen` in the main namespace to `target` in the lab."""

    listen: tuple[str, int]
    target: tuple[str, int]


def browser_ports(
    lab: Lab, machines: Iterable[str], known: Mapping[str, int], free: Callable[[int], bool]
) -> dict[str, int]:
    """Return the loopback port of each machine: the known one, else one that derives from its name and is free."""
    ports = dict(known)
    for machine in sorted(set(machines) - set(ports)):
        first = lab.preferred_port(machine)
        candidates = (PORTS[(first - PORTS[0] + step) % len(PORTS)] for step in range(len(PORTS)))
        ports[machine] = next(p for p in candidates if p not in ports.values() and free(p))
    return ports


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Say whether nobody listens on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def wanted(instances: Iterable[Instance], ports: Mapping[str, int]) -> set[Forward]:
    """Return the ways in for the running instances."""
    result = set()
    for instance in instances:
        if instance.public_address.startswith("127."):
            result.add(Forward((instance.public_address, 22), (instance.address, 22)))
        if instance.role == "workstation" and instance.name in ports:
            result.add(Forward(("127.0.0.1", ports[instance.name]), (instance.address, 443)))
    return result


class Forwarders:
    """The open ways into one lab."""

    def __init__(self, lab: Lab, say: Say) -> None:
        self._lab, self._say = lab, say
        self._open: dict[Forward, asyncio.Server] = {}
        self.failed: dict[Forward, str] = {}
        # One thread makes the sockets: it enters the router's namespace, the event loop's thread never does.
        self._inside = ThreadPoolExecutor(1, "router")

    @property
    def opened(self) -> list[Forward]:
        """Return the ways that are open now."""
        return sorted(self._open)

    async def set(self, forwards: set[Forward]) -> None:
        """Open what is missing and close what is not wanted."""
        for forward in set(self._open) - forwards:
            self._open.pop(forward).close()
        self.failed = {f: why for f, why in self.failed.items() if f in forwards}
        for forward in forwards - set(self._open):
            await self._listen(forward)

    async def _listen(self, forward: Forward) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(forward, reader, writer)

        try:
            self._open[forward] = await asyncio.start_server(serve, *forward.listen)
        except OSError as error:
            if forward not in self.failed:
                self._say(f"cannot listen on {forward.listen[0]}:{forward.listen[1]}: {error.strerror}")
            self.failed[forward] = str(error.strerror)
            return
        self.failed.pop(forward, None)

    async def _serve(self, forward: Forward, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other_reader, other_writer = await asyncio.wait_for(self._connect(forward.target), 10)
        except (OSError, TimeoutError, network.LabError):
            writer.transport.abort()
            return
        await asyncio.gather(pump(reader, other_writer), pump(other_reader, writer))

    async def _connect(self, target: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        origin = (network.CLIENT_ADDRESS, 0)
        made = await loop.run_in_executor(self._inside, network.socket_in, self._lab.namespace(), origin)
        made.setblocking(False)
        try:
            await loop.sock_connect(made, target)
        except BaseException:
            made.close()
            raise
        return await asyncio.open_connection(sock=made)

    async def listening(self, where: tuple[str, int]) -> socket.socket:
        """Return a socket that listens inside the router."""
        loop = asyncio.get_running_loop()
        made = loop.run_in_executor(self._inside, lambda: network.socket_in(self._lab.namespace(), where, listen=True))
        return await made

    def channel(self, folder: Callable[[], Path | None]) -> ChannelServer:
        """Serve the package channel inside the router; `folder` is asked at each request."""
        where = (network.CHANNEL_ADDRESS, 8080)
        listening = self._inside.submit(network.socket_in, self._lab.namespace(), where, listen=True).result()
        return ChannelServer(listening, folder)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes one way until their end, and the end too."""
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            return
    except OSError:
        pass
    with contextlib.suppress(OSError):
        writer.close()


class ChannelServer(Served):
    """Static files over HTTP on a socket that listens already."""

    def __init__(self, listening: socket.socket, folder: Callable[[], Path | None]) -> None:
        class Handler(http.server.SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def __init__(self, *args: Any, **options: Any) -> None:
                # An empty folder of the router's own when there is no channel: everything is "not found".
                super().__init__(*args, directory=str(folder() or "/var/empty"), **options)

            def log_message(self, *args: Any) -> None:
                """Say nothing per request."""

        super().__init__(listening, Handler)
