"""Command line: ``python -m lab.company up | down SERVICE --name LAB``. `up` prints one line of JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from lab.company.acme import Acme
from lab.company.base import Service
from lab.company.forge import Forge
from lab.company.oidc import Oidc
from lab.company.postgresql import Postgresql
from lab.company.slapd import Slapd
from lab.errors import LabError
from lab.identity import Lab

SERVICES: dict[str, type[Service]] = {service.name: service for service in (Acme, Forge, Oidc, Postgresql, Slapd)}


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.company", description=__doc__)
    parser.add_argument("action", choices=["up", "down"])
    parser.add_argument("service", choices=sorted(SERVICES))
    parser.add_argument("--name", default="demo", help="which lab of this checkout (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="YAML that says what the service holds (default: see its module)")
    options = parser.parse_args()
    try:
        given: dict[str, Any] = yaml.safe_load(options.data.read_text(encoding="utf-8")) if options.data else {}
        service = SERVICES[options.service](Lab(options.name), given)
        if options.action == "up":
            print(json.dumps(service.up()))
        else:
            service.down()
    except (LabError, OSError, yaml.YAMLError) as error:
        print(f"company: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
