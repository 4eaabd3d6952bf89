"""datalab-health: log in to this machine's hub, start a server, compute in every project's kernel, stop the server.

  datalab-health            say each step, end with 0 when all is well
  datalab-health --json     the same as one JSON object: healthy, reason, steps (name, seconds, detail)
  datalab-health --prepare  make the account of the check; the hub's unit does so before it starts

The result is also kept in /var/lib/datalab-health/last.json, for whoever watches this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from datalab_visit import Visit

ACCOUNT = "datalab-health"
HOME = Path("/var/lib/datalab-health")
SECRET = Path("/etc/jupyterhub/secrets/health.env")
SETTINGS = Path("/etc/jupyterhub/settings.json")
CERTIFICATE = Path("/etc/jupyterhub/tls/certificate.pem")
SECONDS = 120


class UnhealthyError(Exception):
    """A step that failed; the message says what and where to look."""


def secret() -> str:
    """The account's password, and its service's token."""
    return SECRET.read_text(encoding="utf-8").strip().partition("=")[2]


def prepare() -> None:
    """Make the account; where logins are PAM's, give it its password unless it has one."""
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        argv = ["useradd", "--system", "--home-dir", str(HOME), "--create-home", "--shell", "/usr/sbin/nologin"]
        subprocess.run([*argv, "--comment", "Health check of the notebooks", ACCOUNT], check=True)
        HOME.chmod(0o700)
    shadow = Path("/etc/shadow").read_text(encoding="utf-8")
    hashes = {line.split(":")[0]: line.split(":")[1] for line in shadow.splitlines() if ":" in line}
    if password_login() and hashes[ACCOUNT].startswith(("!", "*")):
        subprocess.run(["chpasswd"], input=f"{ACCOUNT}:{secret()}\n", text=True, check=True)


def password_login() -> bool:
    """Whether this hub asks PAM, so that the check can log in by the form as members do."""
    return json.loads(SETTINGS.read_text(encoding="utf-8")).get("authentication", {}).get("mode", "pam") == "pam"


class Check:
    """One run of the check."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self.settings = json.loads(SETTINGS.read_text(encoding="utf-8"))

    @contextmanager
    def step(self, name: str, look: str) -> Iterator[dict[str, Any]]:
        """Time a step; whatever goes wrong in it is told with where to look."""
        begun = time.monotonic()
        done: dict[str, Any] = {"name": name, "detail": ""}
        try:
            yield done
        except Exception as error:
            raise UnhealthyError(f"{name}: {error or type(error).__name__}; look at: {look}") from error
        finally:
            self.steps.append({**done, "seconds": round(time.monotonic() - begun, 2)})

    def certificate(self) -> str:
        """The first name in the certificate; ValueError when it has ended."""
        certificate = x509.load_pem_x509_certificate(CERTIFICATE.read_bytes())
        left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        if left.total_seconds() <= 0:
            raise ValueError(f"the certificate ended at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.DNSName)[0]

    async def run(self) -> None:
        """Do every step; UnhealthyError at the first that fails."""
        with self.step("certificate", f"openssl x509 -in {CERTIFICATE} -noout -dates") as step:
            name = step["detail"] = self.certificate()
        url = f"https://{name}:{self.settings['https_port']}".removesuffix(":443")
        visit = Visit(url, str(CERTIFICATE), ACCOUNT, token="" if password_login() else secret())
        with self.step("login", "journalctl -u jupyterhub -u jupyterhub-proxy -n 50"):
            if not await self.log_in(visit):
                raise ValueError("refused")
        with self.step("server", f"journalctl -u jupyter-{ACCOUNT}-singleuser -n 50"):
            await visit.start(SECONDS)
        try:
            await self.compute(visit)
        finally:
            stopped = await visit.stop(SECONDS)
        if not stopped:
            raise UnhealthyError("stop: the server goes on running; look at: journalctl -u jupyterhub -n 50")

    async def log_in(self, visit: Visit) -> bool:
        """By the form as a member; by token where another system knows the passwords."""
        if not visit.token:
            return await visit.log_in(secret())
        page = await visit.send("/hub/login")
        known = await visit.send(f"/hub/api/users/{ACCOUNT}")
        return page.code == 200 and known.code == 200

    async def compute(self, visit: Visit) -> None:
        """One multiplication in every kernel of every project."""
        answer = await visit.send(f"/user/{ACCOUNT}/api/kernelspecs")
        kernels = sorted(json.loads(answer.body)["kernelspecs"])
        if not kernels:
            raise UnhealthyError("kernels: there is none; look at: ls -R /opt/atelier/jupyter/projects")
        for kernel in kernels:
            look = f"journalctl -u jupyter-{ACCOUNT}-singleuser -n 50; datalab: docs/runbooks/conda.md"
            with self.step(f"kernel {kernel}", look):
                output, died = await visit.run(await visit.kernel(kernel), "print(6 * 7)", SECONDS)
                if died or output.strip() != "42":
                    raise ValueError("the kernel died" if died else f"6 * 7 gave {output.strip()[:200]!r}")


def result(check: Check, reason: str) -> dict[str, Any]:
    """What is told and kept."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"healthy": not reason, "reason": reason, "time": now, "steps": check.steps}


def told(found: dict[str, Any]) -> str:
    """The result for people; its last line alone says enough."""
    lines = [f"{step['seconds']:6.2f} s  {step['name']}  {step['detail']}".rstrip() for step in found["steps"]]
    seconds = sum(step["seconds"] for step in found["steps"])
    names = ", ".join(step["name"] for step in found["steps"])
    return "\n".join([*lines, found["reason"] or f"healthy: {names} ({seconds:.1f} s)"])


def keep(found: dict[str, Any]) -> None:
    """Write the result for whoever watches; readers see the old or the new one."""
    fresh = HOME / "last.json.new"
    fresh.write_text(json.dumps(found) + "\n", encoding="utf-8")
    fresh.replace(HOME / "last.json")


def main() -> int:
    """Entry point; the exit status is 0 when the hub is healthy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--prepare", action="store_true")
    options = parser.parse_args()
    os.umask(0o077)
    if options.prepare:
        prepare()
        return 0
    check, reason = Check(), ""
    try:
        asyncio.run(check.run())
    except UnhealthyError as error:
        reason = str(error)
    found = result(check, reason)
    keep(found)
    sys.stdout.write(f"{json.dumps(found) if options.json else told(found)}\n")
    return 0 if not reason else 1


if __name__ == "__main__":
    sys.exit(main())
