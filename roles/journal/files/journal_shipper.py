"""journal_shipper.py CONFIG: send chosen entries of this host's journal to CloudWatch Logs, for ever.

The journal is the buffer: its position is written only after AWS has accepted what comes before it. Killed in between,
the same entries are sent once more (each carries an id to tell); none is left out. While AWS is away, or refuses, it is
asked again and again, at most a minute apart.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Of one PutLogEvents request, by the API reference.
MOST_EVENTS = 10_000
MOST_BYTES = 1_048_576
EVENT_OVERHEAD = 26
LONGEST_SPAN = 24 * 3600 * 1000  # milliseconds between its first and its last event
# Of one message: what every region has taken for years.
MOST_MESSAGE = 256 * 1024 - EVENT_OVERHEAD
LONGEST_PAUSE = 60.0
NEW_STREAM = "new stream"
SLICE = 1.0  # seconds; how long a request to end may wait
CURSOR = re.compile(r"s=[0-9a-f]{32};i=[0-9a-f]+;b=[0-9a-f]{32};\S+")
# Shown name: the journal's. Those with an underscore are journald's own: whoever writes an entry cannot forge them.
FIELDS = {
    "message": "MESSAGE",
    "identifier": "SYSLOG_IDENTIFIER",
    "priority": "PRIORITY",
    "host": "_HOSTNAME",
    "unit": "_SYSTEMD_UNIT",
    "exe": "_EXE",
    "uid": "_UID",
    "pid": "_PID",
}


@dataclass(frozen=True)
class Event:
    """One entry as AWS takes it, and the position behind it in the journal."""

    timestamp: int  # milliseconds since 1970
    message: str
    cursor: str

    @property
    def size(self) -> int:
        """Bytes that AWS counts."""
        return len(self.message.encode()) + EVENT_OVERHEAD


def text(value: Any) -> str:
    """A field of the journal: text, bytes as numbers where it is no UTF-8, several of one name, or nothing.

    >>> text("a"), text([104, 105, 255]), text(["a", "b"]), text(None)
    ('a', 'hi\\ufffd', 'a b', '')
    """
    if isinstance(value, list):
        if value and all(isinstance(one, int) for one in value):
            return bytes(value).decode(errors="replace")
        return " ".join(text(one) for one in value)
    return "" if value is None else str(value)


def cut(message: str, most: int = MOST_MESSAGE) -> str:
    """A message that AWS takes; what is too long says so at its end.

    >>> cut("é" * 40, 30)
    'ééééé... (cut, 80 bytes)'
    """
    raw = message.encode()
    if len(raw) <= most:
        return message
    told = f"... (cut, {len(raw)} bytes)"
    return raw[: max(0, most - len(told.encode()))].decode(errors="ignore") + told


def event(entry: dict[str, Any]) -> Event:
    """What is sent of one entry: a JSON object, so that queries find its parts."""
    cursor = text(entry["__CURSOR"])
    shown = {name: text(entry[field]) for name, field in FIELDS.items() if entry.get(field) is not None}
    # The same entry has the same id, however often it is sent.
    shown["id"] = hashlib.sha256(cursor.encode()).hexdigest()[:16]
    whole = json.dumps(shown, ensure_ascii=False)
    if len(whole.encode()) > MOST_MESSAGE:
        # A control character becomes six; so much room there is for any text.
        shown = {name: cut(value, MOST_MESSAGE // 8 if name == "message" else 1024) for name, value in shown.items()}
        whole = json.dumps(shown, ensure_ascii=False)
    return Event(int(text(entry["__REALTIME_TIMESTAMP"])) // 1000, whole, cursor)


class Batch:
    """Events for one request."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.bytes = self.first = self.last = 0

    def takes(self, one: Event) -> bool:
        """Whether the request may hold this one too. An empty batch takes any."""
        if not self.events:
            return True
        span = max(self.last, one.timestamp) - min(self.first, one.timestamp)
        return len(self.events) < MOST_EVENTS and self.bytes + one.size <= MOST_BYTES and span < LONGEST_SPAN

    def add(self, one: Event) -> None:
        """Put it in."""
        self.first = min(self.first, one.timestamp) if self.events else one.timestamp
        self.last = max(self.last, one.timestamp) if self.events else one.timestamp
        self.bytes += one.size
        self.events.append(one)

    @property
    def cursor(self) -> str:
        """The position behind all of them."""
        return self.events[-1].cursor


def request(events: list[Event]) -> list[dict[str, Any]]:
    """In the order of time, as AWS wants them: a clock that was set back leaves a journal that is not."""
    ordered = sorted(events, key=lambda one: one.timestamp)
    return [{"timestamp": one.timestamp, "message": one.message} for one in ordered]


