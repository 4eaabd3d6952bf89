"""Interface endpoints that answer: TLS on their addresses in the router, and behind it the emulator.

Names come from the hosts' /etc/hosts, permission from the router's firewall, trust from the lab's CA.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lab import landing_zone, network, state
from lab.cloud import Endpoint
from lab.errors import LabError
from lab.forwarders import Forwarders, pump
from lab.identity import Lab

Say = Callable[[str], None]


class Endpoints:
    """The endpoints of one lab that answer now."""

    def __init__(self, lab: Lab, inside: Forwarders, say: Say) -> None:
        self._lab, self._inside, self._say = lab, inside, say
        self._network = network.Network(lab)
        self._open: dict[Endpoint, asyncio.Server] = {}
        self.port = 0  # where the emulator is now

    async def set(self, wanted: Iterable[Endpoint], port: int) -> None:
        """Let exactly these answer."""
        self.port, wanted = port, set(wanted)
        for endpoint in set(self._open) - wanted:
            self._open.pop(endpoint).close()
            if endpoint.address not in {one.address for one in wanted}:
                await asyncio.to_thread(self._network.drop_address, endpoint.address)
        for endpoint in sorted(wanted - set(self._open), key=lambda one: one.id):
            await self._listen(endpoint)

    def close(self) -> None:
        """Let none answer; `set` opens them again."""
        for server in self._open.values():
            server.close()
        self._open.clear()

    async def _listen(self, endpoint: Endpoint) -> None:
        context = await asyncio.to_thread(self._context, endpoint)
        await asyncio.to_thread(self._network.ensure_address, endpoint.address)
        listening = await self._inside.listening((endpoint.address, 443))
        self._open[endpoint] = await asyncio.start_server(self._serve, sock=listening, ssl=context)
        self._say(f"endpoint {endpoint.names[-1]} answers on {endpoint.address}")

    def _context(self, endpoint: Endpoint) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        signed = landing_zone.server_certificate(self._lab, endpoint.names[-1], [*endpoint.names], key.public_key())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self._lab.state / "endpoints" / f"{endpoint.id}.pem"
        state.write_text(path, private.decode() + signed)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other_reader, other_writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self.port), 10)
        except (OSError, TimeoutError, LabError):
            writer.transport.abort()
            return
        await asyncio.gather(pump(reader, other_writer), pump(other_reader, writer))
