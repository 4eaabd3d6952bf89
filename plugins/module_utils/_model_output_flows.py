"""The flow matrix with everything that core IT is told of it: the fact `datalab.matrix`. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ansible_collections.atelier.datalab.plugins.module_utils import _flows

if TYPE_CHECKING:
    from ansible_collections.atelier.datalab.plugins.module_utils._model import Data


def matrix(data: Data, openings: Iterable[_flows.Opening], warn_days: int) -> dict[str, Any]:
    """Every opening, also those that have ended, and what its ends and owners are to people outside the platform."""
    return {
        "flows": [
            {**dataclasses.asdict(one), "expires": one.expires.isoformat() if one.expires else ""} for one in openings
        ],
        "corporate": list(data.corporate.networks),
        "addresses": _addresses(data),
        "people": {one.login: {"name": one.name, "email": one.email} for one in data.members},
        "warn_days": warn_days,
    }


def _addresses(data: Data) -> dict[str, list[str]]:
    """The networks of each end that has a name. Of a project those of its machines, which may move within them."""
    zones, bastion = {zone.name: zone for zone in data.platform.network.zones}, data.platform.bastion
    private = [zone.private for zone in zones.values()]
    used = {project.name: {machine.zone for machine in project.machines} for project in data.projects}
    return {
        "corporate": list(data.corporate.networks),
        "bastion": [f"{bastion.address}/32" if bastion.address else zones[bastion.zone].public],
        "endpoints": private,
        # Without machines yet: wherever they may come to be.
        **{f"project:{name}": [zones[one].private for one in sorted(own)] or private for name, own in used.items()},
    }
