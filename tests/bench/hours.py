"""Decisions per second beside Cloud Custodian's filters and Instance Scheduler's engine, on the same hours.

Everybody decides for one machine at the same instants of four weeks, Monday to Friday from 9 to 18 in Paris, in a
process without calls to AWS. A decision of Custodian is two filters, onhour and offhour. c7n comes from its package
into an environment of its own; Instance Scheduler from a checkout that INSTANCE_SCHEDULER_SOURCE names, and is left out
with a word without it. Both are driven by a script of ours that only calls them.

Then 100,000 machines in one pass, as the module makes it from what EC2 lists, and the calls to EC2 that it would order.
"""

from __future__ import annotations

import datetime
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.plugins.loader import init_plugin_loader

from tests.bench.table import Row, show

ROOT = Path(__file__).resolve().parents[2]
C7N = "c7n==0.9.53"
POWERTOOLS = "aws-lambda-powertools"  # Instance Scheduler's only import outside the standard library on this way
ROUNDS, MACHINES, LIMIT, AIM = 5, 100_000, 10, 20
UTC = datetime.UTC
BEGIN = datetime.datetime(2027, 3, 1, tzinfo=UTC)
STEP = datetime.timedelta(minutes=5)
COUNT = 4 * 7 * 24 * 12
OFFICE = {
    "name": "office",
    "timezone": "Europe/Paris",
    "periods": [{"days": ["mon-fri"], "begin": "09:00", "end": "18:00"}],
}

# Run by the peers' own interpreter: prints decisions per second, and what was decided for each instant.
CUSTODIAN = """
import datetime, json, sys, time
from c7n.filters import offhours

BEGIN, STEP, COUNT = datetime.datetime.fromisoformat(sys.argv[1]), datetime.timedelta(minutes=5), int(sys.argv[2])

class Clock(datetime.datetime):
    at = BEGIN
    @classmethod
    def now(cls, tz=None):
        return cls.at.astimezone(tz)

class Module:
    datetime = Clock

offhours.datetime = Module
off = offhours.OffHour({"type": "offhour", "offhour": 18, "default_tz": "Europe/Paris", "tag": "hours"})
on = offhours.OnHour({"type": "onhour", "onhour": 9, "default_tz": "Europe/Paris", "tag": "hours"})
machine = {"InstanceId": "i-1", "Tags": [{"Key": "hours", "Value": "off=(M-F,18);on=(M-F,9);tz=Europe/Paris"}]}
instants = [BEGIN + n * STEP for n in range(COUNT)]
begun = time.perf_counter()
said = []
for at in instants:
    Clock.at = at
    said.append("running" if on(machine) else "stopped" if off(machine) else "nothing")
print(json.dumps({"rate": COUNT / (time.perf_counter() - begun), "said": said}))
"""

SCHEDULER = """
import datetime, json, sys, time, types
from zoneinfo import ZoneInfo
from instance_scheduler.configuration.instance_schedule import InstanceSchedule
from instance_scheduler.model.period_definition import PeriodDefinition
from instance_scheduler.scheduling.scheduling_decision import make_scheduling_decision
from instance_scheduler.scheduling.states import InstanceState

BEGIN, STEP, COUNT = datetime.datetime.fromisoformat(sys.argv[1]), datetime.timedelta(minutes=5), int(sys.argv[2])
period = PeriodDefinition(name="p", begintime="09:00", endtime="18:00", weekdays={"mon-fri"}).to_running_period()
schedule = InstanceSchedule("office", ZoneInfo("Europe/Paris"), [{"period": period}])
stored = types.SimpleNamespace(stored_state=InstanceState.UNKNOWN)
machine = types.SimpleNamespace(registry_info=stored, runtime_info=types.SimpleNamespace(is_running=True))
instants = [BEGIN + n * STEP for n in range(COUNT)]
begun = time.perf_counter()
said = []
for at in instants:
    decision = make_scheduling_decision(machine, schedule, at)
    machine.registry_info.stored_state = decision.new_stored_state
    said.append(decision.new_stored_state.value)
print(json.dumps({"rate": COUNT / (time.perf_counter() - begun), "said": said}))
"""


def ours(order: Callable[[list[datetime.datetime]], None] = lambda _: None) -> dict[str, Any]:
    """The engine, asked instant by instant; the schedule's line is worked out within the time that is measured."""
    from ansible_collections.atelier.datalab.plugins.module_utils import _hours

    schedule = _hours.read_schedule(OFFICE)
    instants = [BEGIN + n * STEP for n in range(COUNT)]
    order(instants)
    begun = time.perf_counter()
    said = [_hours.decide(schedule, at, None).desired for at in instants]
    return {"rate": COUNT / (time.perf_counter() - begun), "said": said}


