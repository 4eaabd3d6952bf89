"""Command line: ``python -m lab.channel build | path | lock``."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from lab.channel import build
from lab.channel.cpython import ChannelError


def _lock() -> None:
    """Renew wheels.txt, spark.txt and the proxy's package-lock.json from what says which packages are wanted."""
    command = ["uv", "pip", "compile", "-q", "--upgrade", "--generate-hashes", "--no-header", "--no-annotate"]
    command += ["--python-version", build.TARGET.python, "--python-platform", "x86_64-manylinux_2_34"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--only-binary", ":all:"]
    subprocess.run([*command, "wheels.in", "-o", "wheels.txt"], cwd=build.SOURCE, check=True)
    # pyspark has no wheel. What the channel has already is not locked twice, but for another release of it.
    command += ["--no-binary", "pyspark"]
    wanted = (build.SOURCE / "spark.in").read_text(encoding="utf-8")
    present = [e.split()[0] for e in build.lock_entries(build.LOCK)]
    lock = build.SOURCE / "spark.txt"
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        others = [p for p in present if not re.search(rf"^{p.split('==')[0]}\b", wanted, re.MULTILINE)]
        constraints.write("\n".join(others))
        constraints.flush()
        subprocess.run([*command, "-c", constraints.name, "spark.in", "-o", lock], cwd=build.SOURCE, check=True)
    entries = [entry for entry in build.lock_entries(lock) if entry.split()[0] not in present]
    lock.write_text("\n".join(entries) + "\n", encoding="utf-8")
    command = ["npm", "update", "--package-lock-only", "--ignore-scripts", "--omit-lockfile-registry-resolved"]
    subprocess.run(command, cwd=build.SOURCE / "proxy", check=True)


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lab.channel", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="build the channel unless the cache has it; print its folder")
    make.add_argument("--out", type=Path, help="also put it at this folder, which must not exist")
    make.add_argument("--with-spark", action="store_true", help="the channel with Spark and Java added")
    commands.add_parser("path", help="print where the channel of the present recipe is, or will be")
    commands.add_parser("lock", help="renew the lock files from what the registries offer now")
    arguments = parser.parse_args()
    try:
        if arguments.command == "lock":
            _lock()
        elif arguments.command == "path":
            print(build.channel_path())
        else:
            make_channel = build.build_spark if arguments.with_spark else build.build
            channel = make_channel(lambda text: print(f"channel: {text}", file=sys.stderr, flush=True))
            if arguments.out:
                build.copy(channel, arguments.out)
            print(arguments.out or channel)
    except (ChannelError, OSError, subprocess.CalledProcessError) as error:
        print(f"channel: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
