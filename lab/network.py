"""The lab's own networks: one router namespace, a bridge per subnet, a namespace per host.

Nothing is added to the machine's main namespace, and the router has no way out: what runs in the lab reaches the lab
only. Source addresses are kept end to end (routing, never NAT).
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import socket
import threading
from pathlib import Path

from lab.errors import LabError
from lab.identity import Lab
from lab.shell import run, succeeds

NETNS = Path("/run/netns")
CORPORATE = "198.51.100.0/24"
CORPORATE_ROUTER = "198.51.100.1"
CHANNEL_ADDRESS = "198.51.100.10"  # where the package channel is served
COMPANY_ADDRESS = "198.51.100.11"  # where the company's services are, see lab/company
COMPANY_NAME = "company.example"
METADATA_ADDRESS = "169.254.169.254"  # where instances ask who they are
CLIENT_ADDRESS = "198.51.100.20"  # where the forwarders' connections come from: a member's own computer


def short(identifier: str, letter: str) -> str:
    """Return an interface name (15 characters at most) for an AWS id."""
    return letter + hashlib.sha256(identifier.encode()).hexdigest()[:10]


def gateway(cidr: str) -> str:
    """Return the first address of a subnet, where AWS puts its router."""
    return str(next(ipaddress.ip_network(cidr).hosts()))


class Network:
    """The namespaces of one lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.router = lab.namespace()
        self._lock = threading.Lock()  # hosts that boot together share bridges

    def ensure_router(self) -> None:
        """Make the router and the corporate network behind it."""
        if not _alive(self.router):
            _add_namespace(self.router)
        if not self._has(self.router, "corp0"):
            self._ip("link", "add", "corp0", "type", "bridge")
            for address in (CORPORATE_ROUTER, CHANNEL_ADDRESS, CLIENT_ADDRESS):
                self._ip("addr", "add", f"{address}/24", "dev", "corp0")
        self._ip("link", "set", "corp0", "up")
        self.ensure_address(METADATA_ADDRESS)
        self._inside("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0")
        # Where the kernel has it, a frame would be judged twice; where it has not, not at all. All go by the router.
        self._inside("sysctl", "-eqw", "net.bridge.bridge-nf-call-iptables=0")

    def ensure_address(self, address: str) -> None:
        """Let the router answer for an address itself, to hosts of every subnet."""
        self._ip("addr", "replace", f"{address}/32", "dev", "lo")

    def drop_address(self, address: str) -> None:
        """Let it go again."""
        succeeds("ip", "-n", self.router, "addr", "del", f"{address}/32", "dev", "lo")

    def ensure_subnet(self, subnet: str, cidr: str) -> str:
        """Make the bridge of a subnet and return its name."""
        bridge = short(subnet, "b")
        with self._lock:
            self._add_bridge(bridge, cidr)
        return bridge

    def _add_bridge(self, bridge: str, cidr: str) -> None:
        if not self._has(self.router, bridge):
            # A subnet that is gone leaves its bridge; one made anew with the same addresses would share its route.
            for link in json.loads(run("ip", "-n", self.router, "-j", "addr", "show", "to", gateway(cidr)) or "[]"):
                self._ip("link", "del", link["ifname"])
            self._ip("link", "add", bridge, "type", "bridge")
            self._ip("addr", "add", f"{gateway(cidr)}/{cidr.split('/')[1]}", "dev", bridge)
            # Hosts of one subnet meet in the router too, which answers for all of them: its rules are for everybody.
            settings = [f"net.ipv4.conf.{bridge}.{name}" for name in ("proxy_arp_pvlan=1", "send_redirects=0")]
            self._inside("sysctl", "-qw", *settings)
        self._ip("link", "set", bridge, "up")

    def plug(self, instance: str, address: str, subnet: str, cidr: str) -> Path:
        """Give an instance its namespace and address; returns the namespace's path. Does nothing when plugged."""
        bridge = self.ensure_subnet(subnet, cidr)
        namespace, port = self.lab.namespace(instance), short(instance, "v")
        if not _alive(namespace):
            _add_namespace(namespace)
        if not self._has(self.router, port):
            # A router that was removed lives on while a process is in it, and with it the other end of the old cable.
            if self._has(namespace, "eth0"):
                run("ip", "-n", namespace, "link", "del", "eth0")
            self._ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            self._ip("link", "set", port, "master", bridge, "up")
            run("bridge", "-n", self.router, "link", "set", "dev", port, "isolated", "on")
        run(
            "ip", "-n", namespace, "-batch", "-",
            data=f"addr replace {address}/{cidr.split('/')[1]} dev eth0\nlink set eth0 up\n"
            f"route replace default via {gateway(cidr)}\n",
        )  # fmt: skip
        return NETNS / namespace

    def enforce(self, ruleset: str) -> None:
        """Let pass between hosts, and between them and everybody else, what an nftables ruleset says."""
        self._inside("nft", "-f", "-", data=ruleset)

    def unplug(self, instance: str) -> None:
        """Remove an instance's namespace; its end of the cable in the router goes with it."""
        _remove_namespace(self.lab.namespace(instance))

    def plugged(self) -> set[str]:
        """Return the router's interfaces, or nothing when there is no router."""
        if not _alive(self.router):
            return set()
        return {link["ifname"] for link in json.loads(run("ip", "-n", self.router, "-j", "link") or "[]")}

    def is_plugged(self, instance: str, ports: set[str]) -> bool:
        """Say whether an instance's cable is among the router's `ports`."""
        return short(instance, "v") in ports

    def namespaces(self) -> list[str]:
        """Return this lab's namespaces, dead entries included."""
        if not NETNS.is_dir():
            return []
        mine = (entry.name for entry in NETNS.iterdir())
        return sorted(name for name in mine if name == self.router or name.startswith(self.router + "-"))

    def remove(self) -> None:
        """Remove every namespace of this lab, the router last."""
        for name in sorted(self.namespaces(), reverse=True):
            _remove_namespace(name)

    def _ip(self, *words: str) -> None:
        run("ip", "-n", self.router, *words)

    def _inside(self, *words: str, data: str | None = None) -> None:
        run("ip", "netns", "exec", self.router, *words, data=data)

    @staticmethod
    def _has(namespace: str, interface: str) -> bool:
        return succeeds("ip", "-n", namespace, "link", "show", "dev", interface)


