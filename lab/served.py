"""HTTP on a socket that listens already, in a thread of its own: how the lab answers from inside the router."""

from __future__ import annotations

import http.server
import socket
import threading


class Served:
    """A server that answers with a handler until it is closed."""

    def __init__(self, listening: socket.socket, handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        self._server = http.server.ThreadingHTTPServer(listening.getsockname(), handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listening
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 1}, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
