"""Members at work on a hub. A scenario says who they are; the environment says otherwise, for a hub somewhere else.

ATELIER_HUB_MEMBERS    members of the project, LOGIN,LOGIN
ATELIER_HUB_KERNEL     a kernel of the project
ATELIER_HUB_LIMIT      memory of a server in MiB
ATELIER_HUB_PASSWORDS  JSON file, login to password; without it the tests give the members random passwords
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.hosts.platform import ROOT

# Shipped together, so that the driver works on whatever release the host has.
DRIVER = [Path(__file__).with_name("notebook.py"), ROOT / "roles/jupyterhub/files/datalab_visit.py"]
CERTIFICATE = "/etc/jupyterhub/tls/certificate.pem"


@dataclass
class Hub:
    """The hub of a host, used by its members."""

    host: Host
    members: tuple[str, ...]
    kernel: str
    limit: int
    passwords: dict[str, str]
    url: str
    python: str

    def visit(
        self, login: str, code: str | None = None, kernel: str = "", password: str = "", **more: Any
    ) -> dict[str, Any]:
        """Log in as somebody and, if there is code, run it in a kernel; see notebook.py for the answer."""
        wanted = {"url": self.url, "certificate": CERTIFICATE, "login": login, "seconds": 500, **more}
        wanted["password"] = password or self.passwords[login]
        if code is not None:
            wanted |= {"code": code, "kernel": kernel or self.kernel}
        text = base64.b64encode(json.dumps(wanted).encode()).decode()
        put = f"umask 077; d=$(mktemp -d); echo {text} | base64 -d > $d/in;"
        for file in DRIVER:
            put += f"echo {base64.b64encode(file.read_bytes()).decode()} | base64 -d > $d/{file.name};"
        with self.host.sudo():
            done = self.host.run(f"{put} {self.python} $d/notebook.py < $d/in; rc=$?; rm -rf $d; exit $rc")
        assert done.rc == 0, done.stderr
        return json.loads(done.stdout)

    def wait(self) -> None:
        """Wait until the hub answers through its proxy."""
        name = self.url.removeprefix("https://")
        ask = f"curl -sfk --max-time 5 -o /dev/null --resolve {name}:443:127.0.0.1 {self.url}/hub/api/health"
        end = time.monotonic() + 180
        while time.monotonic() < end:
            if self.host.run(ask).rc == 0:
                return
            time.sleep(1)
        pytest.fail(f"the hub does not answer at {self.url}")


def hub(members: str, kernel: str, limit: int = 400) -> Any:
    """Return the fixture `hub`: the hub of a host, used by these members of its project."""

    @pytest.fixture(scope="module", name="hub")
    def found(host: Host) -> Hub:
        return _find(
            host,
            tuple(os.environ.get("ATELIER_HUB_MEMBERS", members).split(",")),
            os.environ.get("ATELIER_HUB_KERNEL", kernel),
            int(os.environ.get("ATELIER_HUB_LIMIT", limit)),
        )

    return found


def _find(host: Host, members: tuple[str, ...], kernel: str, limit: int) -> Hub:
    given = os.environ.get("ATELIER_HUB_PASSWORDS")
    with host.sudo():
        names = host.check_output(f"openssl x509 -in {CERTIFICATE} -noout -ext subjectAltName")
        unit = host.check_output("systemctl show --property ExecStart --value jupyterhub.service")
        if given:
            passwords = json.loads(Path(given).read_text(encoding="utf-8"))
        else:
            passwords = {login: secrets.token_urlsafe(16) for login in members}
            lines = "\n".join(f"{login}:{password}" for login, password in passwords.items())
            host.check_output(f"printf '%s\\n' '{lines}' | chpasswd")
    name = next(part.strip()[4:] for part in names.replace("\n", ",").split(",") if part.strip().startswith("DNS:"))
    address = "localhost" if "DNS:localhost" in names else name
    python = unit.split("path=")[1].split("/bin/jupyterhub")[0] + "/bin/python"
    found = Hub(host, members, kernel, limit, passwords, f"https://{address}", python)
    found.wait()
    return found