def pauses(longest: float = LONGEST_PAUSE) -> Iterator[float]:
    """Seconds to wait before each next try: doubled each time, and not the same on all hosts."""
    pause = 0.5
    while True:
        pause = min(longest, pause * 2)
        yield pause * random.uniform(0.7, 1.0)  # noqa: S311 - spreads hosts, guards nothing


def matches(identifiers: list[str], units: list[str]) -> list[str]:
    """journalctl's words for entries of any of these.

    >>> matches(["sshd", "sudo"], ["ssh.service"])
    ['SYSLOG_IDENTIFIER=sshd', '+', 'SYSLOG_IDENTIFIER=sudo', '+', '_SYSTEMD_UNIT=ssh.service']
    """
    words: list[str] = []
    for word in [f"SYSLOG_IDENTIFIER={one}" for one in identifiers] + [f"_SYSTEMD_UNIT={one}" for one in units]:
        words += ["+", word] if words else [word]
    return words


class EndedError(Exception):
    """Somebody asked this process to end."""


def parsed(line: bytes) -> list[dict[str, Any]]:
    """The entry in a line of journalctl; a line that is none is told and passed over, or it would be met for ever."""
    try:
        entry = json.loads(line)
        return [entry] if entry["__CURSOR"] and entry["__REALTIME_TIMESTAMP"] else []
    except (ValueError, KeyError, TypeError):
        if line.strip():
            say(f"journalctl said what is no entry: {line[:200]!r}")
        return []


