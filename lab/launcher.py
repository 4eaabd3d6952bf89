"""Start, stop and look at the emulator process of one lab. Standard library only.

The process runs detached; ``<state_dir>/emulator.process.json`` says which one it is. A pid
alone proves nothing (numbers are reused), so its start time and the boot it belongs to are
kept with it, and a process that does not match is never signalled.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-emulator" / "bin" / "python"
DEFAULT_ACCOUNT = "123456789012"
DEFAULT_REGION = "eu-west-1"
READY_SECONDS = 30.0
STOP_SECONDS = 5.0


class LauncherError(LabError):
    """The emulator could not be started or reached; the message says what to do."""


@dataclass(frozen=True)
class Emulator:
    """A started emulator: its settings and what identifies its process."""

    pid: int
    started: str
    port: int
    public_network: str
    account: str
    region: str

    @property
    def endpoint(self) -> str:
        """The value for AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"


def start(
    state_dir: Path,
    port: int,
    public_network: str,
    account: str = DEFAULT_ACCOUNT,
    region: str = DEFAULT_REGION,
) -> Emulator:
    """Start the emulator and wait until it answers; one already running as asked is kept.

    Raises LauncherError when it cannot be started, with the end of its log.
    """
    if not PYTHON.exists():
        raise LauncherError(f"{PYTHON} is missing: type 'make setup'")
    state_dir.mkdir(parents=True, exist_ok=True)
    with _locked(state_dir):
        wanted = (port, public_network, account, region)
        running = status(state_dir)
        if running and (running.port, running.public_network, running.account, running.region) == wanted:
            _wait_until_ready(running, state_dir)
            return running
        _stop(state_dir)
        process = _spawn(state_dir, *wanted)
        emulator = Emulator(process.pid, _start_time(process.pid) or "", *wanted)
        _record(state_dir).write_text(json.dumps(asdict(emulator)) + "\n")
        _wait_until_ready(emulator, state_dir)
        return emulator


def stop(state_dir: Path) -> bool:
    """Stop the emulator of this state folder; says whether there was one running."""
    if not state_dir.is_dir():
        return False
    with _locked(state_dir):
        return _stop(state_dir)


def status(state_dir: Path) -> Emulator | None:
    """The running emulator of this state folder, or None. Does not ask whether it answers."""
    try:
        emulator = Emulator(**json.loads(_record(state_dir).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    alive = emulator.started and _start_time(emulator.pid) == emulator.started
    return emulator if alive else None


def register_images(emulator: Emulator, images: list[dict[str, Any]]) -> dict[str, str]:
    """Share images with the account, as core IT would; returns their ids by name.

    Each image: owner, name; optionally description, architecture, creation_date (ISO 8601),
    root_device_name, root_gib, tags (a map), image_id. Doing it again changes nothing.
    """
    request = {"region": emulator.region, "images": images}
    return _call(emulator, "POST", "/_lab/images", request)["image_ids"]


def log_file(state_dir: Path) -> Path:
    """Where the emulator writes what it does."""
    return state_dir / "emulator.log"


def _record(state_dir: Path) -> Path:
    return state_dir / "emulator.process.json"


@contextlib.contextmanager
def _locked(state_dir: Path) -> Iterator[None]:
    with (state_dir / "emulator.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _spawn(state_dir: Path, port: int, public_network: str, account: str, region: str) -> subprocess.Popen[bytes]:
    # MiniStack has some 200 switches in the environment: hand over none of the user's.
    environment = {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "TMPDIR") if k in os.environ}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "LAB_PORT": str(port),
        "LAB_STATE_DIR": str(state_dir),
        "LAB_PUBLIC_NETWORK": public_network,
        "LAB_ACCOUNT": account,
        "LAB_REGION": region,
    }
    with log_file(state_dir).open("ab") as log:
        return subprocess.Popen(
            [str(PYTHON), "-m", "lab.emulator"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _wait_until_ready(emulator: Emulator, state_dir: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if _start_time(emulator.pid) != emulator.started:
            raise LauncherError(f"the emulator ended at once; the end of {log_file(state_dir)}:\n{_tail(state_dir)}")
        with contextlib.suppress(LauncherError):
            answer = _call(emulator, "GET", "/_lab/status", seconds=1)
            if answer.get("pid") == emulator.pid:
                return
        time.sleep(0.05)
    raise LauncherError(
        f"the emulator does not answer on {emulator.endpoint} after {READY_SECONDS:.0f} s; "
        f"the end of {log_file(state_dir)}:\n{_tail(state_dir)}"
    )


def _tail(state_dir: Path, lines: int = 8) -> str:
    text = log_file(state_dir).read_text(errors="replace") if log_file(state_dir).exists() else ""
    return "\n".join(text.splitlines()[-lines:])


def _call(
    emulator: Emulator, method: str, path: str, document: dict[str, Any] | None = None, seconds: float = 10
) -> dict[str, Any]:
    body = json.dumps(document).encode() if document is not None else None
    request = urllib.request.Request(f"{emulator.endpoint}{path}", data=body, method=method)  # noqa: S310 (loopback)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=seconds) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise LauncherError(f"{path}: {error.read().decode(errors='replace')}") from error
    except (OSError, ValueError) as error:
        raise LauncherError(f"{emulator.endpoint}{path}: {error}") from error


def _stop(state_dir: Path) -> bool:
    emulator = status(state_dir)
    if emulator:
        _end(emulator)
    _record(state_dir).unlink(missing_ok=True)
    return emulator is not None


def _end(emulator: Emulator) -> None:
    try:
        handle = os.pidfd_open(emulator.pid)
    except ProcessLookupError:
        return
    try:
        # The handle keeps meaning this process even if the number is reused from here on.
        if _start_time(emulator.pid) != emulator.started:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            if _ended(emulator, STOP_SECONDS):
                return
    finally:
        os.close(handle)


def _ended(emulator: Emulator, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if _start_time(emulator.pid) != emulator.started:
            return True
        time.sleep(0.02)
    return False


def _start_time(pid: int) -> str | None:
    """Boot id and start ticks of a live process; None when it is gone or only a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{boot}:{fields[19]}"
