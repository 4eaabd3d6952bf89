"""The hub, visited by the people of this scenario."""

from __future__ import annotations

from tests.hosts import visits

hub = visits.hub("ines,otto", "delta-base")
