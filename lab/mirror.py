"""The host mirror: a daemon that keeps the machine's containers as the emulator says the instances are."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lab import endpoints, firewall, forwarders, images, launcher, metadata, network, plan, processes, seeds, state
from lab.cloud import Cloud, Instance, Snapshot
from lab.errors import LabError
from lab.hosts import Container, Hosts
from lab.identity import Lab

POLL_SECONDS = 0.8
LOOK_SECONDS = 10.0  # podman is asked when something happened, and this often in any case
TOGETHER = 4  # hosts that boot at the same time
TROUBLE = (LabError, OSError, BotoCoreError, ClientError, KeyError, ValueError)


def say(text: str) -> None:
    """Write a line to the daemon's log."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Mirror:
    """One lab's mirror."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.hosts = Hosts(lab)
        self.forwarders = forwarders.Forwarders(lab, say)
        self.containers: dict[str, Container] = {}
        self.interfaces: set[str] = set()
        self.opened: frozenset[str] = frozenset()
        self.looked = 0.0
        self.busy: dict[str, asyncio.Task[None]] = {}
        self.failures: dict[str, tuple[int, float, str]] = {}  # target -> times, next try, why
        self.watched: dict[int, int] = {}  # pid -> pidfd
        self.wake = asyncio.Event()
        self.slots = asyncio.Semaphore(TOGETHER)
        self.endpoints = endpoints.Endpoints(lab, self.forwarders, say)
        self.channel: forwarders.ChannelServer | None = None
        self.metadata: metadata.MetadataServer | None = None
        self.asking: dict[str, Instance] = {}  # by address, who may ask the metadata service
        self.router = 0
        self.rules = (0, "")
        self.cloud: tuple[str, Cloud] | None = None
        self.trouble = ""
        self.ending = False

    async def run(self) -> None:
        """Mirror until told to end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        say(f"mirror of lab {self.lab.name} ({self.lab.id})")
        while not self.ending:
            self.wake.clear()
            try:
                await self._round()
                self._note("")
            except TROUBLE as error:
                self._note(f"{type(error).__name__}: {error}")
            try:
                await asyncio.wait_for(self.wake.wait(), POLL_SECONDS)
            except TimeoutError:
                continue
        await asyncio.gather(*self.busy.values(), return_exceptions=True)
        say("ended")

    def _end(self) -> None:
        self.ending = True
        self.wake.set()

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            say(trouble)
        self.trouble = trouble

    async def _round(self) -> None:
        await self._look()
        await self._serve_inside()
        emulator = launcher.status(self.lab.state / "emulator")
        if emulator is None:
            raise LabError("the emulator does not run")
        if self.cloud is None or self.cloud[0] != emulator.endpoint:
            self.cloud = (emulator.endpoint, await asyncio.to_thread(Cloud, emulator.endpoint))
        snapshot = await asyncio.to_thread(self.cloud[1].read)
        if not self.looked:  # something happened since we looked: what we saw may be old
            return
        self.asking = {i.address: i for i in snapshot.instances.values() if i.state in plan.RUNNING}
        await self._enforce(snapshot)
        todo = plan.make(snapshot.instances, self._actual(), self._disks(snapshot))
        for action in todo.actions:
            self._start(action, snapshot, self.cloud[1])
        running = [i for i in snapshot.instances.values() if self._runs(i.id) and i.id not in self.busy]
        self._write_hosts_files(snapshot, [i.id for i in running])
        await self._forward(snapshot, [i for i in running if i.state == "running"])
        await self.endpoints.set(snapshot.endpoints, emulator.port)
        self._write_state(todo)

    async def _enforce(self, snapshot: Snapshot) -> None:
        """Give the router the security groups' rules when they or it have changed."""
        up = [i for i in snapshot.instances.values() if i.state in plan.RUNNING]
        rules = (self.router, firewall.ruleset([*up, *snapshot.endpoints], snapshot.groups))
        if rules != self.rules:
            await asyncio.to_thread(self.hosts.network.enforce, rules[1])
            self.rules = rules

    async def _look(self) -> None:
        """Ask podman and the kernel what there is, when something happened or it is long ago."""
        if time.monotonic() - self.looked < LOOK_SECONDS:
            return
        self.looked = time.monotonic()
        self.interfaces = await asyncio.to_thread(self.hosts.network.plugged)
        if "corp0" not in self.interfaces:
            await asyncio.to_thread(self.hosts.network.ensure_router)
            self.interfaces = await asyncio.to_thread(self.hosts.network.plugged)
        self.containers = await asyncio.to_thread(self.hosts.list)
        self.opened = frozenset(await asyncio.to_thread(self._opened))
        for container in self.containers.values():
            self._watch(container.pid)

    def _opened(self) -> set[str]:
        return {volume for volume in self.hosts.volumes.kept() if self.hosts.volumes.device(volume)}

    def _watch(self, pid: int) -> None:
        """Look again the moment a host's first process ends."""
        if not pid or pid in self.watched:
            return
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        self.watched[pid] = handle
        asyncio.get_running_loop().add_reader(handle, self._died, pid)

    def _died(self, pid: int) -> None:
        handle = self.watched.pop(pid)
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)
        self._dirty()

    def _dirty(self) -> None:
        self.looked = 0.0
        self.wake.set()

    def _actual(self) -> dict[str, plan.Host]:
        network = self.hosts.network
        return {
            identifier: plan.Host(
                container.running, network.is_plugged(identifier, self.interfaces), self._shown(identifier)
            )
            for identifier, container in self.containers.items()
        }

    def _shown(self, instance: str) -> frozenset[str]:
        folder = self.hosts.folder(instance) / "by-id"
        names = {path.name.rpartition("_")[2] for path in folder.iterdir()} if folder.is_dir() else set()
        return frozenset(name.replace("vol", "vol-", 1) for name in names)

    def _disks(self, snapshot: Snapshot) -> plan.Disks:
        return plan.Disks(snapshot.volumes, frozenset(self.hosts.volumes.kept()), self.opened)

    def _runs(self, instance: str) -> bool:
        return instance in self.containers and self.containers[instance].running

    def _start(self, action: plan.Action, snapshot: Snapshot, cloud: Cloud) -> None:
        """Begin a step, unless its target is busy or failed a moment ago."""
        times, again, _ = self.failures.get(action.target, (0, 0.0, ""))
        volume_busy = action.kind in {"release", "forget"} and self.busy
        if action.target in self.busy or time.monotonic() < again or volume_busy:
            return
        self.busy[action.target] = asyncio.create_task(self._carry_out(action, snapshot, cloud, times))

    async def _carry_out(self, action: plan.Action, snapshot: Snapshot, cloud: Cloud, times: int) -> None:
        started = time.monotonic()
        try:
            async with self.slots:
                await asyncio.to_thread(self._do, action, snapshot, cloud)
            self.failures.pop(action.target, None)
            say(f"{action.kind} {action.target}: {time.monotonic() - started:.1f} s")
        except TROUBLE as error:
            self.failures[action.target] = (times + 1, time.monotonic() + min(30, 2**times), str(error))
            say(f"{action.kind} {action.target} failed, trying again: {error}")
        finally:
            self.busy.pop(action.target, None)
            self._dirty()

    def _do(self, action: plan.Action, snapshot: Snapshot, cloud: Cloud) -> None:
        instance = snapshot.instances.get(action.target)
        simple: dict[str, Callable[[str], Any]] = {
            "stop": self.hosts.stop,
            "remove": self.hosts.remove,
            "release": self.hosts.volumes.close,
            "forget": self.hosts.volumes.forget,
        }
        if action.kind in simple:
            simple[action.kind](action.target)
        elif instance is None:
            raise LabError(f"{action.target} is gone")
        elif action.kind == "create":
            key = cloud.images().get(instance.image, "")
            if not key:
                raise LabError(f"no host image stands behind {instance.image}: it has no tag LabImage")
            self.hosts.create(instance, images.host_tag(key), cloud.user_data(instance.id))
        elif action.kind == "start":
            self.hosts.start(instance)
        elif action.kind == "replug":
            self.hosts.network.plug(instance.id, instance.address, instance.subnet, instance.cidr)
        elif action.kind == "volumes":
            self.hosts.set_volumes(instance, self.containers.get(instance.id))

    def _write_hosts_files(self, snapshot: Snapshot, running: list[str]) -> None:
        for identifier in running:
            records = snapshot.records.get(snapshot.vpcs[identifier], {})
            text = seeds.hosts_file(snapshot.instances[identifier], records)
            try:
                self.hosts.write_hosts_file(self.containers[identifier], text)
            except OSError:
                self._dirty()  # it ended a moment ago

    async def _forward(self, snapshot: Snapshot, running: list[Any]) -> None:
        path = self.lab.state / "ports.json"
        known = state.read(path, {})
        machines = {i.name for i in snapshot.instances.values() if i.role == "workstation" and i.name}
        ports = forwarders.browser_ports(self.lab, machines, known, forwarders.is_free)
        if ports != known:
            state.write(path, ports)
        await self.forwarders.set(forwarders.wanted(running, ports))

    async def _serve_inside(self) -> None:
        """Serve the channel and the metadata service in the router that is there now."""
        router = Path("/run/netns", self.lab.namespace())
        identity = router.stat().st_ino if router.exists() else 0
        if identity == self.router:
            return
        self.endpoints.close()  # they come back with what EC2 says
        for server in (self.channel, self.metadata):
            if server:
                await asyncio.to_thread(server.close)
        self.channel = self.metadata = None
        if identity:
            self.channel = await asyncio.to_thread(self.forwarders.channel, self._channel_folder)
            listening = await self.forwarders.listening((network.METADATA_ADDRESS, 80))
            answers = metadata.Metadata(self._who, self._credentials)
            self.metadata = metadata.MetadataServer(listening, answers)
        self.router = identity

    def _who(self, address: str) -> Instance | None:
        return self.asking.get(address)

    def _credentials(self, instance: Instance) -> tuple[str, dict[str, Any]]:
        if self.cloud is None:
            raise LabError("the emulator does not run")
        return self.cloud[1].credentials(instance)

    def _channel_folder(self) -> Path | None:
        folder = state.read(self.lab.state / "lab.json", {}).get("channel")
        return Path(folder) if folder and Path(folder).is_dir() else None

    def _write_state(self, todo: plan.Plan) -> None:
        failures = {target: why for target, (_, _, why) in self.failures.items()}
        failures |= {f"{f.listen[0]}:{f.listen[1]}": why for f, why in self.forwarders.failed.items()}
        state.write(
            self.lab.state / "mirror.json",
            {
                "updated": time.time(),
                # A volume that its host does not let go of holds nobody up.
                "settled": not self.busy and not [a for a in todo.actions if a.kind not in {"release", "forget"}],
                "waiting": [f"{a.kind} {a.target}" for a in todo.actions],
                "failures": failures,
                "forwards": {
                    f"{f.listen[0]}:{f.listen[1]}": f"{f.target[0]}:{f.target[1]}" for f in self.forwarders.opened
                },
            },
        )


def main(name: str) -> None:
    """Run the mirror of a lab in this process."""
    lab = Lab(name)
    processes.record(lab.state / "mirror.pid", os.getpid())
    asyncio.run(Mirror(lab).run())


if __name__ == "__main__":
    main(sys.argv[1])
