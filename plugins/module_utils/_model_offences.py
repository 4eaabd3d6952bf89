"""What is wrong with the data, told so that it can be repaired in one go. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._tables import printable

Path = tuple[str | int, ...]
Locate = Callable[[Path], tuple[str, int]]

_SHOWN = 120  # characters of a value; an ssh key or a pasted file would bury the rest


def written(path: Path) -> str:
    """A path as people write it: `projects[0].machines[1].address`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


@dataclasses.dataclass(frozen=True)
class Offence:
    """One wrong value: where, what, why, and what to write instead."""

    path: Path
    value: Any
    why: str
    instead: str
    rule: str | None = None
    note: str = ""

    @property
    def key(self) -> str:
        """Where it is, as people write it."""
        return written(self.path)

    @property
    def told(self) -> str:
        """What is wrong, and by which rule."""
        return f"{self.why} (rule {', '.join(filter(None, (self.rule, self.note)))})" if self.rule else self.why

    def shown(self) -> str:
        """The value, short; never one of `secrets`, nor what looks like a private key."""
        if self.path[:1] == ("secrets",) or "PRIVATE KEY" in str(self.value):
            return "(not shown)"
        if self.value is MISSING:
            return "(missing)"
        text = repr(self.value) if isinstance(self.value, str) else str(self.value)
        text = " ".join(text.split())
        return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."

    def line(self, locate: Locate) -> str:
        """`file:line: key = value: why: what to write instead`."""
        file, line = locate(self.path)
        text = f"{file}:{line}: {self.key} = {self.shown()}: {self.told}; {self.instead}"
        return printable(text)


class _Missing:
    def __repr__(self) -> str:
        return "(missing)"


MISSING = _Missing()


class Offences(Exception):  # noqa: N818  a collection of them, named as the reader meets it
    """All that is wrong, in the order of the data; `str()` of it is the one message."""

    def __init__(self, offences: Iterable[Offence], locate: Locate | None = None) -> None:
        self.offences = list(offences)
        self.locate = locate or (lambda path: (str(path[0]) if path else "data", 0))
        super().__init__(self.message())

    def message(self, locate: Locate | None = None) -> str:
        """One line per offence under a head that counts them; file by file, from top to bottom."""
        locate = locate or self.locate
        count = len(self.offences)
        files = list(dict.fromkeys(locate(one.path)[0] for one in self.offences))
        ordered = sorted(self.offences, key=lambda one: (files.index(locate(one.path)[0]), locate(one.path)[1]))
        head = f"The data has {count} fault{'s' if count != 1 else ''}; nothing was changed, nothing was asked of AWS."
        return "\n".join([head, *(f"  {offence.line(locate)}" for offence in ordered)])
