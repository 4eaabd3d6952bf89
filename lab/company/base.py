"""The base of a company's services: a program of Debian's, run from a folder of its own, not installed on this machine.

A service sees the Debian packages it names (unpacked once into the cache, read-only), its own folder at /srv/company,
and the network of the lab. It runs as nobody. What it was told is kept with it: told the same again, it is left alone;
told something else, it starts anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lab import images, landing_zone, network, processes, state
from lab.errors import LabError
from lab.identity import Lab, cache_dir
from lab.shell import run

ADDRESS, NAME = network.COMPANY_ADDRESS, network.COMPANY_NAME
SUITE = "bookworm"
INSIDE = "/srv/company"  # where a service finds its folder
NOBODY = 65534
READY_SECONDS = 60


class Service:
    """One service. A subclass names its packages and ports, writes its files and gives its command."""

    name: ClassVar[str]
    packages: ClassVar[list[str]]
    ports: ClassVar[list[int]]

    def __init__(self, lab: Lab, given: dict[str, Any]) -> None:
        self.lab, self.given = lab, given
        self.folder = lab.state / "company" / self.name

    def prepare(self) -> None:
        """Write configuration and data into the folder, which is new and empty but for what `secret` kept."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """Return the command that serves until it is ended, as seen from inside."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """Return what a client needs: addresses, and the files that hold secrets."""
        raise NotImplementedError

    def program(self) -> Path | None:
        """Return a folder to show at /opt, for a program that Debian does not package."""
        return None

    def up(self) -> dict[str, Any]:
        """Start the service unless it runs as told; return its facts once it answers."""
        if not (network.NETNS / self.lab.namespace()).exists():
            raise LabError(f"lab '{self.lab.name}' is not up; type: lab/lab up --name {self.lab.name}")
        self.folder.mkdir(parents=True, exist_ok=True)
        told = hashlib.sha256(json.dumps(self.given, sort_keys=True).encode()).hexdigest()
        known = state.read(self.folder / "told.json", "")
        if processes.recorded(self.folder / "pid") is None or known != told:
            processes.end(self.folder / "pid")
            self._clear()
            run("ip", "-n", self.lab.namespace(), "addr", "replace", f"{ADDRESS}/24", "dev", "corp0")
            self.prepare()
            run("chown", "--recursive", "--no-dereference", f"{NOBODY}:{NOBODY}", str(self.folder))
            self._start()
            state.write(self.folder / "told.json", told)
        self._wait()
        facts = {
            "service": self.name,
            "name": NAME,
            "address": ADDRESS,
            "ca": str(landing_zone.ca_file(self.lab)),
            **self.facts(),
        }
        state.write(self.folder / "facts.json", facts)
        return facts

    def resume(self) -> None:
        """Start a service that ended by itself, with what it held; `up` would make it anew."""
        self._start()
        self._wait()

    def down(self) -> None:
        """End the service and forget what it held."""
        processes.end(self.folder / "pid")
        shutil.rmtree(self.folder, ignore_errors=True)

    def secret(self, name: str) -> str:
        """Return a generated secret of this service, the same one as long as the service is not taken down."""
        path = self.folder / f"{name}.secret"
        if not path.exists():
            state.write_text(path, os.urandom(24).hex())
        return path.read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> str:
        """Write a file of the service; return its path as the service sees it."""
        state.write_text(self.folder / name, text)
        return f"{INSIDE}/{name}"

    def certificate(self) -> tuple[str, str]:
        """Write a certificate of the lab's CA for NAME and ADDRESS, and its key; return both paths inside."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = landing_zone.server_certificate(
            self.lab, f"{self.name} of the lab's company", [NAME, ADDRESS], key.public_key()
        )
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        private = key.private_bytes(encoding, form, serialization.NoEncryption())
        self.write("ca.pem", landing_zone.authority(self.lab)[0])
        return self.write("certificate.pem", made), self.write("key.pem", private.decode())

    def inside(self, *words: str) -> list[str]:
        """Return the command that runs `words` as this service: in the router's network and among its own files."""
        root = debian(self.packages)
        binds = [(self.folder, f"{root}{INSIDE}"), ("/dev", f"{root}/dev"), ("/proc", f"{root}/proc")]
        if program := self.program():
            binds.append((program, f"{root}/opt"))
        # `ip netns exec` gives the command mounts of its own: nothing of these is seen elsewhere or left behind.
        steps = [f"mount --bind {shlex.quote(str(root))} {shlex.quote(str(root))}"]
        steps.append(f"mount -o remount,bind,ro {shlex.quote(str(root))}")
        steps += [f"mount --rbind {shlex.quote(str(a))} {shlex.quote(str(b))}" for a, b in binds]
        steps.append(f"exec chroot --userspec={NOBODY}:{NOBODY} {shlex.quote(str(root))} {shlex.join(words)}")
        return ["ip", "netns", "exec", self.lab.namespace(), "sh", "-ec", "\n".join(steps)]

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.suffix != ".secret":
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _start(self) -> None:
        run("ip", "netns", "exec", self.lab.namespace(), "sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=80")
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", processes.MARK: self.lab.id}
        with (self.folder / "log").open("ab") as log:
            started = subprocess.Popen(
                self.inside(*self.command()), cwd="/", env=environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        processes.record(self.folder / "pid", started.pid)

    def _wait(self) -> None:
        """Return once every port answers in the lab; raise LabError with the log's end when that does not come."""
        silent = [*self.ports]

        def look() -> None:
            end = time.monotonic() + READY_SECONDS
            while silent and time.monotonic() < end and processes.recorded(self.folder / "pid"):
                probe = network.socket_in(self.lab.namespace(), (ADDRESS, 0))
                try:
                    probe.settimeout(2)
                    probe.connect((ADDRESS, silent[0]))
                    silent.pop(0)
                except OSError:
                    time.sleep(0.1)
                finally:
                    probe.close()

        thread = threading.Thread(target=look)  # it enters the router's network and stays there
        thread.start()
        thread.join()
        if silent:
            log = (self.folder / "log").read_text(errors="replace")[-800:]
            raise LabError(f"{self.name} does not answer on {ADDRESS}, port {silent[0]}; its log ends:\n{log}")


def debian(packages: list[str]) -> Path:
    """Return a folder with these Debian packages and what they depend on, unpacked once per machine."""
    key = images.digest([SUITE, sorted(packages)])
    folder = cache_dir() / "company" / key
    with locked(f"{key}.lock"):
        if not folder.is_dir():
            scratch = folder.with_name(f"{key}.new")
            shutil.rmtree(scratch, ignore_errors=True)
            # Unpacked, not installed: no package's script runs, no daemon starts on this machine.
            run(
                "mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(packages)}",
                SUITE, str(scratch), images.machine_mirror(), timeout=600,
            )  # fmt: skip
            for place in (INSIDE, "/opt", "/proc", "/dev", "/tmp"):  # noqa: S108 - inside the folder
                (scratch / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
            scratch.chmod(0o755)
            (scratch / "etc/passwd").write_text(f"nobody:x:{NOBODY}:{NOBODY}::/:/bin/sh\n", encoding="utf-8")
            (scratch / "etc/group").write_text(f"nogroup:x:{NOBODY}:\n", encoding="utf-8")
            scratch.rename(folder)
    return folder


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock file of the cache; it ends with the process, however that ends."""
    folder = cache_dir() / "company"
    folder.mkdir(exist_ok=True)
    with (folder / name).open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
