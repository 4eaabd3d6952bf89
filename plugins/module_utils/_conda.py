"""What a conda environment is asked to be and what differs: pure functions, no file, no network."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

# A package as the engine reports it: name, version, build, subdir, url, sha256, size.
Package = dict[str, Any]

PIP_SOURCE = "pypi"  # the entry of the mirrors that says where pip sections come from
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9][\w.-]*(\[[\w., -]+\])?\s*([<>=!~][^@/\s]*(\s*,\s*[<>=!~][^@/\s]*)*)?(\s*;[^@/]*)?"
)
_DIGITS = 12


class CondaError(Exception):
    """Something that stops the run; the message names the environment and says what to do."""


@dataclass(frozen=True)
class Spec:
    """What one environment is asked to be."""

    name: str
    packages: tuple[str, ...] = ()
    channels: tuple[str, ...] = ("conda-forge",)
    pip: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    lock: str = ""
    state: str = "present"
    generation: str = ""
    reason: str = ""

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> Spec:
        """Make a spec of a module's (already typed) options; spelling and order of packages do not matter."""
        packages, pip = _tidy(options.get("packages")), _tidy(options.get("pip"))
        return cls(
            name=options["name"],
            # What installs the pip section is part of the environment.
            packages=tuple(sorted({*packages, "uv"})) if pip else packages,
            pip=pip,
            imports=_tidy(options.get("imports")),
            channels=tuple(options.get("channels") or ["conda-forge"]),
            lock=options.get("lock") or "",
            state=options.get("state") or "present",
            generation=options.get("generation") or "",
            reason=options.get("reason") or "",
        )

    def wanted(self) -> dict[str, list[str]]:
        """Return what is solved: a lock answers exactly this."""
        pip = {"pip": list(self.pip)} if self.pip else {}
        return {"channels": list(self.channels), "packages": list(self.packages), **pip}

    def document(self) -> dict[str, Any]:
        """Return what is kept beside the generation; two specs with one document want the same environment."""
        lock = hashlib.sha256(self.lock.encode()).hexdigest() if self.lock else None
        return {**self.wanted(), "imports": list(self.imports), "lock": lock}


def _tidy(entries: list[str] | None) -> tuple[str, ...]:
    """Return entries without double blanks, double entries and order, none of which means anything."""
    return tuple(sorted({" ".join(entry.split()) for entry in entries or []} - {""}))


def check_specs(specs: list[Spec]) -> None:
    """Raise one CondaError that names every offending spec."""
    offences = [
        f"{spec.name!r}: a name has lower-case letters, digits, '-' and '_', at most 63"
        for spec in specs
        if not _NAME.fullmatch(spec.name)
    ]
    names = [spec.name for spec in specs]
    offences += [f"{name}: given twice" for name in sorted({n for n in names if names.count(n) > 1})]
    offences += [
        f"{spec.name}: pip: {entry}: write a name and versions; sources are the entry {PIP_SOURCE} of mirrors"
        for spec in specs
        for entry in spec.pip
        if not _REQUIREMENT.fullmatch(entry)
    ]
    offences += [
        f"{spec.name}: import {module!r} is not the name of a module"
        for spec in specs
        for module in spec.imports
        if not all(part.isidentifier() for part in module.split("."))
    ]
    offences += [
        f"{spec.name}: a pip section needs a lock, which state locked makes"
        for spec in specs
        if spec.state == "present" and spec.pip and not spec.lock
    ]
    offences += [
        f"{spec.name}: give packages or a lock"
        for spec in specs
        if spec.state in ("present", "locked") and not spec.packages and not spec.lock
    ]
    if offences:
        raise CondaError("environments: " + "; ".join(offences))


def generation_name(packages: list[Package], pip: str = "") -> str:
    """Return the name of the generation of exactly these packages (address and hash of each) and pip section."""
    pinned = json.dumps(sorted((p["url"], p["sha256"]) for p in packages))
    return hashlib.sha256((pinned + pip).encode()).hexdigest()[:_DIGITS]


def label(package: Package) -> str:
    """Return ``version build`` of a package."""
    return f"{package['version']} {package['build']}"


@dataclass(frozen=True)
class Difference:
    """Packages that one lock has and another has not; each is ``name version build``."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def lines(self) -> list[str]:
        """Return the difference for people, one package a line."""
        return [
            *(f"- {line}" for line in self.removed),
            *(f"~ {line}" for line in self.changed),
            *(f"+ {line}" for line in self.added),
        ]


def difference(before: list[Package], after: list[Package]) -> Difference:
    """Return what leads from one list of packages to another; a changed one reads ``name old -> new``."""
    old, new = ({p["name"]: p for p in side} for side in (before, after))

    def same(name: str) -> bool:
        return all(old[name][key] == new[name][key] for key in ("url", "sha256"))

    return Difference(
        added=tuple(f"{name} {label(new[name])}" for name in sorted(new.keys() - old.keys())),
        removed=tuple(f"{name} {label(old[name])}" for name in sorted(old.keys() - new.keys())),
        changed=tuple(
            f"{name} {label(old[name])} -> {label(new[name])}"
            for name in sorted(old.keys() & new.keys())
            if not same(name)
        ),
    )


def channel_url(channel: str) -> str:
    """Return the address of a channel given by name or by address."""
    return channel.rstrip("/") if "://" in channel else f"https://conda.anaconda.org/{channel}"


# What to tell people about an error of the engine, by what its text contains; the first match counts.
_REASONS = (
    (r"No space left|os error 28", "the disk is full; free some space and run again"),
    (r"Cannot solve|unsolvable|No candidates were found", "the packages asked for do not go together"),
    (
        r"hash mismatch|invalid checksum|mismatch.*(sha256|md5)|(sha256|md5).*mismatch|expected .* but got",
        "a package is corrupt",
    ),
    (r"no credentials are given for", "the channel wants credentials"),
    (r"\b407\b|Tunnel connection failed: 40[13]", "the proxy refused the credentials"),
    (r"\b40[13] (Unauthorized|Forbidden)", "the channel refused the credentials"),
    (
        r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate|UnknownIssuer",
        "the channel's certificate is of no authority that this host trusts; give its authority in ca_certificates",
    ),
    (r"there is no channel", "the directory holds no channel"),
    (r"through the proxy", "the proxy or the channel behind it does not answer"),
    (
        r"error sending request|connect|dns|timed? ?out|status (client|server) error|\b(40|50)\d\b",
        "the channel does not answer",
    ),
    (r"\b(tar|zip|zstd)\b|archive", "a package is corrupt"),
)
_LONGEST = 600


def explain(errors: dict[str, str]) -> str:
    """Return one message about the engine's errors by environment: the reason first, then the engine's words.

    Environments that fail alike (the channel is down, the disk is full) share a line.
    """
    names: dict[str, list[str]] = {}
    for name, text in errors.items():
        names.setdefault(text, []).append(name)
    return "\n".join(_explain_one(" and ".join(shared), text) for text, shared in names.items())


def _explain_one(name: str, text: str) -> str:
    words = " ".join(text.split())
    if len(words) > _LONGEST:
        words = words[: _LONGEST - 3] + "..."
    reason = next((reason for pattern, reason in _REASONS if re.search(pattern, text, re.IGNORECASE)), "failed")
    return f"environment {name}: {reason} ({words})"
