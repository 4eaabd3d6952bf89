"""The one exception the lab raises on purpose; the command line prints it without a traceback."""

from __future__ import annotations


class LabError(Exception):
    """Something the user can act on; the message says what to do."""
