"""What a lab keeps in its folder: small JSON files, written whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.identity import Lab


def read(path: Path, default: Any) -> Any:
    """Return the JSON in `path`, or `default` when there is none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return default


def write(path: Path, value: Any, mode: int = 0o600) -> None:
    """Replace `path` by `value` as JSON."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n", mode)


def write_text(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace `path` by `text`; a reader sees the old text or the new, and the mode holds from the start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as handle:
        handle.write(text)
    temporary.replace(path)


@contextmanager
def locked(lab: Lab) -> Iterator[None]:
    """Hold the lab: one `up` or `down` at a time. The kernel frees it when the holder dies, however it dies."""
    folder = lab.checkout / ".lab"
    folder.mkdir(exist_ok=True)
    with (folder / f".{lab.name}.lock").open("w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LabError(
                f"another command is working on lab '{lab.name}': wait for it, then type this again"
            ) from error
        yield
