"""A certificate authority that speaks ACME: pebble, Let's Encrypt's own server for tests, and its DNS server.

Data: `hosts: {name: address}`, what the authority's DNS knows; `days`: validity of what it signs (default 90).
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from lab.company.base import ADDRESS, INSIDE, Service

PORT, MANAGEMENT_PORT, DNS_PORT, NAMES_PORT = 14000, 15000, 15053, 15055


class Acme(Service):
    """pebble with pebble-challtestsrv, which answers its DNS questions."""

    name = "acme"
    packages = ["curl", "dash", "pebble"]  # noqa: RUF012
    ports = [PORT, MANAGEMENT_PORT]  # noqa: RUF012

    def prepare(self) -> None:
        """Write pebble's configuration."""
        certificate, key = self.certificate()
        pebble = {
            "listenAddress": f"{ADDRESS}:{PORT}",
            "managementListenAddress": f"{ADDRESS}:{MANAGEMENT_PORT}",
            "certificate": certificate,
            "privateKey": key,
            "httpPort": 80,
            "tlsPort": 443,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            "certificateValidityPeriod": int(self.given.get("days", 90)) * 86400,
        }
        self.write("pebble.json", json.dumps({"pebble": pebble}))

    def command(self) -> list[str]:
        """Return the DNS server, told its names, and pebble; they end together."""
        names = "pebble-challtestsrv -defaultIPv4 '' -defaultIPv6 '' -http01 '' -https01 '' -tlsalpn01 ''"
        names += f" -dns01 127.0.0.1:{DNS_PORT} -management 127.0.0.1:{NAMES_PORT}"
        steps = ["trap 'trap - EXIT TERM; kill 0' EXIT TERM", f"{names} &"]
        for host, address in self.given.get("hosts", {}).items():
            record = shlex.quote(json.dumps({"host": f"{host}.", "addresses": [address]}))
            tell = f"curl -sf --retry 50 --retry-connrefused --retry-delay 1 -d {record}"
            steps.append(f"{tell} http://127.0.0.1:{NAMES_PORT}/add-a")
        # Of its own accord pebble turns away one question in twenty, to try a client's patience.
        settings = "PEBBLE_WFE_NONCEREJECT=0 PEBBLE_VA_NOSLEEP=1"
        steps.append(f"{settings} pebble -config {INSIDE}/pebble.json -dnsserver 127.0.0.1:{DNS_PORT} &")
        steps.append("wait")
        return ["/bin/sh", "-ec", "\n".join(steps)]

    def facts(self) -> dict[str, Any]:
        """Return the directory's address, and where the roots are that sign."""
        return {
            "directory": f"https://{ADDRESS}:{PORT}/dir",
            "roots": f"https://{ADDRESS}:{MANAGEMENT_PORT}/roots/0",
        }
