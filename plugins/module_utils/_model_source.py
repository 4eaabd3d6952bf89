"""Where in the files a value of the data stands. Reads YAML, nothing else."""

from __future__ import annotations

import functools
from pathlib import Path as File

import yaml
from ansible_collections.atelier.datalab.plugins.module_utils._model_offences import Path

# Where a variable belongs when no file holds it.
HOME = {
    "corporate": "00_corporate.yml",
    "platform": "platform.yml",
    "members": "projects.yml",
    "projects": "projects.yml",
    "flows": "flows.yml",
    "rules": "00_rules.yml",
    "exceptions": "exceptions.yml",
    "secrets": "secrets.yml",
}


class Source:
    """The files of one `group_vars/all`, read when the first fault has to be placed."""

    def __init__(self, folder: File, shown_from: File | None = None) -> None:
        self.folder = folder
        self.shown_from = shown_from

    def locate(self, path: Path) -> tuple[str, int]:
        """File and line of the value, of the nearest thing around it where it is missing."""
        variable = str(path[0]) if path else ""
        file, node = self._variables.get(variable, (self.folder / HOME.get(variable, "platform.yml"), None))
        line = _line(node, path[1:]) if node else 1
        return self._show(file), line

    @functools.cached_property
    def _variables(self) -> dict[str, tuple[File, tuple[yaml.Node, yaml.Node]]]:
        """Each variable with its file and nodes; a later file wins, as in Ansible."""
        found = {}
        for file in sorted(self.folder.glob("*.yml")):
            try:
                document = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
            except (OSError, yaml.YAMLError):
                continue  # Ansible itself could not have read it either: the value came from elsewhere
            if isinstance(document, yaml.MappingNode):
                for key, value in document.value:
                    found[str(key.value)] = (file, (key, value))
        return found

    def _show(self, file: File) -> str:
        base = self.shown_from
        return str(file.relative_to(base)) if base and file.is_relative_to(base) else str(file)


def _line(nodes: tuple[yaml.Node, yaml.Node], path: Path) -> int:
    """Line of the last step of `path` that is there; of its key in a mapping."""
    here, value = nodes
    for step in path:
        inside = _step(value, step)
        if inside is None:
            break
        here, value = inside
    return here.start_mark.line + 1


def _step(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None
