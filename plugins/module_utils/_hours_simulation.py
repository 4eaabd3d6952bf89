"""A year in seconds: the decision itself, run step by step against machines that fail, people who act, runs that miss.

Pure. The world is imagined; what decides is `_hours_rows.plan`, `_hours_notices` and the history, as in a real run.
"""

from __future__ import annotations

import bisect
import dataclasses
import datetime
import random
from collections.abc import Mapping, Sequence

from ansible_collections.atelier.datalab.plugins.module_utils import _hours_busy, _hours_history, _hours_notices
from ansible_collections.atelier.datalab.plugins.module_utils._hours import RUNNING, STOPPED, Order
from ansible_collections.atelier.datalab.plugins.module_utils._hours_extensions import Extension
from ansible_collections.atelier.datalab.plugins.module_utils._hours_rows import Known, Subject, plan
from ansible_collections.atelier.datalab.plugins.module_utils._hours_savings import Ran
from ansible_collections.atelier.datalab.plugins.module_utils._hours_schedule import Schedule
from ansible_collections.atelier.datalab.plugins.module_utils._hours_timeline import Span, build, running_spans

_DAY = datetime.timedelta(days=1)
_MEMORY = 2 * _DAY  # of orders, which is what decisions look back on


@dataclasses.dataclass(frozen=True)
class Chances:
    """How often things go wrong; each a probability per attempt or step."""

    start_fails: float = 0.0  # AWS accepts and the machine stays stopped
    stop_fails: float = 0.0
    missed: float = 0.0  # the run does not come at all
    busy: float = 0.0  # a running machine computes
    silent: float = 0.0  # its probe says nothing
    by_hand: float = 0.0  # somebody starts or stops it


@dataclasses.dataclass
class Imagined:
    """A machine of the replay."""

    name: str
    project: str
    schedule: str
    instance_type: str = "m6i.large"
    extensions: Sequence[Extension] = ()
    state: str = STOPPED
    since: datetime.datetime | None = None
    created: datetime.datetime | None = None
    orders: list[Order] = dataclasses.field(default_factory=list)
    ran: list[Span] = dataclasses.field(default_factory=list)
    deferrals: list[Span] = dataclasses.field(default_factory=list)

    def become(self, state: str, at: datetime.datetime) -> None:
        """Start or stop."""
        if self.state == RUNNING and state == STOPPED and self.since is not None:
            self.ran.append((self.since, at))
        if state != self.state:
            self.state, self.since = state, at


@dataclasses.dataclass
class Replay:
    """What came of it."""

    machines: list[Imagined]
    runs: int = 0
    missed: int = 0
    starts: int = 0
    stops: int = 0
    failures: int = 0
    deferred: int = 0
    warnings: int = 0
    unwarned: int = 0  # stops of a busy machine that no warning had come before
    by_hand: int = 0
    cut: list[str] = dataclasses.field(default_factory=list)  # stops within an extension: there must be none


@dataclasses.dataclass(frozen=True)
class World:
    """What the replay runs in."""

    schedules: Mapping[str, Schedule]
    rule: _hours_busy.Rule | None = None
    chances: Chances = Chances()
    step: datetime.timedelta = datetime.timedelta(minutes=15)
    seed: int = 1
    every: bool = False  # decide also where nothing can have changed; for the test that says nothing has


def replay(machines: list[Imagined], world: World, within: Span) -> Replay:
    """Run every step from one instant to another. The same seed gives the same year.

    A step is passed over when no boundary, no end of an extension and no warning lies between it and the last one that
    did nothing, and nobody acted: the decision is about states, so it would be the same.
    """
    result, memory = Replay(machines), _Memory()
    edges = _edges(machines, world, within)
    now, end = within
    place, number, restless = 0, 0, True
    while now < end:
        dice = random.Random(f"{world.seed} {number}")  # noqa: S311  chance, not a secret
        number += 1
        restless |= _people(machines, now, world, dice, result)
        if dice.random() < world.chances.missed:
            result.missed += 1
        else:
            result.runs += 1
            due = place < len(edges) and edges[place] <= now
            if restless or due or world.every:
                restless = _run(machines, now, world, (dice, memory), result)
                place = bisect.bisect_right(edges, now)
        now += world.step
    for one in machines:
        if one.state == RUNNING and one.since is not None:
            one.ran.append((one.since, end))
    return result


@dataclasses.dataclass
class _Memory:
    """What a history keeps."""

    deferred: dict[str, datetime.datetime] = dataclasses.field(default_factory=dict)
    sent: dict[tuple[str, str], set[int]] = dataclasses.field(default_factory=dict)


