"""Metrics: the machine's numbers beside the hub's own at /hub/metrics, and a scraper's token for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY, Metric
from prometheus_client.parser import text_fd_to_metric_families


class Textfiles:
    """What the machine wrote in Prometheus' text format, read anew for each scrape."""

    def __init__(self, folder: Path) -> None:
        """Name the folder of the *.prom files; it may be made later."""
        self.folder = folder

    def describe(self) -> list[Metric]:
        """Nothing is known before a scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families of all files."""
        for file in sorted(self.folder.glob("*.prom")):
            with file.open(encoding="utf-8") as text:
                yield from text_fd_to_metric_families(text)


def configure(c: Any, settings: dict[str, Any]) -> None:
    """Add this part to the hub's configuration `c`."""
    REGISTRY.register(Textfiles(Path(settings["metrics_directory"])))
    c.JupyterHub.services.append({"name": "metrics", "api_token": os.environ["DATALAB_METRICS_TOKEN"]})
    c.JupyterHub.load_roles.append({"name": "metrics", "scopes": ["read:metrics"], "services": ["metrics"]})
