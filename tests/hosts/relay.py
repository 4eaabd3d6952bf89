"""What ssh runs as its ProxyCommand: a connection from one address of the corporate network. SOURCE HOST PORT."""

from __future__ import annotations

import os
import select
import socket
import sys

if __name__ == "__main__":
    source, host, port = sys.argv[1:]
    with socket.create_connection((host, int(port)), 10, (source, 0)) as there:
        there.settimeout(None)
        while True:
            ready, _, _ = select.select([0, there], [], [])
            data = os.read(0, 65536) if 0 in ready else None
            if data == b"":
                there.shutdown(socket.SHUT_WR)
                break
            if data:
                there.sendall(data)
            if there in ready:
                try:
                    answer = there.recv(65536)
                except ConnectionResetError:  # how sshd ends what it does not want to hear
                    break
                if not answer:
                    break
                os.write(1, answer)