def _alive(namespace: str) -> bool:
    """Say whether the entry is a namespace; a kill at the wrong moment leaves a plain file behind."""
    return (NETNS / namespace).exists() and succeeds("ip", "-n", namespace, "link", "show", "dev", "lo")


def _add_namespace(namespace: str) -> None:
    _remove_namespace(namespace)
    run("ip", "netns", "add", namespace)
    run("ip", "-n", namespace, "link", "set", "lo", "up")


def _remove_namespace(namespace: str) -> None:
    if (NETNS / namespace).exists() and not succeeds("ip", "netns", "del", namespace):
        (NETNS / namespace).unlink(missing_ok=True)


def enter(namespace: str) -> None:
    """Move the calling thread into a network namespace (sockets it makes from then on belong there)."""
    try:
        handle = os.open(NETNS / namespace, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise LabError(f"network namespace {namespace} is gone") from error
    try:
        os.setns(handle, os.CLONE_NEWNET)
    finally:
        os.close(handle)


def socket_in(namespace: str, bind: tuple[str, int], *, listen: bool = False) -> socket.socket:
    """Return a TCP socket of a namespace, bound there. Call it in a thread kept for this: the thread stays inside."""
    enter(namespace)
    result = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if listen:
            result.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        result.bind(bind)
        if listen:
            result.listen(1024)
    except OSError:
        result.close()
        raise
    return result