def peers(folder: Path) -> dict[str, Callable[[], dict[str, Any]]]:
    """Who can be asked here, in an environment of its own."""
    python = folder / "venv/bin/python"
    uv = ROOT / ".venv/bin/uv"
    source = os.environ.get("INSTANCE_SCHEDULER_SOURCE", "")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder / "venv"], check=True)
    wanted = [C7N, POWERTOOLS] if source else [C7N]
    subprocess.run([uv, "pip", "install", "-q", "--python", python, *wanted], check=True)

    def run(script: str, **variables: str) -> dict[str, Any]:
        command = [python, "-c", script, BEGIN.isoformat(), str(COUNT)]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), **variables}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        return json.loads(done.stdout)

    found: dict[str, Callable[[], dict[str, Any]]] = {"c7n offhours": lambda: run(CUSTODIAN)}
    if source:
        found["Instance Scheduler"] = lambda: run(SCHEDULER, PYTHONPATH=str(Path(source) / "source/app"))
    else:
        print("Instance Scheduler is left out: INSTANCE_SCHEDULER_SOURCE does not name a checkout")
    return found


def agree(mine: list[str], theirs: list[str]) -> float:
    """Share of the instants at which both say the same; `nothing` stands for what was said before."""
    first = next((n for n, one in enumerate(theirs) if one != "nothing"), 0)  # until then Custodian has said nothing
    last, same = theirs[first], 0
    for one, other in zip(mine[first:], theirs[first:], strict=True):
        last = last if other == "nothing" else other
        same += one == last
    return same / (len(mine) - first)


def one_pass() -> None:
    """100,000 machines as EC2 lists them, at closing time."""
    from ansible_collections.atelier.datalab.plugins.module_utils import _hours, _hours_api, _hours_rows

    schedules = {f"s{n}": _hours.read_schedule(OFFICE | {"name": f"s{n}"}) for n in range(100)}
    now = BEGIN + datetime.timedelta(hours=17, minutes=5)
    same = {"Project": "p", "Role": "workstation"}
    machines = [
        {
            "InstanceId": f"i-{n:017x}", "State": {"Name": "running"}, "InstanceType": "m6i.large",
            "LaunchTime": BEGIN + datetime.timedelta(hours=8, minutes=n % 60),
            "Tags": [
                {"Key": key, "Value": value}
                for key, value in {"Name": f"m{n}", "Schedule": f"s{n % 100}", **same}.items()
            ],
        }
        for n in range(MACHINES)
    ]  # fmt: skip
    begun = time.perf_counter()
    rows = _hours_rows.plan(machines, schedules, now)
    seconds = time.perf_counter() - begun
    calls: Counter[str] = Counter()

    class Counting:
        def stop_instances(self, **_: Any) -> None:
            calls["StopInstances"] += 1

    _hours_api.act(lambda _: Counting(), rows)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{MACHINES:,} machines, 100 schedules: {seconds:.2f} s (at most {LIMIT}), {memory:.0f} MiB")
    print(
        f"to list them: {MACHINES // 1000} pages of DescribeInstances; orders: {dict(calls)}, one bad machine: 12 more"
    )
    if seconds > LIMIT or any(row["action"] != "stop" for row in rows):
        sys.exit("too slow, or not everybody was stopped")


def main() -> None:
    init_plugin_loader([str(ROOT / "collections")])
    with tempfile.TemporaryDirectory() as scratch:
        everybody = {"atelier.datalab": ours, **peers(Path(scratch))}
        rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in everybody}
        for _ in range(ROUNDS):
            for name, decide in everybody.items():
                rounds[name].append(decide())
    rates = {name: statistics.median(one["rate"] for one in found) for name, found in rounds.items()}
    title = f"microseconds per decision, median of {ROUNDS} rounds in turn; in brackets times {next(iter(rates))}"
    show(list(rates), [Row("one machine, one instant", [1e6 / rate for rate in rates.values()])], title)
    mixed = statistics.median(ours(random.Random(1).shuffle)["rate"] for _ in range(ROUNDS))  # noqa: S311
    print(f"atelier.datalab with the instants in no order: {mixed:,.0f} a second, {1e6 / mixed:.2f} microseconds each")
    mine = rounds["atelier.datalab"][0]["said"]
    for name, rate in rates.items():
        same = agree(mine, rounds[name][0]["said"])
        times = rates["atelier.datalab"] / rate
        ratio = f", {times:.1f} times as many here (aim {AIM})" if name != "atelier.datalab" else ""
        print(f"{name}: {rate:,.0f} decisions a second{ratio}; says the same at {same:.2%} of the instants")
    one_pass()


if __name__ == "__main__":
    main()
