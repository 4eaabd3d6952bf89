"""What to do next, as a pure function of what EC2 says and what the machine holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lab.cloud import GONE, Instance

RUNNING = {"pending", "running"}
STOPPED = {"stopping", "stopped"}


@dataclass(frozen=True)
class Host:
    """What the machine holds for one instance."""

    running: bool
    plugged: bool = True  # its cable is in the router
    volumes: frozenset[str] = frozenset()  # volumes it is shown


@dataclass(frozen=True)
class Disks:
    """What the machine and EC2 hold of data volumes."""

    existing: frozenset[str] = frozenset()  # volumes EC2 has
    kept: frozenset[str] = frozenset()  # volumes with a file
    opened: frozenset[str] = frozenset()  # volumes on a loop device


@dataclass(frozen=True, order=True)
class Action:
    """One step.

    Kinds: create, start, stop, remove, replug, volumes (of an instance); release, forget (of a volume).
    """

    kind: str
    target: str


@dataclass(frozen=True)
class Plan:
    """Steps that touch different instances or volumes: they may run at the same time."""

    actions: tuple[Action, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.actions)


def make(desired: Mapping[str, Instance], actual: Mapping[str, Host], disks: Disks | None = None) -> Plan:
    """Return the next steps, at most one per instance and per volume; empty when the machine is as EC2 says.

    A host whose instance EC2 does not know is removed. A volume's file is removed only when EC2 no longer has the
    volume and no host is shown it.
    """
    disks = disks or Disks()
    steps = [
        _host_step(identifier, desired.get(identifier), actual.get(identifier), disks)
        for identifier in {*desired, *actual}
    ]
    return Plan(
        tuple(sorted([step for step in steps if step], key=_order)) + tuple(_disk_steps(desired, actual, disks))
    )


def _order(action: Action) -> tuple[bool, Action]:
    return (action.kind not in {"stop", "remove"}, action)  # what frees addresses first


def _host_step(identifier: str, instance: Instance | None, host: Host | None, disks: Disks) -> Action | None:
    if instance is None or instance.state in GONE:
        return Action("remove", identifier) if host else None
    if instance.state in STOPPED:
        return Action("stop", identifier) if host and host.running else None
    if instance.state not in RUNNING:
        return None
    return _running_step(instance, host, disks)


def _running_step(instance: Instance, host: Host | None, disks: Disks) -> Action | None:
    if host is None:
        return Action("create", instance.id)
    if not host.running:
        return Action("start", instance.id)
    if not host.plugged:
        return Action("replug", instance.id)
    wanted = {volume.id for volume in instance.volumes}
    if host.volumes != wanted or not wanted <= disks.opened:  # a loop device may be detached under a running host
        return Action("volumes", instance.id)
    return None


def _disk_steps(desired: Mapping[str, Instance], actual: Mapping[str, Host], disks: Disks) -> Iterable[Action]:
    shown = {volume for host in actual.values() if host.running for volume in host.volumes}
    coming = {volume.id for instance in desired.values() if instance.state in RUNNING for volume in instance.volumes}
    for volume in sorted((disks.kept | disks.opened) - shown - coming):
        if volume not in disks.existing:
            yield Action("forget", volume)
        elif volume in disks.opened:
            yield Action("release", volume)
