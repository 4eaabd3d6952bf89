"""Keeps a lab's emulator and mirror alive: the one that was killed comes back."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from lab import launcher, processes, state
from lab.errors import LabError
from lab.forwarders import is_free
from lab.identity import CHECKOUT, Lab

PATIENCE = 60.0  # seconds between tries at most


def spawn(lab: Lab, module: str, log: str) -> subprocess.Popen[bytes]:
    """Start a module of the lab as a process of its own, detached from the terminal."""
    environment = os.environ | {processes.MARK: lab.id, "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"}
    lab.state.mkdir(parents=True, exist_ok=True)
    with (lab.state / log).open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", module, lab.name],
            cwd="/", env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip


def marks(lab: Lab) -> tuple[str, str]:
    """Return what the environment of this lab's processes holds: ours, and the emulator's."""
    return f"{processes.MARK}={lab.id}", f"LAB_STATE_DIR={lab.state / 'emulator'}"


def start_emulator(lab: Lab) -> launcher.Emulator:
    """Start the emulator on the port this lab keeps; on another one when somebody took it meanwhile."""
    lab.state.mkdir(parents=True, exist_ok=True)
    with (lab.state / "emulator.lock").open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # `up` and the supervisor may both find it dead
        return _start_emulator(lab)


def _start_emulator(lab: Lab) -> launcher.Emulator:
    path = lab.state / "lab.json"
    kept = state.read(path, {})
    running = launcher.status(lab.state / "emulator")
    port = kept.get("port") or lab.preferred_port("emulator")
    if running:
        port = running.port
    else:  # one that was not recorded before its starter was killed would write the same state
        for pid in processes.marked(marks(lab)[1]):
            processes.end_process(pid, processes.start_time(pid), 5)
    while not running and not is_free(port):
        port = lab.preferred_port(f"emulator {port}")
    if kept.get("port") != port:
        state.write(path, state.read(path, {}) | {"port": port})
    return launcher.start(lab.state / "emulator", port, lab.public_network)


def mirror_running(lab: Lab) -> bool:
    """Say whether the mirror of this lab runs."""
    return processes.recorded(lab.state / "mirror.pid") is not None


def main(name: str) -> None:
    """Supervise until told to end."""
    lab = Lab(name)
    processes.record(lab.state / "supervisor.pid", os.getpid())
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    pause = 0.0
    child: subprocess.Popen[bytes] | None = None
    while not ending.wait(pause):
        pause = 1.0
        try:
            if launcher.status(lab.state / "emulator") is None:
                print(f"{time.strftime('%H:%M:%S')} starting the emulator", flush=True)
                start_emulator(lab)
        except (LabError, OSError) as error:
            print(f"{time.strftime('%H:%M:%S')} {error}", flush=True)
            pause = min(PATIENCE, pause * 2)
        starting = child is not None and child.poll() is None
        if not starting and not mirror_running(lab):
            print(f"{time.strftime('%H:%M:%S')} starting the mirror", flush=True)
            child = spawn(lab, "lab.mirror", "mirror.log")
        if not Path(lab.state).is_dir():
            return


if __name__ == "__main__":
    main(sys.argv[1])
