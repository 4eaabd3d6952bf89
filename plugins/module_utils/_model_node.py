"""A cursor over data that may be wrong anywhere: a check asks for what it needs and gets nothing where it is absent.

So one malformed value hides no fault elsewhere. Pure.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator
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
