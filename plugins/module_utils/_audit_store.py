"""The audit's files: JSON lines, one file per kind, written page by page.

For internal use of this collection.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO


class Store:
    """A folder of JSON lines. A kind's file holds what every account and region gave, in the order it was asked."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._open: dict[str, TextIO] = {}
        self.counts: dict[str, int] = {}

    def begin(self) -> None:
        """Make the folder, for nobody else's eyes, and drop what an earlier audit left."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in self.folder.glob("*.jsonl"):
            old.unlink()

    def write(self, kind: str, records: Iterable[dict[str, Any]]) -> int:
        """Append records; nothing of them stays in memory. Returns how many."""
        if kind not in self._open:
            self._open[kind] = (self.folder / f"{kind}.jsonl").open("w", encoding="utf-8")
        count = 0
        for record in records:
            self._open[kind].write(json.dumps(record, sort_keys=True, ensure_ascii=False) + "\n")
            count += 1
        self.counts[kind] = self.counts.get(kind, 0) + count
        return count

    def flush(self) -> None:
        """Let a reader see what was written."""
        for file in self._open.values():
            file.flush()

    def close(self) -> None:
        """Close the files."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def read(self, kind: str) -> Iterator[dict[str, Any]]:
        """The records of a kind, one at a time; none where nothing was gathered."""
        path = self.folder / f"{kind}.jsonl"
        if not path.exists():
            return
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
