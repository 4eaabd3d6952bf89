"""A folder over HTTP on loopback, from a process of its own, which takes nothing from the one that is measured."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder; yield its address, which ends with a slash."""
    words = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", folder]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout
        try:
            port = re.search(r"port (\d+)", server.stdout.readline())
            assert port, "http.server did not start"
            yield f"http://127.0.0.1:{port[1]}/"
        finally:
            server.terminate()
