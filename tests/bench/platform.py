"""The phases of a cold demo, then the no-op run beside the same run under stock Ansible settings."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.fresh import ROOT, lab, lab_environment

BENCH = Path(__file__).resolve().parent
INVENTORY = "inventories/lab"
RUNS = 3


@dataclass(frozen=True)
class Run:
    seconds: float
    round_trips: int
    hosts: int
    changed: int
    plays: list[tuple[str, float]]


def seconds_between(start: str, end: str) -> float:
    from datetime import datetime

    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def lock(environment: dict[str, str]) -> None:
    """Solve the conda environments once, as `make lock` does."""
    command = [ROOT / ".venv/bin/ansible-playbook", "playbooks/lock.yml", "-i", INVENTORY]
    subprocess.run(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL, check=True)


def converge(environment: dict[str, str]) -> Run:
    """Run site.yml once and count what it did.

    Raises:
        RuntimeError: the playbook failed; its output is in the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "round_trips"
        log.touch()
        counters = {
            "BENCH_ROUND_TRIPS": str(log),
            "ANSIBLE_SSH_EXECUTABLE": str(BENCH / "ssh-count"),
            "ANSIBLE_SFTP_EXECUTABLE": str(BENCH / "sftp-count"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        }
        started = time.monotonic()
        done = subprocess.run(
            [ROOT / ".venv/bin/ansible-playbook", "site.yml", "-i", INVENTORY],
            cwd=ROOT, env=os.environ | environment | counters, capture_output=True, text=True, check=False,
        )  # fmt: skip
        seconds = time.monotonic() - started
        if done.returncode:
            raise RuntimeError(done.stdout[-4000:] + done.stderr[-2000:])
        report, _ = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{\n") :])
        round_trips = len(log.read_text().splitlines())
    stats = {host: s for host, s in report["stats"].items() if host != "localhost"}
    plays = [
        (
            play["play"]["name"],
            seconds_between(play["play"]["duration"]["start"], play["play"]["duration"]["end"]),
        )
        for play in report["plays"]
        if play["play"]["duration"].get("end")
    ]
    changed = sum(s["changed"] for s in report["stats"].values())
    return Run(seconds, round_trips, len(stats), changed, plays)


def stock_settings(folder: Path) -> dict[str, str]:
    """Ansible's own defaults; only what is needed to find the collection stays."""
    config = folder / "ansible.cfg"
    config.write_text(f"[defaults]\ncollections_path = {ROOT}/collections\ninterpreter_python = /usr/bin/python3\n")
    return {"ANSIBLE_CONFIG": str(config)}


def median(runs: list[Run]) -> Run:
    middle = statistics.median_low(r.seconds for r in runs)
    return next(r for r in runs if r.seconds == middle)


def main() -> None:
    try:
        measure()
    finally:
        lab("down")


def measure() -> None:
    started = time.monotonic()
    print("== demo from nothing (host images and package channel come from the cache when it has them)", flush=True)
    lab("up")
    up = time.monotonic() - started
    environment = lab_environment()
    lock(environment)
    print(f"{'environments locked':58} {time.monotonic() - started - up:7.1f} s")
    cold = converge(environment)
    print(f"{'lab up':58} {up:7.1f} s")
    for name, seconds in cold.plays:
        print(f"{name:58} {seconds:7.1f} s")
    print(f"{'total':58} {time.monotonic() - started:7.1f} s   changed={cold.changed}\n", flush=True)

    print(f"== no-op run, median of {RUNS}, ours and stock in turn", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        stock_environment = environment | stock_settings(Path(folder))
        pairs = [(converge(environment), converge(stock_environment)) for _ in range(RUNS)]
    ours, stock = median([p[0] for p in pairs]), median([p[1] for p in pairs])
    if ours.changed or stock.changed:
        sys.exit(f"not a no-op: changed={ours.changed} (ours), {stock.changed} (stock)")
    print(f"{'':34} {'ours':>8} {'stock':>8} {'stock/ours':>11}")
    rows = [
        ("total, s", ours.seconds, stock.seconds),
        ("per host, s", ours.seconds / ours.hosts, stock.seconds / stock.hosts),
        ("remote round trips per host", ours.round_trips / ours.hosts, stock.round_trips / stock.hosts),
    ]
    for label, mine, theirs in rows:
        print(f"{label:34} {mine:8.1f} {theirs:8.1f} {theirs / mine:10.2f}x")
    print("\nplays of the no-op run")
    for name, seconds in ours.plays:
        print(f"{name:58} {seconds:7.1f} s")
