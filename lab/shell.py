"""Run a command; a failure becomes a LabError with what the command said."""

from __future__ import annotations

import subprocess

from lab.errors import LabError


def run(*words: str, data: str | None = None, timeout: float = 120) -> str:
    """Run a command to its end and return its standard output, stripped."""
    try:
        result = subprocess.run(words, input=data, capture_output=True, text=True, check=False, timeout=timeout)
    except FileNotFoundError as error:
        raise LabError(f"{words[0]} is missing: type 'make setup'") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"'{' '.join(words[:4])} ...' did not end within {timeout:.0f} s") from error
    if result.returncode:
        raise LabError(f"'{' '.join(words[:6])} ...' failed: {(result.stderr or result.stdout).strip()[-500:]}")
    return result.stdout.strip()


def succeeds(*words: str) -> bool:
    """Say whether a command ends with 0; its output is dropped."""
    return subprocess.run(words, capture_output=True, check=False).returncode == 0
