"""Drives py-rattler in a process of its own; conda_env sends this file's text to that process.

The library may crash while an interpreter ends, so it never lives in Ansible's. This file imports nothing of
the collection: on the host it has only the standard library and the unpacked engine.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import http.server
import importlib
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

PLATFORM = "linux-64"
ANSWER_SECONDS = 10  # for the first answer of a channel; a closed flow swallows packets without a word
REQUEST_SECONDS = 900  # for one whole download
STALL_SECONDS = 60  # without a byte written or work done: the mirror went silent in the middle


class Engine:
    """py-rattler with one cache and one client, for all environments of a request."""

    def __init__(self, request: dict[str, Any]) -> None:
        """``request`` has ``engine`` (folder), ``cache`` (folder) and what ``_conda_sources.prepare`` returns."""
        _equip(request)
        sys.path.insert(0, request["engine"])
        self.rattler = importlib.import_module("rattler")
        networking = importlib.import_module("rattler.networking")
        self.cache = Path(request["cache"])
        self.virtual: dict[str, str] = request.get("virtual") or {}
        # Through a mirror a directory is like any other source: locks are the same wherever packages come from.
        served = {channel: [_served(directory)] for channel, directory in request["directories"].items()}
        mirrors = request["mirrors"] | served
        middlewares = [networking.MirrorMiddleware(mirrors)] if mirrors else []
        self.client = networking.Client([*middlewares, networking.AuthenticationMiddleware()], timeout=REQUEST_SECONDS)
        directories = {channel: [directory] for channel, directory in request["directories"].items()}
        self.mirrors: dict[str, list[str]] = request["mirrors"] | directories
        self.doors = Doors(request["credentials"], request["origins"])
        self._answers: dict[str, str] = {}
        # Sharded repodata of 0.28 fails when the server answers 304.
        self.gateway = self.rattler.Gateway(
            cache_dir=self.cache / "repodata",
            client=self.client,
            default_config=self.rattler.SourceConfig(sharded_enabled=False),
        )

    def _read_lock(self, text: str) -> list[Any]:
        with tempfile.NamedTemporaryFile("w", suffix=".lock") as file:
            file.write(text)
            file.flush()
            environment = self.rattler.LockFile.from_path(Path(file.name)).default_environment()
        platform = next((p for p in environment.platforms() if str(p.name) == PLATFORM), None)
        records = platform and environment.conda_repodata_records_for_platform(platform)
        if not records:
            raise ValueError(f"the lock has no packages for {PLATFORM}")
        return records

    def _write_lock(self, records: list[Any], channels: list[str]) -> str:
        platform = self.rattler.LockPlatform(PLATFORM)
        lock = self.rattler.LockFile([platform])
        lock.set_channels("default", [self.rattler.LockChannel(self._url(channel)) for channel in channels])
        for record in sorted(records, key=lambda r: str(r.url)):
            lock.add_conda_package("default", platform, record)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "conda.lock")
            lock.to_path(path)
            return path.read_text(encoding="utf-8")

    @staticmethod
    def _packages(records: list[Any]) -> list[dict[str, Any]]:
        return sorted(map(_package, records), key=lambda p: p["name"])

    def _virtual_packages(self) -> list[Any]:
        """Return what the target offers, as data says it: this machine's own kernel and libraries do not count."""
        make = self.rattler.GenericVirtualPackage
        return [
            make(self.rattler.PackageName(name), self.rattler.Version(version), self.rattler.BuildString("0"))
            for name, version in self.virtual.items()
        ]

    def _url(self, channel: str) -> str:
        return str(self.rattler.Channel(channel).base_url)

    def _reach(self, channels: list[str]) -> None:
        """Raise OSError when no address of a channel answers; the library itself would wait for ever."""
        for channel in channels:
            url = self._url(channel).rstrip("/")
            if url not in self._answers:
                failures = [self.doors.knock(address) for address in self.mirrors.get(url, [url])]
                self._answers[url] = "" if "" in failures else "; ".join(failures)
            if self._answers[url]:
                raise OSError(f"error sending request: {self._answers[url]}")

    async def solve(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Return lock and packages of ``wanted``, and what the lock ``keep`` holds.

        ``wanted`` has channels, packages, lock, keep (a lock to stay close to) and refresh (whether not to).
        """
        kept = self._read_lock(wanted["keep"]) if wanted["keep"] else []
        if wanted["lock"]:
            records, text = self._read_lock(wanted["lock"]), wanted["lock"]
        else:
            self._reach(wanted["channels"])
            records = await self.rattler.solve(
                sources=wanted["channels"],
                specs=[self.rattler.MatchSpec(spec, strict=True) for spec in wanted["packages"]],
                gateway=self.gateway,
                platforms=[PLATFORM, "noarch"],
                locked_packages=None if wanted["refresh"] else kept or None,
                virtual_packages=self._virtual_packages(),
            )
            text = self._write_lock(records, wanted["channels"])
        return {"lock": text, "packages": self._packages(records), "kept": self._packages(kept)}

    async def install(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Install the lock of ``wanted`` into ``staging``, written so that it works at ``prefix``."""
        records = self._read_lock(wanted["lock"])
        absent = [r for r in records if not any(self.cache.glob(f"{r.file_name.removesuffix('.conda')}*"))]
        self._reach(sorted({str(r.url).rsplit("/", 2)[0] for r in absent}))
        await self.rattler.install(
            records,
            target_prefix=wanted["staging"],
            alternative_target_prefix=wanted["prefix"],
            cache_dir=self.cache,
            client=self.client,
            installed_packages=[],
            show_progress=False,
        )
        return {}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        """Say nothing: the answer alone goes to standard output."""


class _Server(http.server.ThreadingHTTPServer):
    # The library knocks for all packages at once; a knock that finds no room waits for seconds before the next.
    request_queue_size = 1024
    daemon_threads = True


def _served(directory: str) -> str:
    """Serve a ``file://`` directory on loopback while this process lives; return the address."""
    # Not through a proxy.
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{os.environ.get('no_proxy', '')},127.0.0.1".lstrip(",")
    handler = functools.partial(_Quiet, directory=urllib.parse.urlsplit(directory).path)
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


class Doors:
    """Asks the addresses of channels for an answer, the way the library will: same credentials, proxy, authorities."""

    def __init__(self, credentials: dict[str, dict[str, Any]], origins: dict[str, str]) -> None:
        """Both by host, or ``*.domain``: what to present, and where it comes from."""
        self.credentials, self.origins = credentials, origins
        context = ssl.create_default_context()
        # The library takes certificates that leave out what Python 3.13 insists on.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self.opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))

    def knock(self, address: str) -> str:
        """Return why there are no packages to be had at the address of a channel; empty when it answers."""
        parts = urllib.parse.urlsplit(address)
        shown = address.rstrip("/")
        if parts.scheme == "file":
            index = Path(parts.path, "noarch/repodata.json")
            return "" if index.is_file() else f"{shown}: there is no channel, {index} is missing"
        if parts.scheme not in ("http", "https"):
            return ""
        host = parts.hostname or ""
        proxy = "" if urllib.request.proxy_bypass(parts.netloc) else urllib.request.getproxies().get(parts.scheme, "")
        through = f" through the proxy {_without_user(proxy)}" if proxy else ""
        try:
            # It looks at the environment that _equip has set, and so does the library.
            self.opener.open(self._request(parts), timeout=ANSWER_SECONDS).close()
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                own = f" or the credentials of the proxy {_without_user(proxy)}" if "@" in proxy else ""
                return f"{shown}: {error.code} {error.reason}; {self._advice(host)}{own}"
            return f"{shown}{through}: {error.code} {error.reason}" if error.code == 407 else ""
        except OSError as error:
            reason = getattr(error, "reason", None) or error
            return f"{shown}{through}: {reason}"
        return ""

    def _request(self, parts: urllib.parse.SplitResult) -> urllib.request.Request:
        known = self.credentials.get(self._entry(parts.hostname or ""), {})
        path = parts.path.rstrip("/")
        headers = {}
        if "BearerToken" in known:
            headers["Authorization"] = f"Bearer {known['BearerToken']}"
        elif "BasicHTTP" in known:
            pair = f"{known['BasicHTTP']['username']}:{known['BasicHTTP']['password']}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        elif "CondaToken" in known:
            path = f"/t/{known['CondaToken']}{path}"
        url = urllib.parse.urlunsplit(parts._replace(path=f"{path}/noarch/repodata.json"))
        return urllib.request.Request(url, method="HEAD", headers=headers)  # noqa: S310 -- http(s) only

    def _entry(self, host: str) -> str:
        """Return under which name the credentials of a host are known; empty when there are none."""
        labels = host.split(".")
        names = [host, *(f"*.{'.'.join(labels[start:])}" for start in range(len(labels)))]
        return next((name for name in names if name in self.credentials), "")

    def _advice(self, host: str) -> str:
        entry = self._entry(host)
        return f"check {self.origins[entry]}" if entry else f"no credentials are given for {host}"


def _equip(request: dict[str, Any]) -> None:
    """Set what the library and urllib read from the environment.

    It is the environment of this process alone, set after its start: neither ``/proc`` nor a file shows it. The
    files are in memory for the same reason.
    """
    if request["proxies"]:
        for name in [n for n in os.environ if n.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")]:
            del os.environ[name]
        os.environ.update(request["proxies"])
    if request["credentials"]:
        os.environ["RATTLER_AUTH_FILE"] = _in_memory(json.dumps(request["credentials"]))
    if request["authorities"]:
        # Besides those the host trusts already.
        if folder := ssl.get_default_verify_paths().capath:
            os.environ["SSL_CERT_DIR"] = folder
        os.environ["SSL_CERT_FILE"] = _in_memory(request["authorities"])


def _in_memory(text: str) -> str:
    """Return the path of a new file that only this process has; it ends with the process, however that ends."""
    descriptor = os.memfd_create("datalab")
    with os.fdopen(descriptor, "w", closefd=False) as file:
        file.write(text)
    return f"/proc/self/fd/{descriptor}"


def _without_user(address: str) -> str:
    parts = urllib.parse.urlsplit(address)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _secrets(request: dict[str, Any]) -> list[str]:
    """Return every spelling of the request's secrets, the longest first."""
    found: set[str] = set()
    for known in request["credentials"].values():
        basic = known.get("BasicHTTP")
        if basic:
            found |= {basic["password"], base64.b64encode(f"{basic['username']}:{basic['password']}".encode()).decode()}
        found |= {known[kind] for kind in ("BearerToken", "CondaToken") if kind in known}
    for address in request["proxies"].values():
        if "@" in address:
            user = urllib.parse.urlsplit(address).netloc.rpartition("@")[0]
            found |= {user.partition(":")[2], base64.b64encode(urllib.parse.unquote(user).encode()).decode()}
            found.add(urllib.parse.unquote(user.partition(":")[2]))
    found |= {urllib.parse.quote(secret, safe="") for secret in found}
    return sorted(found - {""}, key=len, reverse=True)


def _package(record: Any) -> dict[str, Any]:
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "build": str(record.build),
        "subdir": str(record.subdir),
        "url": str(record.url),
        "sha256": record.sha256.hex() if record.sha256 else "",
        "size": record.size or 0,
    }


def _reason(error: BaseException) -> str:
    """Return the texts of an error and of what caused it, without repetitions."""
    texts: list[str] = []
    current: BaseException | None = error
    while current is not None:
        text = str(current) or type(current).__name__
        if not any(text in known for known in texts):
            texts.append(text)
        current = current.__cause__ or current.__context__
    return "; ".join(texts)


async def _answer(step: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    try:
        return await step
    except Exception as error:  # whatever the library raises belongs into the answer
        return {"error": _reason(error)}


async def _serve(request: dict[str, Any]) -> dict[str, dict[str, Any]]:
    engine = Engine(request)
    operation = engine.solve if request["operation"] == "solve" else engine.install
    return {wanted["name"]: await _answer(operation(wanted)) for wanted in request["environments"]}


def serve(text: str) -> None:
    """Answer one request (JSON) on standard output and end this process at once."""
    os.umask(0o022)  # everybody on the host reads environments, whatever root's umask is
    request = json.loads(text)
    threading.Thread(target=_watch, args=[request], daemon=True).start()
    _say(asyncio.run(_serve(request)))


def _say(answers: dict[str, dict[str, Any]]) -> None:
    sys.stdout.write(f"\n{json.dumps(answers)}\n")
    sys.stdout.flush()
    # The library's threads may crash an interpreter that ends in the ordinary way.
    os._exit(0)


def _watch(request: dict[str, Any]) -> None:
    """Give up when nothing happens any more: the library waits for ever on a mirror that goes silent."""
    last, since = _work_done(), time.monotonic()
    while time.monotonic() - since < STALL_SECONDS:
        time.sleep(min(1, STALL_SECONDS / 10))
        now = _work_done()
        if now[0] != last[0] or now[1] - last[1] > 0.05:
            last, since = now, time.monotonic()
    reason = f"error sending request: it timed out, nothing came for {STALL_SECONDS} s in the middle of the transfer"
    _say({wanted["name"]: {"error": reason} for wanted in request["environments"]})


def _work_done() -> tuple[str, float]:
    """Return how much this process has written, and its seconds of processor."""
    written = next(line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("wchar"))
    return written, time.process_time()


def call(source: str, request: dict[str, Any], held: tuple[int, ...] = ()) -> dict[str, dict[str, Any]]:
    """Run ``source`` (this file's text) in a new interpreter with ``request``; return the answer by environment.

    ``held`` are descriptors the child keeps open, so that a lock outlives a killed parent. Text and request go
    through standard input, since the request holds secrets; no error text has one of them.
    """
    program = f"{source}\n\nserve({json.dumps(request)!r})\n"
    done = subprocess.run(
        [sys.executable, "-I", "-"], input=program, capture_output=True, text=True, check=False, pass_fds=held
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        answers = json.loads(lines[-1])
    else:
        detail = (done.stderr.strip().splitlines() or ["no output"])[-1]
        reason = f"the engine ended with status {done.returncode}: {detail}"
        answers = {wanted["name"]: {"error": reason} for wanted in request["environments"]}
    for answer in answers.values():
        for secret in _secrets(request) if "error" in answer else []:
            answer["error"] = answer["error"].replace(secret, "***")
    return answers
