"""Which lab this is: every name, address and path derives from the checkout and the lab's name."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

CHECKOUT = Path(__file__).resolve().parents[1]
PORTS = range(20000, 30000)  # under Linux's ephemeral ports (32768 on): a free one stays free


def cache_dir() -> Path:
    """Return (and make) the folder that holds what is cached by content and shared by every checkout."""
    path = Path(os.environ.get("ATELIER_CACHE") or Path.home() / ".cache" / "atelier-datalab")
    path.mkdir(parents=True, exist_ok=True)
    return path


@dataclass(frozen=True)
class Lab:
    """One lab: a name in a checkout."""

    name: str
    checkout: Path = CHECKOUT

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", self.name):
            raise LabError(f"lab name '{self.name}': use lower-case letters, digits and dashes, 31 at most")

    @property
    def id(self) -> str:
        """Eight hexadecimal digits that no other checkout or name shares."""
        return hashlib.sha256(f"{self.checkout}\n{self.name}".encode()).hexdigest()[:8]

    @property
    def prefix(self) -> str:
        """What the names of containers and network namespaces begin with."""
        return f"atelier-{self.id}"

    @property
    def state(self) -> Path:
        """Folder of everything this lab keeps."""
        return self.checkout / ".lab" / self.name

    @property
    def public_network(self) -> str:
        """Loopback network of this lab's public (elastic) addresses: 127.<64..191>.<0..255>.0/24."""
        number = bytes.fromhex(self.id)
        return f"127.{64 + number[0] % 128}.{number[1]}.0/24"

    def preferred_port(self, purpose: str) -> int:
        """Return the loopback port to try first for `purpose`: the same one each time, spread over PORTS."""
        number = int.from_bytes(hashlib.sha256(f"{self.id} {purpose}".encode()).digest()[:4], "big")
        return PORTS[number % len(PORTS)]

    def namespace(self, instance: str = "") -> str:
        """Return the network namespace (and container name) of an instance, or the router's."""
        return f"{self.prefix}-{instance}" if instance else self.prefix
