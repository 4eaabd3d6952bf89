"""Closing time of a busy machine: deferred in steps up to a cap, warned of before, and who wins over a silent probe.

Pure. What a probe is and how it reaches us is no matter here: a report is data.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any

_MINUTE = datetime.timedelta(minutes=1)
WAIT, STOP = "wait", "stop"
IDLE, BUSY, SILENT, LYING = "idle", "busy", "silent", "lying"
_AHEAD = 2 * _MINUTE  # clocks differ by this much; a report from later than that is no report


@dataclasses.dataclass(frozen=True)
class Rule:
    """What the company decided (corporate.hours.busy)."""

    step_minutes: int = 30
    cap_minutes: int = 120
    fresh_minutes: int = 10  # an older report is silence
    silent: str = WAIT  # which side wins when there is no report: wait as if busy, or stop
    lying: str = WAIT  # the same for one that contradicts itself or what is seen from outside
    cpu_busy: float = 50.0  # percent from outside above which "idle" is not believed
    warnings: tuple[int, ...] = (30, 10, 2)


@dataclasses.dataclass(frozen=True)
class Report:
    """What the probe on a machine said last. No report at all is None in its place."""

    at: datetime.datetime
    busy: bool
    signs: tuple[str, ...] = ()  # `kernel of alice executing`, `GPU at 80 %`
    cpu: float | None = None  # percent as CloudWatch sees it, not the machine itself


@dataclasses.dataclass(frozen=True)
class Deferral:
    """The stop that comes later, and why in words."""

    until: datetime.datetime
    reason: str


@dataclasses.dataclass(frozen=True)
class Refusal:
    """The stop that comes now, and why in words."""

    reason: str


def read_rule(data: Mapping[str, Any] | None) -> Rule | None:
    """The rule as the model has checked it; None where the company has none: closing time is closing time."""
    if data is None:
        return None
    known = {field.name for field in dataclasses.fields(Rule)}
    values = {key: value for key, value in data.items() if key in known}
    if "warnings" in values:
        values["warnings"] = tuple(values["warnings"])
    return Rule(**values)


def judge(report: Report | None, now: datetime.datetime, rule: Rule) -> tuple[str, str]:
    """Whether the machine is idle, busy, silent or its probe lies; and the words for it."""
    if report is None:
        return SILENT, "its probe has never said anything"
    age = now - report.at
    if age > rule.fresh_minutes * _MINUTE:
        return SILENT, f"its probe has been silent for {int(age / _MINUTE)} minutes"
    if lie := _lie(report, age, rule):
        return LYING, lie
    if report.busy:
        # Whatever the processor does: a job on the GPU leaves it almost idle.
        return BUSY, f"busy: {', '.join(report.signs)}"
    return IDLE, "idle"


def _lie(report: Report, age: datetime.timedelta, rule: Rule) -> str | None:
    if age < -_AHEAD:
        return "its probe reports from the future"
    if report.busy and not report.signs:
        return "its probe says busy and names nothing that is"
    if not report.busy and report.cpu is not None and report.cpu >= rule.cpu_busy:
        return f"its probe says idle while the processor is at {report.cpu:.0f} %"
    return None


def defer(
    closing: datetime.datetime,
    now: datetime.datetime,
    report: Report | None,
    rule: Rule,
    granted: datetime.datetime | None = None,
) -> Deferral | Refusal:
    """Whether a machine that should stop waits, and until when.

    The steps lie on a grid from closing time, so a run that comes late or twice decides the same.

    Args:
        closing: when the machine should have stopped: end of its hours or of an extension.
        now: an instant at or after closing.
        report: the probe's last.
        rule: the company's.
        granted: end of the deferral that people were told of; it is kept even when the machine is idle by then.
    """
    last = closing + rule.cap_minutes * _MINUTE
    if granted is not None and now < min(granted, last):
        return Deferral(min(granted, last), "deferred, as its users were told")
    state, words = judge(report, now, rule)
    side = {IDLE: STOP, BUSY: WAIT, SILENT: rule.silent, LYING: rule.lying}[state]
    decided = f"; the rule for {state} probes says {side}" if state in (SILENT, LYING) else ""
    if side == STOP:
        return Refusal("" if state == IDLE else f"{words}{decided}")
    if now >= last:
        return Refusal(f"{words}{decided}, but {rule.cap_minutes} minutes of deferral are the cap")
    step = rule.step_minutes * _MINUTE
    until = min(closing + ((now - closing) // step + 1) * step, last)
    return Deferral(until, f"deferred, {words}{decided}")


def due(stop: datetime.datetime, now: datetime.datetime, rule: Rule, sent: Iterable[int] = ()) -> int | None:
    """The warning that is due: minutes before the stop, one of the rule's.

    A missed run sends one warning late, not three at once: of those due the nearest to the stop, when it was not sent.
    """
    if now >= stop:
        return None
    nearest = min((minutes for minutes in rule.warnings if stop - minutes * _MINUTE <= now), default=None)
    return None if nearest is None or any(one <= nearest for one in sent) else nearest


def warning(machine: str, stop: datetime.datetime, now: datetime.datetime, zone: datetime.tzinfo, reason: str) -> str:
    """The warning in words. The minutes are counted, not the rule's: a late one says what is left."""
    left = max(int((stop - now) / _MINUTE), 1)
    plural = "" if left == 1 else "s"
    return (
        f"{machine} stops in {left} minute{plural}, at {stop.astimezone(zone):%H:%M}: {reason}. Extend it to keep it."
    )
