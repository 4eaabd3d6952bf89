"""Packs Spark (its source distribution on PyPI carries the jars) and Debian's Java as conda packages."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from lab.channel.bytecode import Compiler
from lab.channel.cpython import ChannelError
from lab.channel.package import Entry, Package

LOCK = Path(__file__).with_name("spark.txt")
# Java releases that Spark 4 supports, as Debian 12 and 13 have them.
_JAVA = ("openjdk-17-jre-headless", "openjdk-21-jre-headless")
# Where pyspark's own setup.py puts the folders of its source distribution.
_PLACES = {
    "pyspark": "",
    "deps/jars": "jars",
    "deps/bin": "bin",
    "deps/sbin": "sbin",
    "deps/licenses": "licenses",
    "lib": "python/lib",
}


def fetch(folder: Path) -> Path:
    """Return pyspark's source distribution in ``folder``, fetched unless it is there; the locked hash holds."""
    entry = next(e for e in re.split(r"\n(?=[a-z])", LOCK.read_text(encoding="utf-8")) if e.startswith("pyspark="))
    name = entry.split()[0].replace("==", "-") + ".tar.gz"
    hashes = re.findall(r"sha256:([0-9a-f]{64})", entry)
    path = folder / name
    if not (path.is_file() and _digest(path) in hashes):
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            lock = Path(scratch, "lock.txt")
            lock.write_text(entry, encoding="utf-8")
            command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
            command += ["--require-hashes", "--no-binary", "pyspark", "-r", lock, "-d", scratch]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ChannelError(f"pip could not fetch pyspark: {done.stderr.strip()[-800:]}")
            Path(scratch, name).replace(path)
    return path


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _place(member: str) -> str:
    """Return where a member of the source distribution goes below site-packages/pyspark; empty for nowhere."""
    for source, target in _PLACES.items():
        if member.startswith(f"{source}/") and not member.endswith(".cmd") and "/tests/" not in member:
            return f"{target}/{member.removeprefix(f'{source}/')}".lstrip("/")
    return ""


def package(source: Path, compiler: Compiler) -> Package:
    """Return the package ``pyspark`` made from its source distribution, with the jars, as conda-forge has it."""
    version = source.name.removeprefix("pyspark-").removesuffix(".tar.gz")
    entries = []
    with tarfile.open(source) as archive:
        for member in archive:
            inside = member.name.partition("/")[2]
            place = _place(inside) if member.isfile() else ""
            data = archive.extractfile(member).read() if place or inside == "PKG-INFO" else b""
            program = place.startswith(("bin/", "sbin/"))
            if place:
                entries.append(Entry(f"site-packages/pyspark/{place}", data, executable=program))
            if place.startswith("bin/") or place == "find_spark_home.py":
                entries.append(Entry(f"python-scripts/{Path(place).name}", data, executable=True))
            if inside == "PKG-INFO":
                entries.append(Entry(f"site-packages/pyspark-{version}.dist-info/METADATA", data))
    entries.append(Entry(f"site-packages/pyspark-{version}.dist-info/INSTALLER", b"conda\n"))
    return Package(
        name="pyspark",
        version=version,
        build="pypi_0",
        subdir="noarch",
        entries=entries + compiler.compile(entries),
        depends=["numpy >=1.21", "pandas >=2.2.0", "py4j >=0.10.9.7,<0.10.9.10", "pyarrow >=18.0.0", "python >=3.10"],
        noarch="python",
        license="Apache-2.0",
        summary=f"Spark {version} with its jars ({source.name})",
    )


def _debian(folder: Path) -> Path:
    """Return Debian's archive of a Java that Spark supports, in ``folder``, fetched unless it is there."""
    present = sorted(folder.glob("openjdk-*-jre-headless_*.deb"))
    if present:
        return present[-1]
    said = ""
    for update in (False, True):  # a fresh machine has no package lists
        if update:
            subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False)
        for name in _JAVA:
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                command = ["apt-get", "download", "-q", name]
                done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
                for archive in Path(scratch).glob("*.deb"):
                    return archive.replace(folder / archive.name)
            said = done.stderr.strip()
    raise ChannelError(f"none of {', '.join(_JAVA)} can be fetched from Debian: {said[-500:]}")


def java_package(folder: Path, scratch: Path) -> Package:
    """Return the package ``openjdk`` from Debian's archive: the runtime, in conda-forge's places.

    It links to zlib and libstdc++, which every Debian has. The authorities that Java trusts come from another Debian
    package and are left out.
    """
    archive, root = _debian(folder), scratch / "java"
    subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
    home = next(p for p in (root / "usr/lib/jvm").iterdir() if p.is_dir() and not p.is_symlink())
    entries = []
    for path in sorted(home.rglob("*")):
        real = path
        if path.is_symlink():  # settings lie in Debian's /etc
            target = path.readlink()
            real = root / target.relative_to("/") if target.is_absolute() else path
        if real.is_file():
            name = f"lib/jvm/{path.relative_to(home).as_posix()}"
            entries.append(Entry(name, real.read_bytes(), executable=os.access(real, os.X_OK)))
    programs = [e for e in entries if re.fullmatch(r"lib/jvm/bin/\w+", e.path)]
    entries += [Entry(f"bin/{Path(e.path).name}", e.data, target=f"../{e.path}") for e in programs]
    version = re.match(r"[^_]+_([\d.]+)", archive.name)[1]
    return Package(
        name="openjdk",
        version=version,
        build="local_0",
        subdir="linux-64",
        entries=entries,
        depends=["__glibc >=2.36"],
        license="GPL-2.0-or-later WITH Classpath-exception-2.0",
        summary=f"Java runtime repackaged from Debian's {archive.name}",
    )