def _edges(machines: list[Imagined], world: World, within: Span) -> list[datetime.datetime]:
    """Instants from which on a decision or a warning may be another one than before."""
    begin, end = within
    points = {begin}
    for schedule in world.schedules.values():
        line = build(schedule, begin.date() - 5 * _DAY, end.date() + 5 * _DAY)
        points.update(at for at in line.instants if begin <= at < end)
    points.update(at for one in machines for ext in one.extensions for at in (ext.start, ext.until))
    warned = world.rule.warnings if world.rule else ()
    points |= {at - datetime.timedelta(minutes=minutes) for at in points for minutes in warned}
    return sorted(points)


def _run(
    machines: list[Imagined], now: datetime.datetime, world: World, inner: tuple[random.Random, _Memory], result: Replay
) -> bool:
    """One run; whether the next may differ although nothing happens outside."""
    dice, memory = inner
    reports = _reports(machines, now, world.chances, dice)
    near = {
        one.name: [x for x in one.extensions if x.start <= now + _DAY and x.until > now - 30 * _DAY] for one in machines
    }
    known = Known(
        extensions={name: found for name, found in near.items() if found},
        orders={one.name: one.orders for one in machines},
        reports=reports,
        deferred=memory.deferred,
        rule=world.rule,
        sent=memory.sent,
    )
    subjects = [_subject(one) for one in machines]
    by_name = {one.name: one for one in machines}
    rows = plan(subjects, world.schedules, now, known=known)
    for notice in _hours_notices.notices(rows, subjects, world.schedules, now, known):
        memory.sent.setdefault((notice["id"], notice["stop"]), set()).add(notice["minutes"])
        result.warnings += 1
    for line in _hours_history.of_rows(rows, now, memory.deferred):
        if line["action"] == "defer":
            memory.deferred[line["id"]] = datetime.datetime.fromisoformat(line["until"])
            by_name[line["id"]].deferrals.append((now, memory.deferred[line["id"]]))
            result.deferred += 1
    for row in rows:
        if row["action"] != "none":
            busy = row["id"] in reports and reports[row["id"]].busy
            warned = any(name == row["id"] and stop <= now.isoformat() for name, stop in memory.sent)
            _order(by_name[row["id"]], row["action"], now, (world.chances, dice), result)
            result.unwarned += row["action"] == "stop" and busy and not warned
    return any(row["action"] != "none" or "deferred_until" in row for row in rows)


def _people(
    machines: list[Imagined], now: datetime.datetime, world: World, dice: random.Random, result: Replay
) -> bool:
    """Somebody starts or stops a machine; whether anybody did."""
    acted = False
    if world.chances.by_hand:
        for one in machines:
            if dice.random() < world.chances.by_hand:
                one.become(STOPPED if one.state == RUNNING else RUNNING, now)
                result.by_hand += 1
                acted = True
    return acted


def _reports(
    machines: list[Imagined], now: datetime.datetime, chances: Chances, dice: random.Random
) -> dict[str, _hours_busy.Report]:
    found = {}
    for one in machines:
        if one.state == RUNNING and dice.random() >= chances.silent:
            busy = dice.random() < chances.busy
            found[one.name] = _hours_busy.Report(now, busy, ("a kernel executes",) if busy else ())
    return found


def _subject(one: Imagined) -> Subject:
    tags = {"Name": one.name, "Schedule": one.schedule}
    return Subject(one.name, "ec2", one.state, tags, one.since, one.created, instance_type=one.instance_type)


def _order(
    one: Imagined, action: str, now: datetime.datetime, odds: tuple[Chances, random.Random], result: Replay
) -> None:
    chances, dice = odds
    one.orders = [order for order in one.orders if now - order.at < _MEMORY] + [Order(now, action)]
    if dice.random() < (chances.start_fails if action == "start" else chances.stop_fails):
        result.failures += 1
        return
    if action == "stop":
        result.stops += 1
        if any(extension.start <= now < extension.until for extension in one.extensions):
            result.cut.append(f"{one.name} at {now.isoformat()}")
    else:
        result.starts += 1
    one.become(RUNNING if action == "start" else STOPPED, now)


def ran(result: Replay, schedules: Mapping[str, Schedule], within: Span, region: str) -> list[Ran]:
    """The year for `_hours_savings`."""
    return [
        Ran(
            one.name, one.project, region, one.instance_type, one.ran,
            running_spans(schedules[one.schedule], *within),
            [(extension.start, extension.until) for extension in one.extensions], one.deferrals,
        )
        for one in result.machines
    ]  # fmt: skip
