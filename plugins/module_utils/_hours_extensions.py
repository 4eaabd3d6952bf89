"""Extensions: "keep or start machine M until T", asked by a member, capped by a rule, ending by itself. Pure.

Several of one machine are one union, so that none cuts another. Each answer is a record to keep.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._hours_timeline import merge

_HOUR = datetime.timedelta(hours=1)
_WEEK = datetime.timedelta(days=7)


@dataclasses.dataclass(frozen=True)
class Extension:
    """Keep or start the machine until then, asked by a member; it ends by itself."""

    start: datetime.datetime
    until: datetime.datetime
    by: str = ""
    reason: str = ""
    window: str = ""  # a maintenance window's name: it keeps machines up in the same way
    capped: str = ""  # what the rule cut it to, in words


@dataclasses.dataclass(frozen=True)
class Rule:
    """What the company allows (corporate.hours.extensions); None: no limit."""

    longest_hours: float | None = None  # of one run without a gap, however many extensions it is made of
    week_hours: float | None = None  # of one machine in any seven days
    ahead_days: float | None = None  # how far in the future one may begin


@dataclasses.dataclass(frozen=True)
class Ask:
    """What a member asks for."""

    machine: str
    by: str
    until: datetime.datetime
    reason: str
    start: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Answer:
    """Granted, perhaps for less, or refused; the reason says which rule."""

    extension: Extension | None
    reason: str
    record: Mapping[str, Any]


def read_rule(data: Mapping[str, Any] | None) -> Rule:
    """The rule as the model has checked it."""
    return Rule(**{key: (data or {}).get(key) for key in ("longest_hours", "week_hours", "ahead_days")})


def grant(
    ask: Ask, held: Iterable[Extension], rule: Rule, now: datetime.datetime, members: Iterable[str] | None = None
) -> Answer:
    """The answer to a member.

    Args:
        ask: what is asked.
        held: the machine's extensions so far; those that ended count for the week only.
        rule: the company's.
        now: an instant with its zone.
        members: logins of the machine's project; None where somebody else has checked that.
    """
    start = max(ask.start or now, now)
    wanted = Extension(start, ask.until, ask.by, ask.reason)
    problem = _problem(ask, start, rule, now, members)
    if problem:
        return _answer(ask, None, problem, now)
    capped = cap(wanted, list(held), rule)
    if capped.until <= capped.start:
        return _answer(ask, None, f"nothing is left of it: {capped.capped}", now)
    return _answer(ask, capped, capped.capped or "granted", now)


def _problem(
    ask: Ask, start: datetime.datetime, rule: Rule, now: datetime.datetime, members: Iterable[str] | None
) -> str | None:
    if members is not None and ask.by not in set(members):
        return f"{ask.by} is not a member of the machine's project"
    if not ask.reason.strip():
        return "say what it is for"
    if ask.until <= start:
        return "it would end before it begins"
    if rule.ahead_days is not None and start - now > rule.ahead_days * 24 * _HOUR:
        return f"it may begin at most {rule.ahead_days:g} days ahead"
    return None


def _answer(ask: Ask, granted: Extension | None, reason: str, now: datetime.datetime) -> Answer:
    record = {
        "at": now.isoformat(), "machine": ask.machine, "by": ask.by, "reason": ask.reason,
        "asked_until": ask.until.isoformat(), "granted": granted is not None,
        "until": granted.until.isoformat() if granted else None, "answer": reason,
    }  # fmt: skip
    return Answer(granted, reason, record)


def cap(wanted: Extension, held: list[Extension], rule: Rule) -> Extension:
    """The extension within the rule: its end comes earlier, in the end down to its start."""
    until, told = wanted.until, ""
    if rule.longest_hours is not None:
        # Joined to what it touches, so that a chain of short ones is no way around the cap.
        unions = merge([(one.start, one.until) for one in held] + [(wanted.start, wanted.until)])
        begin = next(begin for begin, end in unions if begin <= wanted.start < end)
        until = min(until, begin + rule.longest_hours * _HOUR)
        told = f"capped at {rule.longest_hours:g} hours without a gap" if until < wanted.until else ""
    if rule.week_hours is not None:
        fits = _within_week(wanted.start, until, held, rule.week_hours * _HOUR)
        if fits < until:
            until, told = fits, f"capped at {rule.week_hours:g} hours in seven days"
    if until == wanted.until:
        return wanted
    return dataclasses.replace(wanted, until=max(until, wanted.start), capped=told)


def _within_week(
    start: datetime.datetime, until: datetime.datetime, held: list[Extension], most: datetime.timedelta
) -> datetime.datetime:
    """The latest end with which no seven days hold more than `most`."""
    before = [(one.start, one.until) for one in held]
    while start < until:
        # The seven days that end with it hold the most of it and of what came before.
        floor = until - _WEEK
        inside = merge((max(begin, floor), min(end, until)) for begin, end in [*before, (start, until)])
        over = sum((end - begin for begin, end in inside), datetime.timedelta()) - most
        if over <= datetime.timedelta():
            return until
        until -= max(min(over, until - start), datetime.timedelta(minutes=1))
    return start


def effective(held: Iterable[Extension], rule: Rule) -> list[Extension]:
    """What is left of extensions when the rule is kept, whoever wrote them down; in the order of their starts.

    The machine obeys the rule also where an extension came from a file, past `grant`.
    """
    kept: list[Extension] = []
    for one in sorted(held, key=lambda one: (one.start, one.until)):
        within = cap(one, kept, rule)
        if within.start < within.until:
            kept.append(within)
    return kept


def read(entries: Iterable[Mapping[str, Any]], rule: Mapping[str, Any] | None = None) -> dict[str, list[Extension]]:
    """Extensions as written down, by machine, within the rule.

    Raises:
        ValueError: one has no zone or does not end after it starts.
    """
    found: dict[str, list[Extension]] = {}
    for one in entries:
        start, until = (datetime.datetime.fromisoformat(str(one[key])) for key in ("start", "until"))
        for instant, key in ((start, "start"), (until, "until")):
            if instant.utcoffset() is None:
                message = f"{one[key]} has no zone, write it as 2027-03-06T12:00:00+01:00"
                raise ValueError(message)
        if start >= until:
            message = f"the extension of {one['machine']} does not end after it starts"
            raise ValueError(message)
        asked = Extension(start, until, one.get("by") or "", one.get("reason") or "")
        found.setdefault(one["machine"], []).append(asked)
    return {machine: effective(held, read_rule(rule)) for machine, held in found.items()}


def tell(one: Extension, zone: datetime.tzinfo) -> str:
    """It in words: `extension until Fri 21:00 by alice: training`."""
    kind = f"maintenance window {one.window}" if one.window else "extension"
    by = f" by {one.by}" if one.by else ""
    reason = f": {one.reason}" if one.reason else ""
    capped = f" ({one.capped})" if one.capped else ""
    return f"{kind} until {one.until.astimezone(zone):%a %H:%M}{by}{reason}{capped}"
