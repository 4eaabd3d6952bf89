"""Command line of the embedded cloud: lab/lab up | down | status | logs | env | shell | password | welcome."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from lab import images, landing_zone, launcher, processes, state, supervisor
from lab.cloud import CREDENTIALS, GONE, REGION, Cloud, Instance
from lab.errors import LabError
from lab.hosts import LABEL, Container, Hosts
from lab.identity import Lab
from lab.network import Network
from lab.shell import run, succeeds
from lab.volumes import Volumes

COMMANDS = ("podman", "runc", "ip", "nft", "losetup", "mmdebstrap", "openssl", "sysctl")
WATCHES = Path("/proc/sys/fs/inotify/max_user_instances")
ENOUGH_WATCHES = 1024
SETTLE_SECONDS = 90


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        lab = Lab(options.name)
        options.run(lab, options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except (BotoCoreError, ClientError) as error:
        print(
            f"lab: the emulator does not answer as it should ({error}); type: lab/lab up --name {options.name}",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab/lab", description="The embedded cloud: an AWS emulator and real Linux hosts."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--name", default="demo", help="which lab of this checkout (default: %(default)s)")

    def add(name: str, function: Callable[[Lab, argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, parents=[named])
        command.set_defaults(run=function)
        return command

    add("up", up, "start the lab, or what is missing of it")
    add("down", down, "remove all of the lab from this machine")
    add("status", status, "show the instances and their hosts")
    add("logs", logs, "show the journal of a host, or the lab's own logs").add_argument(
        "host", nargs="?", metavar="HOST"
    )
    add("env", env, "print the variables that point AWS's tools and Ansible at the lab")
    add("shell", shell, "open a root shell in a host").add_argument("host", metavar="HOST")
    add("password", password, "print the password of a member").add_argument("login", metavar="LOGIN")
    add("welcome", welcome, "say where JupyterHub is and how to log in")
    return parser


def _require_machine() -> None:
    """Raise LabError unless this machine can run a lab; the message says what to type."""
    if os.geteuid() != 0:
        raise LabError("namespaces and loop devices need root; type: sudo " + " ".join(["lab/lab", *sys.argv[1:]]))
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    if missing:
        raise LabError(f"missing on this machine: {', '.join(missing)}; type: make setup")


def _ensure_watches() -> None:
    """Let root hold enough inotify instances: every host's systemd takes several, and without one it hangs at boot."""
    if int(WATCHES.read_text(encoding="ascii")) >= ENOUGH_WATCHES:
        return
    try:
        WATCHES.write_text(f"{ENOUGH_WATCHES}\n", encoding="ascii")
    except OSError as error:
        _say(f"{WATCHES} cannot be raised ({error.strerror}): more than ten hosts may hang at boot")
        return
    _say(f"{WATCHES} raised to {ENOUGH_WATCHES}, until this computer restarts")


