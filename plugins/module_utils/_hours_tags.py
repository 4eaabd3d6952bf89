"""Hours that a tag itself says, in the words of Cloud Custodian, for the time of moving over. Pure."""

from __future__ import annotations

import dataclasses
import zoneinfo
from collections.abc import Iterable, Mapping

from ansible_collections.atelier.datalab.plugins.module_utils import _hours_c7n, _hours_rows
from ansible_collections.atelier.datalab.plugins.module_utils._hours_move import MoveError
from ansible_collections.atelier.datalab.plugins.module_utils._hours_schedule import Schedule, read_schedule


def adopted(
    subjects: Iterable[_hours_rows.Subject], schedules: Mapping[str, Schedule], tag: str = _hours_c7n.C7N_TAG
) -> tuple[list[_hours_rows.Subject], dict[str, Schedule]]:
    """The subjects with a name of a schedule for such a tag, and the schedules with those. A tag is read once."""
    known, found = dict(schedules), []
    for one in subjects:
        text = one.tags.get("Schedule", "")
        if not text and tag in one.tags:
            text = one.tags[tag] or "on"
        elif not _hours_c7n.is_c7n(text):
            found.append(one)
            continue
        name = f"{tag}: {text}"
        if name not in known:
            known |= _read(text, name)
        wanted = _hours_rows.NONE if text.strip().lower() == "off" else name
        found.append(dataclasses.replace(one, tags={**one.tags, "Schedule": wanted}))
    return found, known


def _read(text: str, name: str) -> dict[str, Schedule]:
    """Nothing for what cannot be read: its machine is left alone and says so."""
    try:
        data = _hours_c7n.from_c7n(text, name, zones=zoneinfo.available_timezones())
        return {name: read_schedule(data)} if data else {}
    except (MoveError, KeyError, ValueError, OSError):
        return {}
