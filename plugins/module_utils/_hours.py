"""When a machine runs: a pure decision from its schedule, extensions, what it does, what was ordered and the time.

The decision is about the state that should be, not about the moment: a run that was missed is caught up by the next.
What somebody did by hand since the last boundary is respected until the next one, unless the schedule says otherwise.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ansible_collections.atelier.datalab.plugins.module_utils import _hours_busy as busy_guard
from ansible_collections.atelier.datalab.plugins.module_utils._hours_extensions import Extension, tell
from ansible_collections.atelier.datalab.plugins.module_utils._hours_schedule import (
    DAYS,
    LEAVE,
    RUNNING,
    STOPPED,
    Schedule,
    open_always,
    read_schedule,
)
from ansible_collections.atelier.datalab.plugins.module_utils._hours_timeline import Standing, merge, standing

__all__ = ["DAYS", "LEAVE", "RUNNING", "STOPPED", "Extension", "Schedule", "decide", "merge", "read_schedule"]

_OURS = datetime.timedelta(minutes=10)  # a transition this soon after our order is our doing
_NEW = datetime.timedelta(minutes=10)  # between making a machine and its first start
OUTSIDE = "outside"  # enforced only against machines that run outside hours


class Decision(NamedTuple):
    """What should be (`running`, `stopped`, or `leave` it as it is), and why."""

    desired: str
    reason: str


class Order(NamedTuple):
    """What this program ordered, and when: so that it does not take its own doing for somebody's hand."""

    at: datetime.datetime
    action: str  # start or stop


class Machine(NamedTuple):
    """What is known of one machine at the instant of the decision."""

    state: str | None = None
    since: datetime.datetime | None = None  # last start or stop, by whomever
    created: datetime.datetime | None = None
    extensions: Sequence[Extension] = ()  # maintenance windows among them
    orders: Sequence[Order] = ()
    report: busy_guard.Report | None = None
    deferred_until: datetime.datetime | None = None  # what its users were told


class Verdict(NamedTuple):
    """A decision with what else follows from it."""

    desired: str
    reason: str
    kind: str  # hours, start, stop, override, nothing, extension, window, ended, hand, retained, deferred
    since: datetime.datetime
    instance_type: str | None = None
    until: datetime.datetime | None = None  # of a deferral


def decide(
    schedule: Schedule,
    now: datetime.datetime,
    last_transition: datetime.datetime | None,
    extensions: Iterable[Extension] = (),
) -> Decision:
    """What should be at `now`.

    Running hours and extensions are one union: no extension is cut by the end of the hours or of another extension.
    Outside the union the latest end, start or stop before `now` decides.

    Args:
        schedule: the machine's hours.
        now: an instant with its zone.
        last_transition: when the machine last started or stopped, by whomever; None where nobody knows.
        extensions: of this machine; ended and future ones do no harm.

    Raises:
        ValueError: an instant has no zone.
    """
    if not extensions and (found := _untouched(schedule, now, last_transition)):
        return found
    extensions = list(extensions)
    for instant in (now, last_transition, *(end for one in extensions for end in (one.start, one.until))):
        if instant is not None and instant.tzinfo is None:
            msg = "an instant without its time zone"
            raise ValueError(msg)
    found = judge(schedule, now, Machine(since=last_transition, extensions=extensions))
    return Decision(found.desired, found.reason)


def _untouched(
    schedule: Schedule, now: datetime.datetime, last_transition: datetime.datetime | None
) -> Decision | None:
    """The most frequent case without detours: nobody asked for anything, nobody did anything."""
    try:
        stands = standing(schedule, now)
        if last_transition is not None and last_transition > stands.at:
            return None
    except TypeError:
        return None  # an instant without its zone, which the long way refuses
    memo = schedule.memo
    # Of a closed day the reason is another one from midnight to midnight.
    if memo.decision is None and (stands.desired != STOPPED or schedule.closed is open_always):
        memo.decision = Decision(stands.desired, stands.reason)
    return memo.decision


