"""Which kernels a server offers: its projects', by the generation that is in service, and the account's own.

nb_conda_kernels does this by running conda, which a host need not have, and knows no virtual environments. Here
nothing is run to make the list: files of the account's own home are read, and what is broken there is left out.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from traitlets import List, Unicode

_TAKEN = ("language", "env", "interrupt_mode", "metadata", "kernel_protocol_version")


class ProjectKernels(KernelSpecManager):
    """The kernels of JUPYTER_PATH and of the account, and environments in the account's home as kernels."""

    library = Unicode(help="Folder of this file.", config=True)
    launcher = Unicode(help="Program that runs a program of an environment.", config=True)
    own_environments = List(Unicode(), help="Folders in the home whose folders are environments.", config=True)

    def __init__(self, **options: Any) -> None:
        """Take what traitlets gives."""
        super().__init__(**options)
        self._told: set[str] = set()

    def _registered(self) -> dict[str, str]:
        """Return name -> folder of the kernels; the server's own environment is no place for anybody's code."""
        found = super().find_kernel_specs()
        return {name: folder for name, folder in found.items() if not Path(folder).is_relative_to(sys.prefix)}

    def _own(self) -> dict[str, KernelSpec]:
        found: dict[str, KernelSpec] = {}
        for prefix in environments(Path.home(), self.own_environments):
            try:
                for kernel, folder, wanted in kernels(prefix):
                    name = re.sub(r"[^a-z0-9._-]+", "-", f"own-{prefix.name}{kernel and '-' + kernel}".lower())
                    found[name] = self._spec(prefix, folder, wanted)
            except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                self._complain(f"environment {prefix} is not offered as a kernel: {type(error).__name__}: {error}")
        return found

    def _complain(self, text: str) -> None:
        """Log once: the list is made again whenever a page asks for it."""
        if text not in self._told:
            self._told.add(text)
            self.log.warning(text)

    def _spec(self, prefix: Path, folder: Path, wanted: dict[str, Any]) -> KernelSpec:
        program, *arguments = wanted["argv"]
        program = Path(program).name
        if not os.access(prefix / "bin" / program, os.X_OK):
            raise ValueError(f"bin/{program} cannot be run")
        taken = {key: wanted[key] for key in _TAKEN if key in wanted}
        spec = self.kernel_spec_class(resource_dir=str(folder), **taken)
        spec.argv = [self.launcher, str(prefix), program, *arguments]
        spec.display_name = f"{prefix.name} (own{', ' + wanted['display_name'] if folder.name != 'python3' else ''})"
        spec.env = {**spec.env, "DATALAB_KERNEL": spec.display_name}
        return spec

    def find_kernel_specs(self) -> dict[str, str]:
        """Return name -> folder of all kernels."""
        return {name: spec.resource_dir for name, spec in self._own().items()} | self._registered()

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return a kernel; its name for people tells the generation that a new kernel gets at this moment."""
        if kernel_name in self._registered():
            return _with_generation(super().get_kernel_spec(kernel_name))
        own = self._own()
        if kernel_name not in own:
            raise NoSuchKernel(kernel_name)
        return own[kernel_name]


def _with_generation(spec: KernelSpec) -> KernelSpec:
    known = spec.metadata.get("atelier")
    if not isinstance(known, dict) or "prefix" not in known:
        return spec
    prefix = Path(known["prefix"]).resolve()
    if not prefix.is_dir():
        spec.display_name += " (missing)"
    elif prefix.parent.name == "generations":
        spec.display_name += f" ({prefix.name[:6]})"
        spec.metadata = {**spec.metadata, "atelier": {**known, "generation": prefix.name}}
    spec.metadata = {**spec.metadata, **_encryption(prefix)}
    return spec


def _encryption(prefix: Path) -> dict[str, Any]:
    """Return what the ipykernel of an environment says of the encryption between it and the server."""
    try:
        told = json.loads((prefix / "share/jupyter/kernels/python3/kernel.json").read_text(encoding="utf-8"))
        return {"supported_encryption": told["metadata"]["supported_encryption"]}
    except (OSError, ValueError, KeyError, TypeError):  # an older one, or another language
        return {}


def environments(home: Path, folders: list[str]) -> list[Path]:
    """Return what may be environments: folders of ``folders`` (relative to ``home``), and what conda has noted."""
    places: list[Path] = []
    for folder in folders:
        try:
            places += sorted((home / folder).iterdir())
        except OSError:  # most homes have none
            continue
    try:
        noted = (home / ".conda/environments.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        noted = []
    places += [Path(line) for line in noted if Path(line).is_relative_to(home)]
    return [place for place in dict.fromkeys(places) if os.access(place / "bin", os.X_OK)]


def kernels(prefix: Path) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Yield name (empty for Python's), folder and content of each kernel in an environment."""
    found = sorted((prefix / "share/jupyter/kernels").glob("*/kernel.json"))
    for file in found:
        name = file.parent.name
        yield "" if name == "python3" else name, file.parent, json.loads(file.read_text(encoding="utf-8"))
    base = None if found else _base(prefix)
    if base and any(base.glob("lib/python3*/site-packages/ipykernel_launcher.py")):
        folder = base / "share/jupyter/kernels/python3"
        yield "", folder, json.loads((folder / "kernel.json").read_text(encoding="utf-8"))


def _base(prefix: Path) -> Path | None:
    """Return the environment whose packages a virtual environment uses besides its own; None when it uses none."""
    settings = prefix / "pyvenv.cfg"
    if not settings.is_file():
        return None
    lines = dict(re.findall(r"^(\S+)\s*=\s*(.+?)\s*$", settings.read_text(encoding="utf-8"), re.MULTILINE))
    return Path(lines["home"]).parent if lines.get("include-system-site-packages") == "true" else None
