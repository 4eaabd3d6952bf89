"""check_config.py FILE: refuse a JupyterHub configuration that does not load, or that names what does not exist.

JupyterHub itself only warns of an unknown name, and its own --show-config writes secrets and opens the database.
"""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

from jupyterhub.app import JupyterHub
from traitlets import TraitError
from traitlets.config import Config


def unknown_names(app: JupyterHub, config: Config) -> list[str]:
    """Sections that are no class of this hub and settings that are no trait of their class."""
    used = [*app.classes, app.authenticator_class, app.spawner_class, app.proxy_class]
    known = {base.__name__: base for cls in used for base in cls.mro() if hasattr(base, "class_trait_names")}
    said = []
    for section, traits in config.items():
        if section not in known:
            said.append(f"there is no class {section} in this hub")
            continue
        names = known[section].class_trait_names(config=True)
        said += [f"{section} has no setting {name}" for name in traits if name not in names]
    return said


def main(path: str) -> int:
    """Load a configuration as the hub would; return the number of faults."""
    for name in (
        "CONFIGPROXY_AUTH_TOKEN",
        "DATALAB_HEALTH_SECRET",
        "DATALAB_METRICS_TOKEN",
    ):  # the unit sets the real ones
        os.environ.setdefault(name, "not used")
    app = JupyterHub()
    app.raise_config_file_errors = True
    app.load_config_file(path)
    said = unknown_names(app, app.config)
    try:
        app.authenticator_class(config=app.config)
        app.spawner_class(config=app.config, user=SimpleNamespace(name="nobody", id=0), hub=None)
        app.proxy_class(config=app.config, app=app, hub=None)
    except TraitError as error:
        said.append(str(error))
    for fault in said:
        sys.stderr.write(f"{fault}\n")
    return len(said)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1]), 1))
