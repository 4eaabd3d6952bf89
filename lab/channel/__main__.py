"""Command line: ``python -m lab.channel build | path | lock``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from lab.channel import build
from lab.channel.cpython import ChannelError


def _lock() -> None:
    """Renew wheels.txt from wheels.in and the proxy's package-lock.json from its package.json."""
    command = ["uv", "pip", "compile", "-q", "--upgrade", "--generate-hashes", "--no-header", "--no-annotate"]
    command += ["--python-version", build.TARGET.python, "--python-platform", "x86_64-manylinux_2_34"]
    command += ["--only-binary", ":all:", "--no-emit-index-url", "--no-emit-find-links"]
    subprocess.run([*command, "wheels.in", "-o", "wheels.txt"], cwd=build.SOURCE, check=True)
    command = ["npm", "update", "--package-lock-only", "--ignore-scripts", "--omit-lockfile-registry-resolved"]
    subprocess.run(command, cwd=build.SOURCE / "proxy", check=True)


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.channel", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="build the channel unless the cache has it; print its folder")
    make.add_argument("--out", type=Path, help="also put it at this folder, which must not exist")
    commands.add_parser("path", help="print where the channel of the present recipe is, or will be")
    commands.add_parser("lock", help="renew the lock files from what the registries offer now")
    arguments = parser.parse_args()
    try:
        if arguments.command == "lock":
            _lock()
        elif arguments.command == "path":
            print(build.channel_path())
        else:
            channel = build.build(lambda text: print(f"channel: {text}", file=sys.stderr, flush=True))
            if arguments.out:
                build.copy(channel, arguments.out)
            print(arguments.out or channel)
    except (ChannelError, OSError, subprocess.CalledProcessError) as error:
        print(f"channel: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