def judge(
    schedule: Schedule,
    now: datetime.datetime,
    machine: Machine,
    rule: busy_guard.Rule | None = None,
    stands: Standing | None = None,
) -> Verdict:
    """The decision in full.

    Args:
        schedule: the machine's hours.
        now: an instant with its zone.
        machine: what is known of it.
        rule: of the busy guard; None: nothing is deferred.
        stands: what the schedule says at `now`, where the caller has it already.
    """
    stands = stands or standing(schedule, now)
    wanted = _with_extensions(schedule, now, stands, machine.extensions) if machine.extensions else _plain(stands)
    if schedule.closed is not open_always and wanted.desired == STOPPED and (day := _closed(schedule, now)):
        wanted = wanted._replace(reason=f"{wanted.reason}, a closed day: {day}")
    if wanted.desired in (LEAVE, machine.state):
        return wanted
    kept = _by_hand(schedule, wanted, machine) or _retained(schedule, wanted, stands, machine)
    if kept is not None:
        return kept
    if rule is not None and wanted.desired == STOPPED and machine.state == RUNNING:
        return _guarded(wanted, now, machine, rule)
    return wanted


def _closed(schedule: Schedule, now: datetime.datetime) -> str | None:
    return schedule.closed(now.astimezone(schedule.zone).date())


def _plain(stands: Standing) -> Verdict:
    kind = "hours" if stands.kind == "type" else stands.kind
    return Verdict(stands.desired, stands.reason, kind, stands.at, stands.instance_type)


def _with_extensions(
    schedule: Schedule, now: datetime.datetime, stands: Standing, extensions: Sequence[Extension]
) -> Verdict:
    wanted = _plain(stands)
    active = [one for one in extensions if one.start <= now < one.until]
    if active:
        one = max(active, key=lambda one: (one.start, one.until))
        if wanted.desired == RUNNING and wanted.since > one.start:
            return wanted
        kind = "window" if one.window else "extension"
        return Verdict(RUNNING, tell(one, schedule.zone), kind, one.start, wanted.instance_type)
    # An end stops a machine only where nothing else wants it up, nor everything left alone.
    if wanted.desired == RUNNING or wanted.kind == "override":
        return wanted
    ended = max((one for one in extensions if one.start < one.until <= now), key=lambda one: one.until, default=None)
    if ended is None or ended.until < wanted.since or (ended.until == wanted.since and wanted.kind != "nothing"):
        return wanted
    return Verdict(STOPPED, "maintenance window ended" if ended.window else "extension ended", "ended", ended.until)


def _by_hand(schedule: Schedule, wanted: Verdict, machine: Machine) -> Verdict | None:
    """What somebody did since the last boundary stays, unless the schedule is enforced or we did it."""
    since = machine.since
    if since is None or since <= wanted.since:
        return None
    if schedule.enforced is True or (schedule.enforced == OUTSIDE and wanted.desired == STOPPED):
        return None
    if any(order.at <= since <= order.at + _OURS for order in machine.orders):
        return None
    new = machine.created is not None and since - machine.created <= _NEW
    if new and wanted.desired == STOPPED and schedule.stop_new:
        return None
    moment = since.astimezone(schedule.zone)
    reason = f"changed at {moment:%a %H:%M}, after the last boundary; next one decides ({wanted.reason})"
    return Verdict(LEAVE, reason, "hand", wanted.since)


def _retained(schedule: Schedule, wanted: Verdict, stands: Standing, machine: Machine) -> Verdict | None:
    """With `retain_running` what ran before the hours began goes on after them."""
    began, since = stands.began, machine.since
    if not schedule.retain_running or schedule.enforced is True or machine.state != RUNNING:
        return None
    if wanted.kind != "hours" or wanted.desired != STOPPED or began is None or since is None or since >= began:
        return None
    if any(order.at <= since <= order.at + _OURS for order in machine.orders):
        return None
    if any(one.start < began <= one.until for one in machine.extensions):
        return None
    moment = since.astimezone(schedule.zone)
    return Verdict(LEAVE, f"it ran since {moment:%a %H:%M}, before the hours began, and is retained", "retained", began)


def _guarded(wanted: Verdict, now: datetime.datetime, machine: Machine, rule: busy_guard.Rule) -> Verdict:
    # Whoever started it by hand after closing time has the steps too, from then on.
    closing = max(wanted.since, machine.since or wanted.since)
    answer = busy_guard.defer(closing, max(now, closing), machine.report, rule, machine.deferred_until)
    if isinstance(answer, busy_guard.Deferral):
        reason = f"{wanted.reason}; {answer.reason}"
        return Verdict(LEAVE, reason, "deferred", wanted.since, wanted.instance_type, answer.until)
    return wanted._replace(reason="; ".join(filter(None, (wanted.reason, answer.reason))))
