"""Thirty members of one project on one host, ten of whom start their servers at the same moment.

It fails when a server does not start, when somebody reads another's file, or when the login page answers with an error.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from tests.bench.fresh import fresh_host
from tests.bench.hub import Hub

MEMBERS, AT_ONCE = 30, 10
HOMES = "/srv/data/home"


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, fresh_host() as (environment, host):
        hub = Hub(environment, host, Path(folder), members=MEMBERS)
        hub.lock()
        begun = time.monotonic()
        hub.converge()
        print(f"converged with {MEMBERS} members in {time.monotonic() - begun:.0f} s")
        for login in hub.members:
            host.run("install", "-o", login, "-g", login, "-m", "0644", "/dev/null", f"{HOMES}/{login}/private.txt")
        settings = {"kernel": "bench-base", "homes": HOMES, "members": hub.members}
        alone = hub.visit("many.py", working=hub.members[-1:], **settings)
        found = hub.visit("many.py", working=hub.members[:AT_ONCE], **settings)
        memory = host.run(
            "sh", "-c", "systemctl show --property=MemoryCurrent --value 'jupyter-*-singleuser.service' | grep ."
        )
    seen = [f"{one['login']}: {one['seen']}" for one in found["people"] + alone["people"] if one["seen"] != "[]"]
    if seen:
        raise RuntimeError(f"homes that others can read: {seen}")
    sizes = [int(size) / 2**20 for size in memory.split()]
    cells = [one["cell"] for one in found["people"]]
    print(f"{'one member alone, login to first cell':50} {alone['people'][0]['cell']:6.1f} s")
    print(f"{f'{AT_ONCE} members at once, the first has a cell after':50} {min(cells):6.1f} s")
    print(f"{'  median':50} {statistics.median(cells):6.1f} s")
    print(f"{'  the last':50} {max(cells):6.1f} s")
    print(f"{'login page meanwhile, median':50} {statistics.median(found['pages']):6.2f} s")
    print(f"{'  95 %':50} {quantile(found['pages'], 0.95):6.2f} s")
    print(f"{'  slowest of ' + str(len(found['pages'])):50} {max(found['pages']):6.2f} s")
    print(
        f"{f'memory of a server with its kernel, {len(sizes)} servers, median':50} {statistics.median(sizes):6.0f} MiB"
    )
    print(f"nobody could list any of the {MEMBERS - 1} other homes")
