"""Moving over from Cloud Custodian: tags of its offhours as schedules of ours. Pure.

Written from its documentation and behaviour. https://cloudcustodian.io/docs/filters/offhours.html
It acts in the exact hour only; here an hour that was missed is caught up.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._hours_move import MoveError
from ansible_collections.atelier.datalab.plugins.module_utils._hours_schedule import DAYS

C7N_TAG = "maid_offhours"
_LETTERS = "mtwhfsu"
# What its own documentation lists; every other name is an IANA zone.
_ZONES = {
    "pdt": "America/Los_Angeles", "pt": "America/Los_Angeles", "pst": "America/Los_Angeles",
    "ast": "America/Phoenix", "at": "America/Phoenix",
    "est": "America/New_York", "edt": "America/New_York", "et": "America/New_York",
    "cst": "America/Chicago", "cdt": "America/Chicago", "ct": "America/Chicago",
    "mst": "America/Denver", "mdt": "America/Denver", "mt": "America/Denver",
    "gmt": "Etc/GMT", "gt": "Etc/GMT", "bst": "Europe/London", "ist": "Europe/Dublin", "cet": "Europe/Berlin",
    "it": "Asia/Kolkata", "jst": "Asia/Tokyo", "kst": "Asia/Seoul", "sgt": "Asia/Singapore",
    "aet": "Australia/Sydney", "brt": "America/Sao_Paulo", "nzst": "Pacific/Auckland", "utc": "Etc/UTC",
}  # fmt: skip
# Tags of some services take no brackets; it writes them by their numbers.
_ESCAPES = {f"u{ord(sign):x}": sign for sign in "()[],;=/-"}


@dataclasses.dataclass(frozen=True)
class Policy:
    """What a policy of Custodian says where the tag says nothing."""

    zone: str = "et"
    onhour: int = 7
    offhour: int = 19
    weekends: bool = True  # off on weekends, in its words
    weekends_only: bool = False


def from_c7n(value: str, name: str, policy: Policy | None = None, zones: Iterable[str] = ()) -> dict[str, Any] | None:
    """A tag's value as a schedule; None where it says `off`: left alone.

    Args:
        value: `off=[(M-F,21),(U,18)];on=[(M-F,6),(U,10)];tz=pt`, `on`, nothing, or `off`.
        name: of the schedule.
        policy: what holds where the tag says nothing.
        zones: IANA names, to find one whatever its capitals.

    Raises:
        MoveError: it is none of these.
    """
    policy = policy or Policy()
    text = value.strip().strip("'\"").lower()
    for escape, sign in _ESCAPES.items():
        text = text.replace(escape, sign)
    if text == "off":
        return None
    fields: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in ("" if text == "on" else text).split(";"))):
        key, equals, rest = part.partition("=")
        if not equals or key not in ("on", "off", "tz"):
            message = f"{value!r} is no tag of Cloud Custodian's offhours: {part!r} is none of on=, off=, tz="
            raise MoveError(message)
        fields[key] = rest
    on = _times(fields["on"], value) if "on" in fields else _default(policy, "on")
    off = _times(fields["off"], value) if "off" in fields else _default(policy, "off")
    zone = _zone(fields.get("tz") or policy.zone, zones)
    return {"name": name, "timezone": zone, "periods": _paired(on, off)}


def _zone(text: str, zones: Iterable[str]) -> str:
    if text.lower() in _ZONES:
        return _ZONES[text.lower()]
    return next((zone for zone in zones if zone.lower() == text.lower()), text)


Times = list[tuple[tuple[str, ...], int]]


def _default(policy: Policy, side: str) -> Times:
    hour = policy.onhour if side == "on" else policy.offhour
    if policy.weekends_only:
        return [(("mon",) if side == "on" else ("fri",), hour)]
    return [(DAYS[:5] if policy.weekends else DAYS, hour)]


def _times(text: str, value: str) -> Times:
    found = re.fullmatch(r"\[?(\(\w(?:-\w)?,\d{1,2}\)(?:,\(\w(?:-\w)?,\d{1,2}\))*)\]?", text.replace(" ", ""))
    times: Times = []
    for days, hour in re.findall(r"\((\w(?:-\w)?),(\d{1,2})\)", found[1] if found else ""):
        first, last = (_LETTERS.find(letter) for letter in (days[0], days[-1]))
        if min(first, last) < 0 or int(hour) > 23:
            times = []
            break
        count = (last - first) % 7 + 1
        times.append((tuple(DAYS[(first + n) % 7] for n in range(count)), int(hour)))
    if not times:
        message = f"{value!r}: {text!r} is no list of (days,hour) with M, T, W, H, F, S, U and 0 to 23"
        raise MoveError(message)
    return times


def _paired(on: Times, off: Times) -> list[dict[str, Any]]:
    """Begin and end of the same days as one period; what has no counterpart stays one-sided, which decides the same."""
    periods: list[dict[str, Any]] = []
    # Only where that loses nothing: a day named twice has events of its own.
    single = len({d for days, _ in on for d in days}) == sum(len(days) for days, _ in on)
    single = single and len({d for days, _ in off for d in days}) == sum(len(days) for days, _ in off)
    left: Sequence[tuple[tuple[str, ...], int]] = list(off)
    for days, hour in on:
        end = next((one for one in left if single and one[0] == days and one[1] > hour), None)
        if end:
            left = [one for one in left if one is not end]
            periods.append({"days": list(days), "begin": f"{hour:02d}:00", "end": f"{end[1]:02d}:00"})
        else:
            periods.append({"days": list(days), "begin": f"{hour:02d}:00"})
    return periods + [{"days": list(days), "end": f"{hour:02d}:00"} for days, hour in left]


def is_c7n(text: str) -> bool:
    """Whether a tag's value is Custodian's and no schedule's name."""
    return bool(re.match(r"(?i)\s*['\"]?(on|off|tz)(=|u3d)", text))
