"""Turns a wheel into a conda package: pure ones become noarch, compiled ones linux-64 for one Python."""

from __future__ import annotations

import configparser
import email
import re
import zipfile
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from lab.channel.bytecode import Compiler
from lab.channel.names import Target, conda_name, conda_version, extra_name, match_spec
from lab.channel.package import PLACEHOLDER, Entry, Package

# A third of pandas' files is its own test suite; its conda-forge package is without it too.
LEFT_OUT = ("pandas/tests/",)

_ENTRY_POINT = """#!{prefix}/bin/python
import sys
from {module} import {attribute}
if __name__ == "__main__":
    sys.exit({function}())
"""


@dataclass
class Converted:
    """A wheel as a conda package, the extras it asks of others, and its own extras as metapackages."""

    package: Package
    wanted: set[str] = field(default_factory=set)
    extras: dict[str, Package] = field(default_factory=dict)


class Wheel:
    """A wheel file, read once."""

    def __init__(self, path: Path, target: Target) -> None:
        """``path`` is the file; ``target`` the interpreter it will run on."""
        self.target = target
        self._archive = zipfile.ZipFile(path)
        self._info = next(
            n.split("/")[0] for n in self._archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/WHEEL", n)
        )
        self.metadata = self._message("METADATA")
        tags = parse_wheel_filename(path.name)[3]
        self._glibc = min((int(m[1]) for t in tags if (m := re.match(r"manylinux_2_(\d+)_", t.platform))), default=17)
        self.pure = self._message("WHEEL")["Root-Is-Purelib"].lower() == "true" and all(
            t.platform == "any" for t in tags
        )
        self.site = "site-packages" if self.pure else f"lib/python{target.python}/site-packages"

    def _message(self, name: str) -> Message:
        return email.message_from_bytes(self._archive.read(f"{self._info}/{name}"))

    @property
    def requirements(self) -> list[str]:
        """What the distribution requires, as PEP 508 text."""
        return self.metadata.get_all("Requires-Dist") or []

    def _place(self, name: str) -> str:
        """Return where a member of the archive goes under the prefix."""
        data = re.fullmatch(r"[^/]+\.data/([^/]+)/(.*)", name)
        if not data:
            return f"{self.site}/{name}"
        scheme, rest = data.groups()
        folders = {
            "data": "",
            "headers": f"include/python{self.target.python}/{self.metadata['Name']}/",
            "platlib": f"{self.site}/",
            "purelib": f"{self.site}/",
            "scripts": "python-scripts/" if self.pure else "bin/",
        }
        return folders[scheme] + rest

    def entries(self) -> list[Entry]:
        """Return the wheel's files in their places, shebangs of scripts made relocatable."""
        entries = [Entry(f"{self.site}/{self._info}/INSTALLER", b"conda\n")]
        for member in self._archive.infolist():
            place = self._place(member.filename)
            if member.is_dir() or member.filename.startswith(LEFT_OUT):
                continue
            if place.endswith((".dist-info/RECORD", ".dist-info/INSTALLER")):
                continue
            data = self._archive.read(member)
            script = place.startswith(("python-scripts/", "bin/"))
            if script and data.startswith(b"#!python"):
                data = f"#!{PLACEHOLDER}/bin/python".encode() + data[data.index(b"\n") :]
            entries.append(Entry(place, data, executable=script or bool((member.external_attr >> 16) & 0o111)))
        return entries

    def entry_points(self) -> list[str]:
        """Return ``name = module:function`` of every command."""
        path = f"{self._info}/entry_points.txt"
        if path not in self._archive.namelist():
            return []
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        parser.optionxform = str
        parser.read_string(self._archive.read(path).decode())
        sections = [parser[s] for s in ("console_scripts", "gui_scripts") if s in parser]
        return [f"{name} = {value.split('[')[0].strip()}" for section in sections for name, value in section.items()]

    def depends(self) -> list[str]:
        """Return the package's match specs, the interpreter's included."""
        depends = self.target.depends(self.requirements)
        if not self.pure:
            return [
                *depends,
                f"python {self.target.python}.*",
                f"python_abi {self.target.python}.* *_{self.target.tag}",
                f"__glibc >=2.{self._glibc}",
            ]
        required = self.metadata["Requires-Python"]
        return [*depends, match_spec("python", Requirement(f"python{required}")) if required else "python"]


def _commands(entry_points: list[str]) -> list[Entry]:
    """Return the scripts of entry points; clients make them for noarch packages only."""
    scripts = []
    for entry_point in entry_points:
        name, module, function = (part.strip() for part in re.split("[=:]", entry_point))
        text = _ENTRY_POINT.format(
            prefix=PLACEHOLDER, module=module, attribute=function.split(".")[0], function=function
        )
        scripts.append(Entry(f"bin/{name}", text.encode(), executable=True))
    return scripts


def convert(path: Path, target: Target, compiler: Compiler) -> Converted:
    """Convert the wheel at ``path``; bytecode for the target is packed along, so that hosts need not compile."""
    wheel = Wheel(path, target)
    entries, entry_points = wheel.entries(), wheel.entry_points()
    entries += compiler.compile(entries)
    name, version = conda_name(wheel.metadata["Name"]), conda_version(wheel.metadata["Version"])
    package = Package(
        name=name,
        version=version,
        build="pypi_0" if wheel.pure else f"{target.tag}_pypi_0",
        subdir="noarch" if wheel.pure else "linux-64",
        entries=entries if wheel.pure else entries + _commands(entry_points),
        depends=wheel.depends(),
        noarch="python" if wheel.pure else "",
        entry_points=entry_points,
        # str(): a header with letters outside ASCII is an object of its own.
        license=str(wheel.metadata["License-Expression"] or wheel.metadata["License"] or "").split("\n")[0][:60],
        summary=f"{wheel.metadata['Summary'] or ''} ({path.name})",
    )
    wanted = {
        extra_name(r.name, extra)
        for r in map(Requirement, wheel.requirements)
        if target.applies(r)
        for extra in r.extras
    }
    extras = {
        extra_name(wheel.metadata["Name"], extra): Package(
            name=extra_name(wheel.metadata["Name"], extra),
            version=version,
            build="pypi_0",
            subdir="noarch",
            depends=[f"{name} =={version}", *target.depends(wheel.requirements, extra)],
            noarch="generic",
            summary=f"{name} with what its extra {extra} adds",
        )
        for extra in wheel.metadata.get_all("Provides-Extra") or []
    }
    return Converted(package, wanted, extras)