class Journal:
    """journalctl that follows, from a position on."""

    def __init__(self, words: list[str], cursor: str) -> None:
        command = ["journalctl", "--output=json", "--all", "--follow", "--no-tail", "--quiet"]
        command += [f"--output-fields={','.join(FIELDS.values())}"]
        command += [f"--after-cursor={cursor}"] if cursor else []
        self._process = subprocess.Popen([*command, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self._process.stdout  # noqa: S101 - for the type checker
        self._pipe = self._process.stdout.fileno()
        self._rest = b""

    def read(self, seconds: float) -> list[dict[str, Any]]:
        """Entries that are there now, or come within so many seconds.

        Raises RuntimeError when journalctl has ended.
        """
        if not select.select([self._pipe], [], [], max(0.0, seconds))[0]:
            return []
        data = os.read(self._pipe, 1 << 18)
        if not data:
            raise RuntimeError(f"journalctl ended with {self._process.wait()}")
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [entry for line in lines for entry in parsed(line)]

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


class Health:
    """What systemd and whoever looks are told."""

    def __init__(self, folder: Path | None, now: Callable[[], float] = time.time) -> None:
        self._folder, self._now = folder, now
        self.told: dict[str, Any] = {"state": "starting", "error": "", "sent": 0, "dropped": 0, "last_accepted": 0}

    def tell(self, **news: Any) -> None:
        """Write the status when it changed; a line in the journal only when AWS goes or comes back."""
        before, self.told = self.told, self.told | news
        notify("WATCHDOG=1")
        if before == self.told:
            return
        if self.told["error"] != before["error"]:
            say(self.told["error"] or "AWS accepts again")
        line = self.told["error"] or f"{self.told['state']}, {self.told['sent']} entries sent since the start"
        notify(f"STATUS={line}")
        if self._folder:
            write(self._folder / "status.json", json.dumps(self.told | {"time": int(self._now())}) + "\n", 0o644)


def notify(state: str) -> None:
    """Tell systemd, where it listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.setblocking(False)  # whoever does not listen holds nothing up
        out.connect("\0" + address[1:] if address.startswith("@") else address)
        out.sendall(state.encode())


def say(line: str) -> None:
    """A line for the journal (this unit's own, which is not sent)."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a service's log


def write(path: Path, content: str, mode: int = 0o600) -> None:
    """Replace a file: the old text or the new one, also after a loss of power."""
    scratch = path.with_name(f".{path.name}.new")
    with scratch.open("w", encoding="utf-8") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    scratch.chmod(mode)
    scratch.replace(path)


def position(path: Path) -> str:
    """The saved position; empty where there is none that journalctl would take."""
    try:
        found = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    if CURSOR.fullmatch(found):
        return found
    say(f"{path} holds no position of a journal: all that is kept is sent again")
    return ""


class Sender:
    """One log stream."""

    def __init__(self, config: dict[str, Any], health: Health, wait: Callable[[float], None]) -> None:
        self._config, self._health, self._wait = config, health, wait
        self._client: Any = None

    def send(self, batch: Batch) -> None:
        """Return once AWS has accepted all of it; a single event that it calls malformed is dropped, and told."""
        self._send(batch.events)
        told = self._health.told
        self._health.tell(
            state="shipping", error="", sent=told["sent"] + len(batch.events), last_accepted=batch.events[-1].timestamp
        )

    def _send(self, events: list[Event]) -> None:
        for pause in pauses():
            code, why = self._try(events)
            if not code:
                return
            if code == "InvalidParameterException":
                self._halve(events, why)
                return
            if code != NEW_STREAM:
                self._health.tell(state="waiting", error=f"AWS does not accept: {why}")
            self._wait(pause)

    def _halve(self, events: list[Event], why: str) -> None:
        """One that AWS will never take must not hold up the others."""
        if len(events) > 1:
            middle = len(events) // 2
            self._send(events[:middle])
            self._send(events[middle:])
            return
        say(f"dropped, AWS calls it malformed ({why}): {events[0].cursor}")
        self._health.tell(dropped=self._health.told["dropped"] + 1)

    def _try(self, events: list[Event]) -> tuple[str, str]:
        """Ask once: the error's code and words, or nothing when it is accepted."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - the pure part needs no library

        where = {"logGroupName": self._config["group"], "logStreamName": self._config["stream"]}
        try:
            if self._client is None:
                self._client = connect(self._config["region"])
            answer = self._client.put_log_events(**where, logEvents=request(events))
        except ClientError as error:
            code = error.response["Error"].get("Code", "unknown")
            if code == "DataAlreadyAcceptedException":
                return "", ""
            if code == "ResourceNotFoundException":
                return self._make_stream(where, str(error))
            if "Expired" in code:
                self._client = None
            return code, str(error)
        except BotoCoreError as error:
            self._client = None  # credentials that were not there are looked for anew
            return type(error).__name__, str(error)
        self._tell_rejected(answer.get("rejectedLogEventsInfo") or {}, len(events))
        return "", ""

    def _make_stream(self, where: dict[str, str], missing: str) -> tuple[str, str]:
        """Make the stream; the next try writes into it. Without its group that fails too, and is said."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            self._client.create_log_stream(**where)
        except ClientError as error:
            if error.response["Error"].get("Code") != "ResourceAlreadyExistsException":
                return "no stream", f"{missing}; {error}"
        except BotoCoreError as error:
            return "no stream", f"{missing}; {error}"
        return NEW_STREAM, ""

    def _tell_rejected(self, info: dict[str, int], count: int) -> None:
        """Accepted with exceptions: nothing older than 14 days or the group's retention, nothing from the future."""
        old = max(info.get("tooOldLogEventEndIndex", 0), info.get("expiredLogEventEndIndex", 0))
        new = count - info.get("tooNewLogEventStartIndex", count)
        if old + new:
            say(f"AWS took {count - old - new} of {count} entries: {old} are too old for it, {new} from the future")
            self._health.tell(dropped=self._health.told["dropped"] + old + new)


def connect(region: str) -> Any:
    """A client that tries once: trying again is this program's own matter."""
    from botocore.config import Config  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    session = Session()
    session.set_config_variable("metadata_service_timeout", 2)
    session.set_config_variable("metadata_service_num_attempts", 2)
    config = Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 1})
    return session.create_client("logs", region_name=region, config=config)


class Shipper:
    """Reads, gathers, sends, and only then moves on."""

    def __init__(self, config: dict[str, Any], state: Path, health: Health) -> None:
        self.config, self.health, self.cursor_file = config, health, state / "cursor"
        self.sender = Sender(config, health, self.wait)
        self.batch = Batch()
        self.ending = False

    def wait(self, seconds: float) -> None:
        """Sleep, but not through a request to end. Raises EndedError."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.ending:
                raise EndedError
            notify("WATCHDOG=1")
            time.sleep(min(SLICE, left))

    def flush(self) -> None:
        """Send what is gathered; the position is written after AWS has it."""
        if self.batch.events:
            self.sender.send(self.batch)
            write(self.cursor_file, self.batch.cursor + "\n")
            self.batch = Batch()

    def put(self, entry: dict[str, Any]) -> None:
        """Gather one entry."""
        one = event(entry)
        if not self.batch.takes(one):
            self.flush()
        self.batch.add(one)

    def run(self, journal: Journal) -> None:
        """Ship until asked to end."""
        due = 0.0
        self.health.tell(state="shipping")
        notify("READY=1")
        with contextlib.suppress(EndedError):
            while not self.ending:
                now = time.monotonic()
                if self.batch.events and now >= due:
                    self.flush()
                for entry in journal.read(min(SLICE, due - now) if self.batch.events else SLICE):
                    if not self.batch.events:
                        due = time.monotonic() + self.config["seconds"]
                    self.put(entry)
                notify("WATCHDOG=1")


def main(path: str) -> int:
    """Ship for ever."""
    config = json.loads(Path(path).read_text(encoding="utf-8"))
    state = Path(os.environ.get("STATE_DIRECTORY", "."))
    folder = os.environ.get("RUNTIME_DIRECTORY")
    shipper = Shipper(config, state, Health(Path(folder) if folder else None))

    def end(_number: int, _frame: Any) -> None:
        shipper.ending = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    journal = Journal(matches(config["identifiers"], config["units"]), position(shipper.cursor_file))
    try:
        shipper.run(journal)
    finally:
        journal.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
