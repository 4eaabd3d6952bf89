"""A cursor over data that may be wrong anywhere: a check asks for what it needs and gets nothing where it is absent.

So one malformed value hides no fault elsewhere. Pure.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._model_offences import Offence, Path, written


@dataclasses.dataclass(frozen=True)
class Node:
    """A value and where it stands. What is absent or of another type behaves as empty."""

    value: Any
    path: Path = ()

    def __getitem__(self, key: str) -> Node:
        inside = self.value.get(key) if isinstance(self.value, dict) else None
        return Node(inside, (*self.path, key))

    def __iter__(self) -> Iterator[Node]:
        if isinstance(self.value, list):
            for place, inside in enumerate(self.value):
                yield Node(inside, (*self.path, place))

    def entries(self) -> Iterator[tuple[str, Node]]:
        """The entries of a mapping whose keys are texts."""
        if isinstance(self.value, dict):
            for key, inside in self.value.items():
                if isinstance(key, str):
                    yield key, Node(inside, (*self.path, key))

    @property
    def key(self) -> str:
        """Where it stands, as people write it."""
        return written(self.path)

    @property
    def text(self) -> str | None:
        """The value where it is a text that says something."""
        return self.value if isinstance(self.value, str) and self.value.strip() else None

    @property
    def number(self) -> int | None:
        """The value where it is a whole number."""
        return self.value if isinstance(self.value, int) and not isinstance(self.value, bool) else None

    @property
    def date(self) -> datetime.date | None:
        """The value where it is a day, written with or without quotes."""
        if isinstance(self.value, datetime.datetime):
            return self.value.date()
        if isinstance(self.value, datetime.date):
            return self.value
        try:
            return datetime.date.fromisoformat(self.value)
        except (TypeError, ValueError):
            return None

    def texts(self) -> set[str]:
        """The texts of a list."""
        return {node.text for node in self if node.text}

    def wrong(self, why: str, instead: str, rule: str | None = None) -> Offence:
        """An offence here."""
        return Offence(self.path, self.value, why, instead, rule)


def unknown(node: Node, collection: Node, what: str, key: str = "name") -> Iterator[Offence]:
    """`node` must name an entry of `collection`. Where that is itself malformed, its own fault is told, not this."""
    if not node.text or not isinstance(collection.value, (list, dict)):
        return
    choices = sorted(known(collection, key))
    if node.text not in choices:
        near = difflib.get_close_matches(node.text, choices, n=1, cutoff=0.6)
        listed = f"one of {collection.key} ({', '.join(choices)}) or add it there" if choices else "one that exists"
        yield node.wrong(f"is not a known {what}", f"did you mean {near[0]}?" if near else f"write {listed}")


def known(collection: Node, key: str = "name") -> set[str]:
    if isinstance(collection.value, dict):
        return {name for name, _ in collection.entries()}
    return {name for one in collection if (name := one.text or one[key].text)}


def doubles(nodes: Iterable[tuple[Node, Any]], what: str, instead: str) -> Iterator[Offence]:
    """The second and later of equal keys."""
    seen: dict[Any, Node] = {}
    for node, key in nodes:
        if key is None:
            continue
        if key in seen:
            yield node.wrong(f"{what} {key} is already taken by {seen[key].key}", instead)
        else:
            seen[key] = node
