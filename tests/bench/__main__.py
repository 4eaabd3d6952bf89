"""`make bench`: each part alone by its name, `make bench ONLY=environments`.

Times are wall-clock seconds of whole processes; compare ratios, not single figures: machines differ, and so does a busy
one from itself. Parts that need hosts work on a lab of their own (`bench`), which is removed at the end.
"""

from __future__ import annotations

import argparse
import importlib

PARTS = {
    "environments": "create, repeat and go back: conda_env beside uv, pip and conda",
    "platform": "a cold demo, and the run that changes nothing beside stock Ansible",
    "first_cell": "from a fresh host to the first cell beside The Littlest JupyterHub's steps",
    "audit": "2,000 machines audited: seconds, and memory per page",
    "hours": "decisions per second beside c7n and Instance Scheduler; 100,000 machines in one pass",
    "crowd": "thirty members, ten servers at once on one host",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help=", ".join(PARTS))
    for part in parser.parse_args().part or PARTS:
        print(f"=== {part}: {PARTS[part]}", flush=True)
        importlib.import_module(f"tests.bench.{part}").main()


if __name__ == "__main__":
    main()
