"""Drives py-rattler in a process of its own; conda_env sends this file's text to that process.

The library may crash while an interpreter ends, so it never lives in Ansible's. This file imports nothing of
the collection: on the host it has only the standard library and the unpacked engine.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

PLATFORM = "linux-64"
ANSWER_SECONDS = 10  # for the first answer of a channel; a closed flow swallows packets without a word
REQUEST_SECONDS = 900  # for one whole download


class Engine:
    """py-rattler with one cache and one client, for all environments of a request."""

    def __init__(self, request: dict[str, Any]) -> None:
        """``request`` has ``engine`` (folder), ``cache`` (folder), ``mirrors`` (address to addresses)."""
        sys.path.insert(0, request["engine"])
        self.rattler = importlib.import_module("rattler")
        networking = importlib.import_module("rattler.networking")
        self.cache = Path(request["cache"])
        middlewares = [networking.MirrorMiddleware(request["mirrors"])] if request["mirrors"] else []
        self.client = networking.Client([*middlewares, networking.AuthenticationMiddleware()], timeout=REQUEST_SECONDS)
        self.mirrors: dict[str, list[str]] = request["mirrors"]
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

    def _url(self, channel: str) -> str:
        return str(self.rattler.Channel(channel).base_url)

    def _reach(self, channels: list[str]) -> None:
        """Raise OSError when no address of a channel answers; the library itself would wait for ever."""
        for channel in channels:
            url = self._url(channel).rstrip("/")
            if url not in self._answers:
                failures = [_silence(address) for address in self.mirrors.get(url, [url])]
                self._answers[url] = "" if "" in failures else "; ".join(failures)
            if self._answers[url]:
                raise OSError(f"error sending request: {self._answers[url]}")

    async def solve(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Return lock and packages of ``wanted`` (channels, packages, lock, keep: a lock to stay close to)."""
        if wanted["lock"]:
            records, text = self._read_lock(wanted["lock"]), wanted["lock"]
        else:
            self._reach(wanted["channels"])
            records = await self.rattler.solve(
                sources=wanted["channels"],
                specs=[self.rattler.MatchSpec(spec, strict=True) for spec in wanted["packages"]],
                gateway=self.gateway,
                platforms=[PLATFORM, "noarch"],
                locked_packages=self._read_lock(wanted["keep"]) if wanted["keep"] else None,
                virtual_packages=self.rattler.VirtualPackage.detect(),
            )
            text = self._write_lock(records, wanted["channels"])
        return {"lock": text, "packages": sorted(map(_package, records), key=lambda p: p["name"])}

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


def _silence(address: str) -> str:
    """Return why nothing answers at the address of a channel; empty when something does, a refusal included."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return ""
    shown = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
    request = urllib.request.Request(f"{shown}/noarch/repodata.json", method="HEAD")  # noqa: S310 -- http(s) only
    try:
        urllib.request.urlopen(request, timeout=ANSWER_SECONDS).close()  # noqa: S310
    except urllib.error.HTTPError:
        return ""
    except OSError as error:
        return f"{shown}: {error}"
    return ""


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
    answer = json.dumps(asyncio.run(_serve(json.loads(text))))
    sys.stdout.write(f"\n{answer}\n")
    sys.stdout.flush()
    # The library's threads may crash an interpreter that ends in the ordinary way.
    os._exit(0)


def call(source: str, request: dict[str, Any], held: tuple[int, ...] = ()) -> dict[str, dict[str, Any]]:
    """Run ``source`` (this file's text) in a new interpreter with ``request``; return the answer by environment.

    ``held`` are descriptors the child keeps open, so that a lock outlives a killed parent. Text and request go
    through standard input: mirrors' addresses may hold credentials, which a process list would show.
    """
    program = f"{source}\n\nserve({json.dumps(request)!r})\n"
    done = subprocess.run(
        [sys.executable, "-I", "-"], input=program, capture_output=True, text=True, check=False, pass_fds=held
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    detail = (done.stderr.strip().splitlines() or ["no output"])[-1]
    reason = f"the engine ended with status {done.returncode}: {detail}"
    return {wanted["name"]: {"error": reason} for wanted in request["environments"]}
