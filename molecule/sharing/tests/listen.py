"""listen.py NAME PORT OTHER: write what can be read on a kernel's ports to NAME.heard, until a file `end` is there.

PORT is the one on which a kernel publishes what it does (iopub). OTHER is either the file of the connection, with whose
key it listens as the server does; or the port for requests (shell), on which it asks the kernel who it is, as anybody
could. NAME.ready says that it listens. Needs pyzmq.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import zmq

name, port, other = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
context = zmq.Context()
poller = zmq.Poller()
published = context.socket(zmq.SUB)
if other.startswith("/"):
    if key := json.loads(Path(other).read_text(encoding="utf-8")).get("curve_publickey"):
        published.curve_publickey, published.curve_secretkey = zmq.curve_keypair()
        published.curve_serverkey = key.encode()
else:
    asked = context.socket(zmq.DEALER)
    asked.connect(f"tcp://127.0.0.1:{other}")
    head = json.dumps({"msg_id": "1", "msg_type": "kernel_info_request", "session": "1", "version": "5.3"})
    asked.send_multipart([b"<IDS|MSG>", b"", head.encode(), b"{}", b"{}", b"{}"])
    poller.register(asked, zmq.POLLIN)
published.subscribe(b"")
published.connect(f"tcp://127.0.0.1:{port}")
poller.register(published, zmq.POLLIN)
heard: list[str] = []
end = time.monotonic() + 300
while not name.with_name("end").exists() and time.monotonic() < end:
    heard += [b" ".join(socket.recv_multipart()).decode(errors="replace") for socket, _ in poller.poll(500)]
    name.with_suffix(".ready").touch()  # half a second after connecting: a subscription needs a moment to arrive
name.with_suffix(".heard").write_text(json.dumps(heard), encoding="utf-8")
context.destroy(linger=0)
