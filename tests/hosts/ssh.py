"""Members' ssh as they use it: keys of their own, the folder that the playbooks write, an address for each visit."""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.hosts import LAB
from tests.hosts.platform import BASTION, ENVIRONMENT, instance, play

CORPORATE = ["ip", "netns", "exec", LAB.prefix]  # where the company's computers are
FORWARD_SECONDS = 15
_VISITORS = itertools.count(101)


def make_key(file: Path) -> str:
    """Make a key pair without a password; return the public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", file.name, "-f", file], check=True)
    return file.with_suffix(".pub").read_text().strip()


@dataclass(frozen=True)
class Person:
    """Somebody with a key and the folder that the playbooks wrote."""

    login: str
    folder: Path

    @property
    def key(self) -> Path:
        return self.folder / "id"

    def ssh(self, *words: str, config: str = "config", timeout: float = 40) -> subprocess.CompletedProcess[str]:
        """Run ssh with the folder's configuration; whatever it asks is a no."""
        return subprocess.run(
            [*self.command(config), *words],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def command(self, config: str = "config") -> list[str]:
        """ssh and its options; to the bastion it comes from an address of its own."""
        proxy = visitor(instance(BASTION)["PrivateIpAddress"])
        text = (self.folder / config).read_text()
        mine = self.folder / f"visit-{proxy.split()[-3]}"
        mine.write_text(f"Host {BASTION}\n    ProxyCommand {proxy}\n\n{text}")
        return ["ssh", "-F", str(mine), "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-v"]

    def adopt(self) -> None:
        """Where a person would put the folder at ~/.ssh/<environment>, the tests leave it where it is."""
        config = self.folder / "config"
        config.write_text(
            config.read_text().replace(f"~/.ssh/{ENVIRONMENT}", str(self.folder))
            + f"\nHost *\n    IdentityFile {self.key}\n    IdentitiesOnly yes\n    IdentityAgent none\n"
        )

    @contextlib.contextmanager
    def tunnel(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """An ssh that stays, for instance with -L."""
        process = subprocess.Popen(
            [*self.command(), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def write_members(inventory: Path, keys: dict[str, str], **projects: list[str]) -> None:
    """Give members of an edited inventory the keys of the test, and projects other members."""
    file = inventory / "group_vars/all/projects.yml"
    data: dict[str, Any] = yaml.safe_load(file.read_text())
    for member in data["members"]:
        if member["login"] in keys:
            member["ssh_keys"] = [keys[member["login"]]]
    for project in data["projects"]:
        project["members"] = projects.get(project["name"], project["members"])
    file.write_text(yaml.safe_dump(data))


def converge(inventory: Path) -> dict[str, Any]:
    """Bring bastion and machines to what the data says of access."""
    done = play("playbooks/bastions.yml", "-i", inventory, "--tags", "access")
    for host, result in play("playbooks/workstations.yml", "-i", inventory, "--tags", "access")["stats"].items():
        done["stats"][host] = result
    return done


def hand_out(inventory: Path, folder: Path, logins: list[str]) -> None:
    """Configuration and certificate for each, as ops would make them."""
    place = f"platform_ssh_folder={folder}"
    play("playbooks/ssh_config.yml", "-i", inventory, "-e", place)
    for login in logins:
        play("playbooks/certificate.yml", "-i", inventory, "-e", place, "-e", f"certificate_member={login}")
        Person(login, folder / login).adopt()


def visitor(host: str) -> str:
    """A ProxyCommand to a host from an address of the corporate network that nobody used before.

    The bastion makes whoever failed wait, by address: one attempt must not stand in the way of the next.
    """
    address = f"198.51.100.{next(_VISITORS)}"
    route = [*CORPORATE, "ip", "route", "replace", "local", f"{address}/32", "dev", "corp0"]
    subprocess.run(route, check=True)
    return " ".join([*CORPORATE, sys.executable, str(Path(__file__).with_name("relay.py")), address, host, "22"])


def connects(port: int, seconds: float = FORWARD_SECONDS) -> bool:
    """Whether something says a word of ssh on a loopback port."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as one:
            one.settimeout(3)
            if one.recv(4) == b"SSH-":
                return True
        time.sleep(0.3)
    return False
