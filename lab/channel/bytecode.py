"""Compiles sources with the interpreter the packages are for, which is not the one that runs this code."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path, PurePosixPath
from types import TracebackType

from lab.channel.package import Entry

# Runs in the target interpreter. Unchecked-hash files stay valid whatever the times of the installed sources are.
_CHILD = """
import importlib._bootstrap_external as external, importlib.util, pickle, struct, sys, warnings
warnings.simplefilter("ignore")
tag = sys.implementation.cache_tag
while True:
    try:
        sources = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    compiled = {}
    for path, source in sources.items():
        try:
            code = compile(source, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue
        compiled[path] = bytes(external._code_to_hash_pyc(code, importlib.util.source_hash(source), False))
    pickle.dump((tag, compiled), sys.stdout.buffer)
    sys.stdout.buffer.flush()
"""


class Compiler:
    """A child of the target interpreter that turns sources into ``__pycache__`` files; use as a context."""

    def __init__(self, interpreter: Path) -> None:
        """``interpreter`` is the target's executable."""
        self._child = subprocess.Popen(
            [interpreter, "-I", "-S", "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Compiler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.stdin.close()
        self._child.stdout.close()
        self._child.wait()

    def compile(self, entries: list[Entry]) -> list[Entry]:
        """Return the bytecode of the importable sources among ``entries``.

        Sources that do not compile have none, and neither have those that name the prefix: their text changes
        at installation, the host compiles them.
        """
        sources = {
            e.path: e.data
            for e in entries
            if e.path.endswith(".py") and e.path.startswith(("site-packages/", "lib/python")) and not e.relocated
        }
        if not sources:
            return []
        pickle.dump(sources, self._child.stdin)
        self._child.stdin.flush()
        tag, compiled = pickle.load(self._child.stdout)  # noqa: S301 -- our own child's answer
        paths = {path: PurePosixPath(path) for path in compiled}
        return [Entry(f"{p.parent}/__pycache__/{p.stem}.{tag}.pyc", compiled[s]) for s, p in paths.items()]
