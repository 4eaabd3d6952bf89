"""Code that roles put on hosts is imported from where the role keeps it."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("jupyterhub/files", "jupyterhub/files/server", "metrics/files", "journal/files")
sys.path[:0] = [str(ROOT / "roles" / folder) for folder in FOLDERS]
