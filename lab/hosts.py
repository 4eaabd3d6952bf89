"""The Linux hosts behind the instances: one systemd container each, driven through podman's command line."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from lab import landing_zone, seeds, volumes
from lab.cloud import Instance
from lab.errors import LabError
from lab.identity import Lab
from lab.network import Network
from lab.processes import start_time
from lab.shell import run

LABEL = "atelier.lab"
SHARES = Path("/sys/fs/cgroup/cpu/libpod_parent/cpu.shares")
ENOUGH_SHARES = 4096  # four processes: more starves the tests that ask the hosts
STOP_SECONDS = 15
EXITS = Path("/run/libpod/exits")
# --privileged: units with DynamicUser or ProtectSystem; --cgroupns=private: MemoryMax= is real;
# the limits: where the machine lacks CAP_SYS_RESOURCE; no limit on tasks: it is the size of a machine.
OPTIONS = (
    "--privileged", "--cgroupns=private", "--systemd=always", "--ulimit=nofile=1024:4096",
    "--ulimit=nproc=1024:4096", "--pids-limit=-1", "--no-hosts", "--dns=none", "--log-driver=k8s-file", "--shm-size=2g",
    f"--stop-timeout={STOP_SECONDS}",
)  # fmt: skip


@dataclass(frozen=True)
class Container:
    """A host's container as podman tells it."""

    instance: str
    name: str
    running: bool
    pid: int
    since: int  # seconds since the epoch; of the last start
    image: str


class Hosts:
    """The hosts of one lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.network = Network(lab)
        self.volumes = volumes.Volumes(lab)

    def folder(self, instance: str) -> Path:
        """Return where this lab keeps what belongs to one host."""
        return self.lab.state / "hosts" / instance

    def list(self) -> dict[str, Container]:
        """Return this lab's containers by instance id.

        podman remembers a container as running whose processes were all killed without warning: the process decides.
        """
        text = run("podman", "ps", "--all", "--filter", f"label={LABEL}={self.lab.id}", "--format", "json")
        found = {}
        for item in json.loads(text or "[]"):
            labels = item["Labels"]
            running = item["State"] == "running" and start_time(item["Pid"]) is not None
            instance = labels["atelier.instance"]
            found[instance] = Container(
                instance, item["Names"][0], running, item["Pid"] if running else 0, item["StartedAt"],
                labels.get("atelier.image", ""),
            )  # fmt: skip
        return found

    def create(self, instance: Instance, image: str, user_data: bytes) -> None:
        """Make and start the host of an instance: first boot."""
        folder = self.folder(instance.id)
        seeds.write(folder / "seed", instance, user_data)
        landing_zone.authority(self.lab)
        namespace = self._prepare(instance)
        name = self.lab.namespace(instance.id)
        run(
            "podman", "--runtime", "runc", "run", "--detach", "--name", name, *OPTIONS,
            "--label", f"{LABEL}={self.lab.id}", "--label", f"atelier.instance={instance.id}",
            "--label", f"atelier.image={image}", "--hostname", instance.name or instance.id,
            "--network", f"ns:{namespace}",
            "--volume", f"{folder}/seed:/var/lib/cloud/seed/nocloud:ro", "--volume", f"{folder}/run:/run/lab:ro",
            "--volume", f"{folder}/by-id:/dev/disk/by-id:ro", "--volume", f"{folder}/by-uuid:/dev/disk/by-uuid:ro",
            "--volume", f"{folder}/udev:/run/udev:ro",
            "--volume", f"{landing_zone.ca_file(self.lab)}:{seeds.AWS_CA}:ro",
            "--volume", f"{folder}/seed/manager.conf:{seeds.MANAGER}:ro", image,
        )  # fmt: skip
        _weigh()

    def start(self, instance: Instance) -> None:
        """Start a host again, on the disk it has."""
        self._prepare(instance)
        name = self.lab.namespace(instance.id)
        _settle(name)
        run("podman", "--runtime", "runc", "start", name)
        _weigh()
        pid = run("podman", "inspect", "--format", "{{.State.Pid}}", name)
        if start_time(int(pid)) is None:
            raise LabError(f"{name} ended as soon as it was started; podman logs {name}")

    def stop(self, instance: str) -> None:
        """Stop a host; its disk and its volumes' files stay."""
        run("podman", "--runtime", "runc", "stop", "--time", str(STOP_SECONDS), self.lab.namespace(instance))
        self.network.unplug(instance)

    def remove(self, instance: str) -> None:
        """Remove a host and its disk; the files of data volumes stay."""
        run("podman", "--runtime", "runc", "rm", "--force", "--time", "2", "--ignore", self.lab.namespace(instance))
        self.network.unplug(instance)
        _remove_tree(self.folder(instance))

    def set_volumes(self, instance: Instance, container: Container | None) -> None:
        """Show a host exactly the volumes that its instance has, whether it runs or is about to."""
        devices = {volume.id: self.volumes.open(volume.id, volume.gib) for volume in instance.volumes}
        volumes.publish(self.folder(instance.id), devices)
        if container and container.running:
            for device in devices.values():
                number = os.stat(device).st_rdev  # noqa: PTH116
                major, minor = str(os.major(number)), str(os.minor(number))
                script = '[ -b "$1" ] || mknod -m 0660 "$1" b "$2" "$3"'
                run("podman", "exec", container.name, "sh", "-c", script, "sh", str(device), major, minor)

    def write_hosts_file(self, container: Container, text: str) -> bool:
        """Write a running host's /etc/hosts; says whether it changed."""
        path = Path(f"/proc/{container.pid}/root/etc/hosts")
        if path.is_symlink():  # it would be followed outside the host
            return False
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return False
        path.write_text(text, encoding="utf-8")
        return True

    def _prepare(self, instance: Instance) -> Path:
        self.set_volumes(instance, None)
        return self.network.plug(instance.id, instance.address, instance.subnet, instance.cidr)


def _weigh() -> None:
    """Give the hosts their share of the processors.

    On cgroup v1 podman puts all of them into one group with the weight of a single process; beside a busy test run they
    would starve together.
    """
    if SHARES.exists() and int(SHARES.read_text(encoding="ascii")) < ENOUGH_SHARES:
        SHARES.write_text(f"{ENOUGH_SHARES}\n", encoding="ascii")


def _settle(name: str) -> None:
    """Make podman see that a container ended.

    The container's monitor writes its exit status for podman. Killed together with it, it wrote none, and podman
    (4.3) calls the container "running" for ever, starts it without effect and cannot stop it: write it in its place.
    """
    identifier, status = run("podman", "inspect", "--format", "{{.Id}} {{.State.Status}}", name).split()
    if status in {"running", "stopping"} and EXITS.is_dir():
        (EXITS / identifier).write_text("137", encoding="utf-8")


def _remove_tree(folder: Path) -> None:
    for root, folders, files in os.walk(folder, topdown=False):
        for name in files:
            (Path(root) / name).unlink()
        for name in folders:
            path = Path(root) / name
            path.unlink() if path.is_symlink() else path.rmdir()
    if folder.exists():
        folder.rmdir()
