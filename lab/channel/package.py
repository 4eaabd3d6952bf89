"""Writes one conda package (format 2, ``.conda``) and returns its entry for repodata.json."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conda_package_streaming.create import conda_builder

# conda's clients replace this text by the prefix at installation. Its length is the longest prefix they accept.
PLACEHOLDER = "/opt/channel".ljust(255, "_")
TIMESTAMP = 1_700_000_000  # seconds; fixed, so that the same input gives the same bytes
COMPRESSION_LEVEL = 3


@dataclass(frozen=True)
class Entry:
    """One file of a package: its place under the prefix and its content, or where a symbolic link points."""

    path: str
    data: bytes = b""
    executable: bool = False
    target: str = ""

    @property
    def relocated(self) -> bool:
        """Whether the content names the prefix."""
        return PLACEHOLDER.encode() in self.data

    def described(self) -> dict[str, Any]:
        """Return the file's entry in info/paths.json."""
        described = {
            "_path": self.path,
            "path_type": "softlink" if self.target else "hardlink",
            "sha256": hashlib.sha256(self.data).hexdigest(),
            "size_in_bytes": len(self.data),
        }
        if self.relocated:
            mode = "binary" if b"\0" in self.data else "text"
            described |= {"file_mode": mode, "prefix_placeholder": PLACEHOLDER}
        return described

    def header(self) -> tarfile.TarInfo:
        """Return the file's header in the archive."""
        header = tarfile.TarInfo(self.path)
        header.mtime = TIMESTAMP
        header.mode = 0o755 if self.executable or self.target else 0o644
        if self.target:
            header.type, header.linkname = tarfile.SYMTYPE, self.target
        else:
            header.size = len(self.data)
        return header


@dataclass
class Package:
    """A conda package in memory."""

    name: str
    version: str
    build: str
    subdir: str
    entries: list[Entry] = field(default_factory=list)
    depends: list[str] = field(default_factory=list)
    constrains: list[str] = field(default_factory=list)
    build_number: int = 0
    noarch: str = ""
    entry_points: list[str] = field(default_factory=list)
    license: str = ""
    summary: str = ""

    @property
    def stem(self) -> str:
        """The file name without its ending."""
        return f"{self.name}-{self.version}-{self.build}"

    def index(self) -> dict[str, Any]:
        """Return info/index.json."""
        index = {
            "arch": None if self.noarch else "x86_64",
            "build": self.build,
            "build_number": self.build_number,
            "constrains": self.constrains,
            "depends": self.depends,
            "license": self.license,
            "name": self.name,
            "platform": None if self.noarch else "linux",
            "subdir": self.subdir,
            "timestamp": TIMESTAMP * 1000,
            "version": self.version,
        }
        return index | ({"noarch": self.noarch} if self.noarch else {})

    def _metadata(self) -> list[Entry]:
        documents: dict[str, Any] = {
            "index.json": self.index(),
            "paths.json": {"paths": [e.described() for e in self.entries], "paths_version": 1},
            "about.json": {"license": self.license, "summary": self.summary},
        }
        if self.noarch == "python":
            documents["link.json"] = {
                "noarch": {"entry_points": self.entry_points, "type": "python"},
                "package_metadata_version": 1,
            }
        files = "".join(f"{e.path}\n" for e in self.entries).encode()
        return [
            *(Entry(f"info/{n}", json.dumps(d, indent=1, sort_keys=True).encode()) for n, d in documents.items()),
            Entry("info/files", files),
        ]

    def write(self, channel: Path) -> tuple[str, str, dict[str, Any]]:
        """Write the package under ``channel/<subdir>``; return the subdir, the file name and the repodata entry."""
        self.entries.sort(key=lambda e: e.path)
        folder = channel / self.subdir
        folder.mkdir(parents=True, exist_ok=True)
        with conda_builder(self.stem, folder, compression_level=COMPRESSION_LEVEL) as archive:
            for entry in [*self._metadata(), *self.entries]:
                archive.addfile(entry.header(), io.BytesIO(entry.data))
        path = folder / f"{self.stem}.conda"
        content = path.read_bytes()
        record = self.index() | {
            "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
        }
        return self.subdir, path.name, record


def write_repodata(channel: Path, records: list[tuple[str, str, dict[str, Any]]]) -> None:
    """Write repodata.json of every subdir (noarch and linux-64 always) from what Package.write returned."""
    for subdir in ("noarch", "linux-64"):
        folder = channel / subdir
        folder.mkdir(parents=True, exist_ok=True)
        document = {
            "info": {"subdir": subdir},
            "packages": {},
            "packages.conda": {
                name: record for where, name, record in sorted(records, key=lambda r: r[1]) if where == subdir
            },
            "removed": [],
            "repodata_version": 1,
        }
        # Never in place: a channel that was copied by hard links shares the file with the one it came from.
        fresh = folder / "repodata.json.new"
        fresh.write_text(json.dumps(document, indent=1, sort_keys=True), encoding="utf-8")
        fresh.replace(folder / "repodata.json")


def read_repodata(channel: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """Return what write_repodata was given when it wrote this channel."""
    return [
        (subdir, name, record)
        for subdir in ("noarch", "linux-64")
        for name, record in json.loads((channel / subdir / "repodata.json").read_text(encoding="utf-8"))[
            "packages.conda"
        ].items()
    ]
