"""The hub of the benchmarks: what tests/bench/hub.yml is told, and members who use it from inside the host."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from pathlib import Path
from typing import Any

from tests.bench.fresh import Host, playbook

DATA_PACKAGES = ["numpy", "pandas", "scikit-learn"]
CERTIFICATE = "/etc/jupyterhub/tls/certificate.pem"
PYTHON = "/opt/atelier/conda/envs/hub/current/bin/python"
ENVIRONMENTS = [
    {
        "name": "hub",
        "packages": [
            "python=3.12", "jupyterhub=6", "jupyterhub-systemdspawner", "jupyterhub-idle-culler",
            "configurable-http-proxy=5", "oauthenticator", "jupyterhub-ldapauthenticator",
        ],
    },
    {
        "name": "jupyter",
        "packages": ["python=3.12", "jupyterhub-singleuser=6", "jupyterlab=4", "jupyter-resource-usage", "nbgitpuller"],
    },
    {"name": "bench-base", "packages": ["python=3.12", "ipykernel", *DATA_PACKAGES]},
]  # fmt: skip


class Hub:
    """A hub to be converged on a host, and its members."""

    def __init__(self, environment: dict[str, str], host: Host, folder: Path, members: int = 1) -> None:
        self.environment, self.host = environment, host
        self.password = secrets.token_urlsafe(16)
        self.members = [f"m{number:02}" for number in range(1, members + 1)]
        words = ["openssl", "passwd", "-6", "-stdin"]
        hashed = subprocess.run(words, input=self.password, capture_output=True, text=True, check=True).stdout.strip()
        accounts = [{"login": m, "name": m.upper(), "uid": 430001 + number} for number, m in enumerate(self.members)]
        told = {
            "bench_host": host.name,
            "bench_folder": str(folder),
            "bench_environments": ENVIRONMENTS,
            "bench_members": accounts,
            "bench_password_hashes": dict.fromkeys(self.members, hashed),
        }
        self.told = folder / "told.json"
        with os.fdopen(os.open(self.told, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as out:
            json.dump(told, out)

    def lock(self) -> None:
        """Solve the environments, as `make lock` does beforehand."""
        playbook(self.environment, "tests/bench/hub.yml", "--tags", "lock", "-e", f"@{self.told}")

    def converge(self) -> None:
        """Converge the host."""
        playbook(self.environment, "tests/bench/hub.yml", "--skip-tags", "lock", "-e", f"@{self.told}")

    def visit(self, program: str, **wanted: Any) -> Any:
        """Run a program of this folder as a member, with the hub's Python; see Host.visit."""
        settings = {"certificate": CERTIFICATE, "url": "https://localhost", "password": self.password}
        return self.host.visit(PYTHON, program, **settings, **wanted)
