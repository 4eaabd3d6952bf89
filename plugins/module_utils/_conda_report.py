#!/usr/bin/python3
"""What conda environments this host has: list them, compare generations, tell which one somebody runs.

This file is also the command C(atelier-conda) of the hosts: C(conda_env) writes its text there. So it needs the
standard library only and changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

ROOT = "/opt/atelier/conda"
RECORDS = ".datalab"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _read(path: Path, default: Any) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return default


def versions(generation: Path) -> dict[str, str]:
    """Return ``version build`` by package of a generation; pip's section included, as ``version (pip)``."""
    found = {p["name"]: f"{p['version']} {p['build']}" for p in _read(generation / RECORDS / "packages.json", [])}
    for line in _lock(generation).partition("\n# pip: ")[2].splitlines()[1:]:
        name, separator, version = line.split(" ")[0].partition("==")
        if separator:
            found[name] = f"{version} (pip)"
    return found


def _lock(generation: Path) -> str:
    try:
        return (generation / RECORDS / "conda.lock").read_text(encoding="utf-8")
    except OSError:
        return ""


def compare(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return what leads from one generation to another, one package a line."""
    lines = [f"- {name} {before[name]}" for name in sorted(before.keys() - after.keys())]
    both = sorted(before.keys() & after.keys())
    lines += [f"~ {name} {before[name]} -> {after[name]}" for name in both if before[name] != after[name]]
    return lines + [f"+ {name} {after[name]}" for name in sorted(after.keys() - before.keys())]


def environment(path: Path) -> dict[str, Any]:
    """Return the report about one environment's folder."""
    live = (path / "current").resolve() if (path / "current").is_dir() else None
    history = _read(path / "history.json", [])
    last = next((entry for entry in reversed(history) if live and entry["generation"] == live.name), {})
    earlier = [entry["generation"] for entry in history if live and entry["generation"] != live.name]
    previous = path / "generations" / earlier[-1] if earlier else None
    held = _read(path / "held.json", {})
    return {
        "generation": live.name if live else None,
        "since": last.get("at"),
        "why": last.get("why"),
        "lock_sha256": hashlib.sha256(_lock(live).encode()).hexdigest() if live else None,
        "held": held.get("reason", "") if live and held.get("generation") == live.name else None,
        "previous": previous.name if previous else None,
        "changes": compare(versions(previous), versions(live)) if live and previous and previous.is_dir() else [],
        "packages": versions(live) if live else {},
        "generations": sorted(p.name for p in path.glob("generations/[!.]*")),
    }


def collect(root: Path) -> dict[str, Any]:
    """Return the report about all environments below ``root``."""
    return {"environments": {path.name: environment(path) for path in sorted(root.glob("envs/*")) if path.is_dir()}}


def _list(root: Path, _: Any) -> None:
    found = collect(root)["environments"]
    width = max([len(name) for name in found] + [11])
    _say(f"{'ENVIRONMENT':{width}}  GENERATION    PACKAGES  SINCE                      WHY")
    for name, one in found.items():
        note = f"HELD BACK: {one['held'] or 'no reason given'}" if one["held"] is not None else one["why"] or ""
        _say(
            f"{name:{width}}  {one['generation'] or 'archived':12}  {len(one['packages']):8}  "
            f"{one['since'] or '':25}  {note}"
        )


def _diff(root: Path, options: Any) -> None:
    folder = root / "envs" / options.environment
    one = environment(folder)
    before, after = options.before or one["previous"], options.after or one["generation"]
    for name in (before, after):
        if not name or not (folder / "generations" / name).is_dir():
            known = ", ".join(one["generations"]) or "none"
            sys.exit(
                f"atelier-conda: {options.environment} has no generation {name or 'before this one'}; has: {known}"
            )
    lines = compare(versions(folder / "generations" / before), versions(folder / "generations" / after))
    _say(f"{options.environment}: {before} -> {after}")
    _say("\n".join(lines) or "no difference")


def _which(root: Path, options: Any) -> None:
    path = Path(f"/proc/{options.what}/exe") if options.what.isdigit() else Path(options.what)
    if not options.what.isdigit() and "/" not in options.what:
        path = root / "envs" / options.what / "current"
    prefix = next((p for p in (path.resolve(), *path.resolve().parents) if (p / RECORDS).is_dir()), None)
    if prefix is None:
        sys.exit(f"atelier-conda: {options.what} is of no environment below {root}")
    _say(f"environment {prefix.parts[-3]}\ngeneration {prefix.name}\nprefix {prefix}")
    _say(f"lock sha256 {hashlib.sha256(_lock(prefix).encode()).hexdigest()}")
    for name, version in sorted(versions(prefix).items()):
        _say(f"{name:40} {version}")


def main() -> None:
    """Entry point of the command."""
    import argparse  # noqa: PLC0415 - conda_env does without

    parser = argparse.ArgumentParser(prog="atelier-conda", description=__doc__)
    parser.add_argument("--root", default=ROOT, type=Path)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("list", help="environments and their generations in service")
    command.set_defaults(run=_list)
    command = commands.add_parser("diff", help="packages that differ between two generations")
    command.add_argument("environment")
    command.add_argument("before", nargs="?", help="a generation; the previous one by default")
    command.add_argument("after", nargs="?", help="a generation; the one in service by default")
    command.set_defaults(run=_diff)
    command = commands.add_parser("which", help="generation, lock and packages of a name, path or process id")
    command.add_argument("what")
    command.set_defaults(run=_which)
    options = parser.parse_args()
    options.run(options.root, options)


if __name__ == "__main__":
    main()