@contextlib.contextmanager
def _step(text: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    print(f"lab: {text} ({time.monotonic() - started:.1f} s)", flush=True)


def _say(text: str) -> None:
    print(f"lab: {text}", flush=True)


def up(lab: Lab, _: argparse.Namespace) -> None:
    """Start the lab, or what is missing of it."""
    _require_machine()
    _ensure_watches()
    started = time.monotonic()
    with state.locked(lab):
        lab.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        lab.state.chmod(0o700)
        with _step("host images"):
            images.ensure(_say)
        with _step("package channel"):
            _set_channel(lab)
        with _step("AWS emulator"):
            emulator = supervisor.start_emulator(lab)
        with _step("landing zone: images, parameters, keys, passwords"):
            landing_zone.seed(lab, emulator)
        with _step("networks and hosts"):
            Network(lab).ensure_router()
            begun = time.time()
            if processes.recorded(lab.state / "supervisor.pid") is None:
                supervisor.spawn(lab, "lab.supervisor", "supervisor.log")
            _wait_until_settled(lab, begun)
    _say(f"{lab.name} is up at {emulator.endpoint} ({time.monotonic() - started:.1f} s)")
    _say(f'point your shell at it: eval "$(lab/lab env --name {lab.name})"')


def _set_channel(lab: Lab) -> None:
    from lab.channel import build  # noqa: PLC0415 (heavy; only `up` needs it)

    try:
        folder = build.build(_say)
    except (OSError, subprocess.CalledProcessError, RuntimeError) as error:
        raise LabError(f"the package channel cannot be built: {error}") from error
    path = lab.state / "lab.json"
    state.write(path, state.read(path, {}) | {"channel": str(folder.parent)})


def _wait_until_settled(lab: Lab, since: float) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    seen: dict[str, object] = {}
    while time.monotonic() < deadline:
        seen = state.read(lab.state / "mirror.json", {})
        if seen.get("settled") and float(str(seen.get("updated", 0))) > since:
            return
        time.sleep(0.1)
    why = "; ".join(f"{k}: {v}" for k, v in dict(seen.get("failures") or {}).items()) or f"see {lab.state}/mirror.log"
    raise LabError(f"the hosts are not as the instances ask after {SETTLE_SECONDS} s: {why}")


def down(lab: Lab, _: argparse.Namespace) -> None:
    """Remove all of the lab from this machine."""
    _require_machine()
    with state.locked(lab):
        with _step("processes ended"):
            processes.end(lab.state / "supervisor.pid")
            processes.end(lab.state / "mirror.pid")
            launcher.stop(lab.state / "emulator")
            for pid in processes.marked(*supervisor.marks(lab)):
                processes.end_process(pid, processes.start_time(pid), 5)
        with _step("hosts removed"):
            _remove_containers(lab)
        with _step("networks, devices and files removed"):
            Network(lab).remove()
            Volumes(lab).close_all()
            shutil.rmtree(lab.state, ignore_errors=True)
        left = leftovers(lab)
    if left:
        raise LabError("these are left and could not be removed:\n  " + "\n  ".join(left))
    (lab.checkout / ".lab" / f".{lab.name}.lock").unlink(missing_ok=True)
    _say(f"{lab.name} is gone: no container, network, device, process, mount or file of it is left")


def _remove_containers(lab: Lab) -> None:
    """Remove the lab's containers, each on its own: one that resists (a busy mount) is tried again, the others go."""
    for patience in (0.5, 2, 5, 0):
        names = run("podman", "ps", "--all", "--quiet", "--filter", f"label={LABEL}={lab.id}").split()
        if not names:
            return
        for name in names:
            succeeds("podman", "--runtime", "runc", "rm", "--force", "--time", "2", "--ignore", name)
        time.sleep(patience)


def leftovers(lab: Lab) -> list[str]:
    """Return what is on this machine of a lab, in words; nothing after `down`."""
    found = [f"container {n}" for n in run("podman", "ps", "-aq", "--filter", f"label={LABEL}={lab.id}").split()]
    found += [f"network namespace {n}" for n in Network(lab).namespaces()]
    found += [f"loop device {n}" for n in Volumes(lab).loops()]
    found += [f"process {pid}" for pid in processes.marked(*supervisor.marks(lab)) if pid != os.getpid()]
    emulator = launcher.status(lab.state / "emulator")
    found += [f"process {emulator.pid}"] if emulator else []
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    found += [f"mount {m.split()[1]}" for m in mounts if str(lab.state) in m or lab.prefix in m]
    return found + ([f"folder {lab.state}"] if lab.state.exists() else [])


def _emulator(lab: Lab) -> launcher.Emulator:
    emulator = launcher.status(lab.state / "emulator")
    if emulator is None:
        raise LabError(f"lab '{lab.name}' is not up; type: lab/lab up --name {lab.name}")
    return emulator


def _rows(lab: Lab) -> list[tuple[Instance, Container | None]]:
    instances = Cloud(_emulator(lab).endpoint).read().instances
    containers = Hosts(lab).list()
    rows = [(i, containers.get(i.id)) for i in instances.values() if i.state not in GONE or i.id in containers]
    return sorted(rows, key=lambda row: (row[0].name, row[0].id))


def table(rows: list[tuple[str, ...]]) -> str:
    """Return rows as columns wide enough for their longest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def status(lab: Lab, _: argparse.Namespace) -> None:
    """Show the instances and their hosts."""
    _require_machine()
    lines = [("NAME", "INSTANCE", "STATE", "ADDRESS", "CONTAINER", "SINCE")]
    for instance, container in _rows(lab):
        since = "-"
        if container and container.running:
            since = datetime.datetime.fromtimestamp(container.since).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        kind = "none" if container is None else "running" if container.running else "stopped"
        lines.append((instance.name or "-", instance.id, instance.state, instance.address, kind, since))
    print(table(lines))
    emulator, mirror = _emulator(lab), processes.recorded(lab.state / "mirror.pid")
    print(f"\nemulator: {emulator.endpoint} (process {emulator.pid})")
    print(f"mirror:   process {mirror}" if mirror else f"mirror:   NOT RUNNING; type: lab/lab up --name {lab.name}")
    seen = state.read(lab.state / "mirror.json", {})
    for listen, target in seen.get("forwards", {}).items():
        print(f"forward:  {listen} -> {target}")
    for target, why in seen.get("failures", {}).items():
        print(f"failing:  {target}: {why}")


def _container(lab: Lab, host: str) -> Container:
    rows = [row for row in _rows(lab) if host in {row[0].name, row[0].id, row[0].address}]
    if not rows:
        known = ", ".join(row[0].name or row[0].id for row in _rows(lab)) or "none"
        raise LabError(f"no instance '{host}' in lab '{lab.name}'; there are: {known}")
    container = rows[0][1]
    if container is None or not container.running:
        raise LabError(f"the host of {host} does not run (instance {rows[0][0].state})")
    return container


def logs(lab: Lab, options: argparse.Namespace) -> None:
    """Show the journal of a host, or the lab's own logs."""
    _require_machine()
    if options.host:
        container = _container(lab, options.host)
        subprocess.run(["podman", "exec", container.name, "journalctl", "--no-pager", "--lines=200"], check=False)
        return
    for name in ("supervisor.log", "mirror.log", "emulator/emulator.log"):
        path = lab.state / name
        if path.exists():
            print(f"== {path}")
            print("\n".join(path.read_text(errors="replace").splitlines()[-40:]))


def env(lab: Lab, _: argparse.Namespace) -> None:
    """Print the variables that point AWS's tools and Ansible at the lab."""
    emulator = _emulator(lab)
    channel = Path(state.read(lab.state / "lab.json", {}).get("channel", "none"))
    values = {
        "AWS_ENDPOINT_URL": emulator.endpoint,
        "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "ANSIBLE_PRIVATE_KEY_FILE": str(landing_zone.admin_key_file(lab)),
        # The channel is built on each computer, and with it the hashes in the locks.
        "ATELIER_LOCKS": str(lab.state / "locks" / channel.name),
        "ATELIER_CONDA_MIRRORS": json.dumps({"conda-forge": [f"file://{channel}/conda-forge/"]}),
    }
    for name, value in values.items():
        print(f"export {name}='{value}'")


def shell(lab: Lab, options: argparse.Namespace) -> None:
    """Open a root shell in a host."""
    _require_machine()
    container = _container(lab, options.host)
    flags = ["-it"] if sys.stdin.isatty() else ["-i"]
    subprocess.run(["podman", "exec", *flags, container.name, "/bin/bash", "-l"], check=False)


def password(lab: Lab, options: argparse.Namespace) -> None:
    """Print the password of a member."""
    passwords = state.read(landing_zone.passwords_file(lab), {})
    if options.login not in passwords:
        raise LabError(f"no member '{options.login}'; there are: {', '.join(sorted(passwords)) or 'none'}")
    print(passwords[options.login])


def welcome(lab: Lab, _: argparse.Namespace) -> None:
    """Say where JupyterHub is and how to log in."""
    ports = state.read(lab.state / "ports.json", {})
    logins = ", ".join(sorted(state.read(landing_zone.passwords_file(lab), {})))
    print("\nJupyterHub:")
    for instance, container in _rows(lab):
        if instance.role == "workstation" and container and container.running:
            print(f"  https://{instance.name}.localhost:{ports[instance.name]}/")
    print("log in as a member of the machine's project; the passwords were made for this lab:")
    print(f"  lab/lab password LOGIN --name {lab.name}     (LOGIN: one of {logins})")
    print(f"to be spared the browser's warning, let it trust {landing_zone.ca_file(lab)}")
