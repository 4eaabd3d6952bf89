"""The audit of 500 and of 2,000 machines: seconds, and what memory a page takes.

EC2 is answered from within the process, page by page as bytes, so the time is botocore's parsing and ours, without the
network. Each size runs in a process of its own; every tenth machine comes with evidence from inside.
"""

from __future__ import annotations

import datetime
import json
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
import types
from pathlib import Path
from typing import Any

import boto3
import yaml
from ansible.plugins.loader import init_plugin_loader

ROOT = Path(__file__).resolve().parents[2]
init_plugin_loader([str(ROOT / "collections")])

from tests.audit import wire  # noqa: E402

SIZES = (500, 2000)
LIMIT = 60  # seconds for 2,000
KEPT = 50  # KiB
EVIDENCE = {
    "hostname": "box",
    "listeners": [{"protocol": "tcp", "address": "0.0.0.0", "port": 8888, "process": "jupyter-lab", "user": "alice"}],  # noqa: S104
    "peers": [{"direction": "out", "address": "10.0.0.7", "port": 5432, "process": "python3", "count": 1}],
    "processes": [{"name": f"worker-{n}", "user": "alice", "count": 1} for n in range(40)],
    "units": [{"unit": "jupyterhub.service", "state": "running", "origin": "package"}],
    "timers": [], "crons": [], "mounts": [], "directories": [], "system": {}, "gaps": [], "last_use": [],
    "logins": [{"user": "alice", "count": 3, "last": "2026-10-01T00:00:00Z", "hosts": ["10.1.1.1"]}],
}  # fmt: skip


def gather(folder: Path, count: int) -> None:
    """Read the account into files."""
    from ansible_collections.atelier.datalab.plugins.module_utils import _audit_api
    from ansible_collections.atelier.datalab.plugins.module_utils._audit_store import Store

    over, store = wire.Wire(count), Store(folder / "data")
    session = boto3.Session("testing", "testing", region_name="eu-west-1")
    made: dict[str, Any] = {}

    def client(service: str, _region: str) -> Any:
        if service not in made:
            made[service] = over.hook(session.client(service, endpoint_url=f"http://{service}.test"))
        return made[service]

    store.begin()
    gatherer = _audit_api.Gatherer(store)
    gatherer.account(_audit_api.Scope(wire.ACCOUNT, "prod", ("eu-west-1",)), client)
    store.write("gap", gatherer.gaps)
    store.write("scope", [{"account": wire.ACCOUNT, "environment": "prod", "regions": ["eu-west-1"]}])
    store.close()
    assert store.counts["instance"] == count, store.counts


def report(folder: Path) -> None:
    """Judge and write, with the data that is shipped."""
    from ansible_collections.atelier.datalab.plugins.action import audit_report
    from ansible_collections.atelier.datalab.plugins.module_utils._audit_analysis import Analysis
    from ansible_collections.atelier.datalab.plugins.module_utils._audit_store import Store

    company = yaml.safe_load((ROOT / "inventories/shared/corporate.yml").read_text())["corporate"]
    own = yaml.safe_load((ROOT / "inventories/shared/audit.yml").read_text())
    shipped = yaml.safe_load((ROOT / "playbooks/vars/audit.yml").read_text())
    people = yaml.safe_load((ROOT / "inventories/prod/group_vars/all/projects.yml").read_text())
    options = {
        "folder": str(folder), "title": "Bench", "corporate": company, "members": people["members"],
        "projects": people["projects"], "roles": shipped["audit_roles"], "families": shipped["audit_families"],
        "clues": shipped["audit_clues"] + own["audit_company_clues"], "enough": shipped["audit_enough"],
        "weights": shipped["audit_weights"], "prices": own["audit_prices"], "stopped_days": 30,
        "environments": ["prod"],
    }  # fmt: skip
    now = datetime.datetime(2026, 11, 26, tzinfo=datetime.UTC)
    found = Analysis(Store(folder / "data"), audit_report.evidence(str(folder)), audit_report.settings(options, now))
    audit_report.write(found, options, now)


def one(count: int) -> None:
    """One size; prints figures as JSON."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "evidence").mkdir()
        for number in range(0, count, 10):
            (folder / "evidence" / f"i-{number:017x}.json").write_text(json.dumps(EVIDENCE))
        began = time.perf_counter()
        gather(folder, count)
        gathered, rss = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        report(folder)
        done = time.perf_counter()
        figures = {
            "gather": gathered - began, "report": done - gathered, "rss_gather": rss / 1024,
            "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "page": (folder / "report.html").stat().st_size / 2**20,
        }  # fmt: skip
        held = wire.page_memory(types.SimpleNamespace(setattr=setattr))
        tracemalloc.start()
        gather(folder, count)
        figures["pages"] = len(held)
        figures["page_growth"] = (held[-1] - held[1]) / 1024
    print(json.dumps(figures))


def main() -> None:
    rows = {}
    for count in SIZES:
        command = [sys.executable, "-m", "tests.bench.audit", str(count)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        rows[count] = json.loads(done.stdout)
    heads = ("machines", "gather s", "report s", "gather MiB", "all MiB", "page MiB", "API pages", "kept KiB")
    print("".join(f"{head:>12}" for head in heads))
    for count, row in rows.items():
        cells = [row[key] for key in ("gather", "report", "rss_gather", "rss", "page", "pages", "page_growth")]
        print(f"{count:>12}" + "".join(f"{cell:>12.1f}" for cell in cells))
    large = rows[SIZES[-1]]
    seconds = large["gather"] + large["report"]
    print(f"{SIZES[-1]} machines in {seconds:.1f} s (at most {LIMIT})")
    print("kept: what stays in memory from the second page of instances to the last")
    if seconds > LIMIT or large["page_growth"] > KEPT:
        sys.exit("too slow, or memory grows with the account")


if __name__ == "__main__":
    one(int(sys.argv[1]))
