"""What a project's data comes to on its machines: conda environments, kernels, its part of the hub. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.atelier.datalab.plugins.module_utils import _names
from ansible_collections.atelier.datalab.plugins.module_utils._model_checks_notebooks import package_name

if TYPE_CHECKING:
    from ansible_collections.atelier.datalab.plugins.module_utils._model import Data, Project
    from ansible_collections.atelier.datalab.plugins.module_utils._model_notebooks import CondaEnvironment, Limit


def project(data: Data, project: Project) -> dict[str, Any]:
    """`conda`: environments to build; `kernels`: what shows them; `hub`: who may what; `metrics`: what is measured."""
    return {
        "conda": [
            {
                "name": _names.environment_name(project.name, one.name),
                "channels": list(one.channels),
                "packages": packages(one, data.corporate.conda_sets),
                **_set(pip=list(one.pip), imports=list(one.imports)),
            }
            for one in project.environments
        ],
        "kernels": [
            {
                "name": one.name,
                "prefix": _names.environment_prefix(_names.environment_name(project.name, one.name)),
                **_set(variables=dict(one.variables)),
            }
            for one in project.environments
        ],
        "hub": {
            "name": project.name,
            "group": _names.group_name(project.name),
            "admins": list(project.admins),
            "directory_groups": list(project.directory_groups),
            "collaboration": project.collaboration,
            "read_only": [one.model_dump() for one in project.read_only],
            "limits": _limits(project),
        },
        "metrics": {
            "name": project.name,
            "group": _names.group_name(project.name),
            **_set(home_gib=project.limits.home_gib),
        },
    }


def packages(environment: CondaEnvironment, sets: dict[str, list[str]]) -> list[str]:
    """The set's packages, then the environment's own; what the environment says of a package counts."""
    own = {package_name(spec): spec for spec in environment.packages}
    base = sets[environment.base] if environment.base else []
    return [spec for spec in base if package_name(spec) not in own] + list(own.values())


def _set(**values: Any) -> dict[str, Any]:
    """The values that say something."""
    return {key: value for key, value in values.items() if value}


def _limits(project: Project) -> dict[str, Any]:
    limits = project.limits
    members = {login: limit(one) for login, one in limits.members.items()}
    total = limit(limits.total) if limits.total else None
    return {**limit(limits), **_set(members=members, total=total, home_gib=limits.home_gib)}


def limit(one: Limit) -> dict[str, Any]:
    """What is set of memory and processors."""
    return _set(memory=one.memory, cpu=one.cpu)
