"""Locks beside the inventory: one text file for each environment, which says what spec it answers.

The file is comments, the engine's lock (YAML) and, where the spec has a pip section, a marker and pip's requirements
with their hashes. No part names a mirror or an index.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._conda import CondaError, Spec

_SPEC = "# spec: "
_PIP = "# pip: requirements with hashes\n"


@dataclass(frozen=True)
class Lock:
    """A lock in its parts."""

    conda: str
    pip: str = ""
    wanted: dict[str, Any] | None = None

    @classmethod
    def parse(cls, text: str) -> Lock:
        """Take a lock apart; one that another tool wrote says nothing about a spec.

        Raises:
            CondaError: the line about the spec cannot be read.
        """
        body, _, pip = text.partition(f"\n{_PIP}")
        said = next((line for line in body.splitlines() if line.startswith(_SPEC)), None)
        try:
            wanted = json.loads(said.removeprefix(_SPEC)) if said else None
        except ValueError as error:
            raise CondaError(f"the lock's line {said!r} is damaged") from error
        return cls(conda=body.rstrip("\n") + "\n", pip=pip, wanted=wanted)

    def text(self, name: str, virtual: dict[str, str]) -> str:
        """Return the file's text for the environment ``name``, solved for ``virtual`` packages."""
        target = ", ".join(f"{package.strip('_')} {version}" for package, version in sorted(virtual.items()))
        head = [
            f"# Lock of the conda environment {name}: what is installed, to the byte. Made by make lock; do not edit.",
            f"{_SPEC}{json.dumps(self.wanted, sort_keys=True)}",
            f"# for: linux-64, {target}",
        ]
        return "\n".join(head) + "\n" + self.conda.rstrip("\n") + "\n" + (f"{_PIP}{self.pip}" if self.pip else "")


def stale(spec: Spec, text: str) -> str:
    """Return why ``text`` is no lock of ``spec``; empty when it is, or when it does not say of what it is one."""
    wanted = Lock.parse(text).wanted
    if wanted is None or not spec.packages or wanted == spec.wanted():
        return ""
    parts = []
    for part in ("channels", "packages", "pip"):
        now, before = spec.wanted().get(part, []), wanted.get(part, [])
        words = [*(f"+{entry}" for entry in now if entry not in before), *(f"-{e}" for e in before if e not in now)]
        parts += [f"{part}: {' '.join(words) or 'another order'}"] if now != before else []
    return f"the spec is newer than its lock ({'; '.join(parts)})"


def lock_file(folder: Path, name: str) -> Path:
    """Return where the lock of an environment is."""
    return folder / f"{name}.lock"


def check_locks(specs: list[Spec], solve: bool) -> None:
    """Raise one CondaError that names every spec whose lock is of another spec or, without ``solve``, missing."""
    offences = [f"{spec.name}: {why}" for spec in specs if spec.lock and (why := stale(spec, spec.lock))]
    if not solve:
        offences += [f"{spec.name}: there is no lock" for spec in specs if spec.state == "present" and not spec.lock]
    if offences:
        raise CondaError(f"locks: {'; '.join(offences)}. Nothing was changed. Renew them with: make lock")


def read_locks(environments: list[dict[str, Any]], folder: Path, command: str) -> dict[str, str]:
    """Return the lock's text of each environment that is to be present.

    Args:
        environments: options of M(atelier.datalab.conda_env).
        folder: where the locks are, on this machine.
        command: what to type to renew them.

    Raises:
        CondaError: one message that names every environment without a lock or with one of another spec.
    """
    texts, offences = {}, []
    for options in environments:
        spec = Spec.from_options(options)
        if spec.state == "absent":
            continue
        try:
            texts[spec.name] = lock_file(folder, spec.name).read_text(encoding="utf-8")
        except FileNotFoundError:
            offences.append(f"{spec.name}: there is no lock")
            continue
        try:
            why = stale(spec, texts[spec.name])
        except CondaError as error:
            why = str(error)
        offences += [f"{spec.name}: {why}"] if why else []
    if offences:
        raise CondaError(f"locks in {folder}: {'; '.join(offences)}. Nothing was changed. Type: {command}")
    return texts
