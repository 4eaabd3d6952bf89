"""What a conda environment is asked to be and what differs: pure functions, no file, no network."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

# A package as the engine reports it: name, version, build, subdir, url, sha256, size.
Package = dict[str, Any]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_DIGITS = 12


class CondaError(Exception):
    """Something that stops the run; the message names the environment and says what to do."""


@dataclass(frozen=True)
class Spec:
    """What one environment is asked to be."""

    name: str
    packages: tuple[str, ...] = ()
    channels: tuple[str, ...] = ("conda-forge",)
    lock: str = ""
    state: str = "present"

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> Spec:
        """Make a spec of a module's (already typed) options; spelling and order of packages do not matter."""
        packages = sorted({" ".join(p.split()) for p in options.get("packages") or []})
        return cls(
            name=options["name"],
            packages=tuple(p for p in packages if p),
            channels=tuple(options.get("channels") or ["conda-forge"]),
            lock=options.get("lock") or "",
            state=options.get("state") or "present",
        )

    def document(self) -> dict[str, Any]:
        """Return what is kept beside the generation; two specs with one document want the same environment."""
        return {
            "channels": list(self.channels),
            "lock": hashlib.sha256(self.lock.encode()).hexdigest() if self.lock else None,
            "packages": list(self.packages),
        }


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
        f"{spec.name}: give packages or a lock"
        for spec in specs
        if spec.state != "absent" and not spec.packages and not spec.lock
    ]
    if offences:
        raise CondaError("environments: " + "; ".join(offences))


def generation_name(packages: list[Package]) -> str:
    """Return the name of the generation that holds exactly these packages (address and hash of each)."""
    pinned = sorted((p["url"], p["sha256"]) for p in packages)
    return hashlib.sha256(json.dumps(pinned).encode()).hexdigest()[:_DIGITS]


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


def mirror_map(mirrors: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return mirrors by the channel's full address, as the engine wants them."""
    return {channel_url(channel): [f"{url.rstrip('/')}/" for url in urls] for channel, urls in mirrors.items() if urls}


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
