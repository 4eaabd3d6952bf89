"""PyPI names to conda-forge names, and PEP 440 requirements to conda match specs."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.requirements import Requirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name

# conda-forge spells these differently from the normalised PyPI name; everything else is the same there.
CONDA_NAMES: Mapping[str, str] = {
    "async-generator": "async_generator",
    "fastjsonschema": "python-fastjsonschema",
    "ipython-pygments-lexers": "ipython_pygments_lexers",
    "jupyter-client": "jupyter_client",
    "jupyter-core": "jupyter_core",
    "jupyter-events": "jupyter_events",
    "jupyter-server": "jupyter_server",
    "jupyter-server-terminals": "jupyter_server_terminals",
    "jupyterhub": "jupyterhub-base",
    "jupyterlab-pygments": "jupyterlab_pygments",
    "jupyterlab-server": "jupyterlab_server",
    "prometheus-client": "prometheus_client",
    "pure-eval": "pure_eval",
    "stack-data": "stack_data",
    "typing-extensions": "typing_extensions",
    "tzdata": "python-tzdata",
}


def conda_name(pypi_name: str) -> str:
    """Return conda-forge's name of a PyPI distribution."""
    name = canonicalize_name(pypi_name)
    return CONDA_NAMES.get(name, name)


def conda_version(version: str) -> str:
    """Return a PyPI version as conda spells it: no dash, no local part."""
    return version.split("+", maxsplit=1)[0].replace("-", "_")


def _constraint(specifier: Specifier) -> str:
    if specifier.operator == "~=":
        series = specifier.version.split(".")[:-1]
        return f">={specifier.version},{'.'.join(series)}.*"
    if specifier.operator == "===" or (specifier.operator == "==" and not specifier.version.endswith(".*")):
        return f"=={specifier.version}"
    if specifier.operator == "==":
        return specifier.version
    return f"{specifier.operator}{specifier.version}"


def match_spec(name: str, requirement: Requirement) -> str:
    """Return the match spec ``name constraints`` of a PyPI requirement."""
    constraints = ",".join(sorted(_constraint(s) for s in requirement.specifier))
    return f"{name} {constraints}".strip()


def extra_name(distribution: str, extra: str) -> str:
    """Return the metapackage that stands for ``distribution[extra]``, after conda-forge's jsonschema-with-format."""
    return f"{conda_name(distribution)}-with-{canonicalize_name(extra)}"


class Target:
    """The interpreter the packages are for; decides which requirements apply."""

    def __init__(self, python: str) -> None:
        """``python`` is the minor release, such as ``3.12``."""
        self.python = python
        self.tag = "cp" + python.replace(".", "")
        self._markers = {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": "x86_64",
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{python}.0",
            "python_version": python,
            "sys_platform": "linux",
        }

    def applies(self, requirement: Requirement, extra: str = "") -> bool:
        """Tell whether the requirement holds on this target with the given extra chosen."""
        return requirement.marker is None or requirement.marker.evaluate({**self._markers, "extra": extra})

    def depends(self, requirements: list[str], extra: str = "") -> list[str]:
        """Return the match specs of a distribution's requirements, or of those that only ``extra`` adds."""
        specs = set()
        for requirement in map(Requirement, requirements):
            if not self.applies(requirement, extra) or (extra and self.applies(requirement)):
                continue
            specs.add(match_spec(conda_name(requirement.name), requirement))
            specs.update(extra_name(requirement.name, chosen) for chosen in requirement.extras)
        return sorted(specs)
