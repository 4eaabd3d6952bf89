"""Days on which nobody works, weeks in which nothing may change: holidays by country, company days, freezes.

Pure. The library `holidays` is asked only where a set of the calendar names a country.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._hours_schedule import Closed, Schedule, read_schedule

_DAY = datetime.timedelta(days=1)


class CalendarError(Exception):
    """The calendar cannot be computed; says what to do."""


def supported(country: str, region: str | None = None) -> tuple[str, str, str] | None:
    """Why the library knows no holidays there: the wrong key, why, what to write; None where it does."""
    library = _library()
    known = library.list_supported_countries(include_aliases=True)
    if country not in known:
        return "country", "is no country whose holidays are known", "write its two letters, such as FR, DE or BE"
    if region is not None and region not in known[country]:
        regions = ", ".join(sorted(known[country]))
        return "region", f"is no region of {country}", f"write one of {regions}" if regions else "remove it"
    return None


def _library() -> Any:
    try:
        import holidays  # noqa: PLC0415  only who has such a set needs it
    except ImportError as error:
        message = "The Python library holidays is missing. Install the controller's requirements: make setup"
        raise CalendarError(message) from error
    return holidays


class Calendar:
    """`corporate.calendar`: which dates are closed for whom.

    Args:
        data: the entry as the model has checked it.
    """

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        self._data = data or {}
        self._sets: dict[str, Any] = {}
        self._closed: dict[tuple[str, ...], Closed] = {}

    def public(self, name: str, date: datetime.date) -> str | None:
        """The public holiday of a named set that a date is."""
        # Two holidays on one day come as "A; B".
        return self._set(name).get(date)

    def _set(self, name: str) -> Any:
        if name not in self._sets:
            one = self._data["holidays"][name]
            if problem := supported(one["country"], one.get("region")):
                message = f"calendar.holidays.{name}.{problem[0]} {problem[1]}: {problem[2]}"
                raise CalendarError(message)
            # An object that computes a year when it is first asked for one of its days.
            self._sets[name] = _library().country_holidays(one["country"], subdiv=one.get("region"))
        return self._sets[name]

    def company(self, sets: Iterable[str], date: datetime.date) -> str | None:
        """The company day that a date is, for a schedule with these sets of holidays."""
        for one in self._data.get("company_days") or ():
            first = _date(one["date"])
            only = one.get("holidays")
            if first <= date <= _date(one.get("until") or first) and (not only or set(only) & set(sets)):
                return one["name"]
        return None

    def closed(self, sets: Iterable[str]) -> Closed:
        """What names a closed day for these sets. A date is worked out once; schedules with equal sets share it."""
        key = tuple(sets)
        if key not in self._closed:
            known: dict[datetime.date, str | None] = {}

            def named(date: datetime.date) -> str | None:
                if date not in known:
                    public = (self.public(name, date) for name in key)
                    known[date] = next(filter(None, public), None) or self.company(key, date)
                return known[date]

            self._closed[key] = named
        return self._closed[key]

    def days(self, sets: Iterable[str], first: datetime.date, last: datetime.date) -> dict[datetime.date, str]:
        """The closed days from `first` to `last`, by date."""
        named = self.closed(sets)
        dates = (first + n * _DAY for n in range((last - first).days + 1))
        return {date: name for date in dates if (name := named(date))}

    def freezes(self, schedule: str) -> list[Mapping[str, Any]]:
        """The freezes that hold for a schedule."""
        return [
            one for one in self._data.get("freezes") or () if not one.get("schedules") or schedule in one["schedules"]
        ]

    def schedule(self, data: Mapping[str, Any]) -> Schedule:
        """A schedule with its closed days and freezes. Without `holidays` no day is closed to it.

        Raises:
            CalendarError: holidays cannot be computed.
            KeyError, ValueError: something is missing or means nothing.
        """
        sets = data.get("holidays") or ()
        if unknown := [name for name in sets if name not in (self._data.get("holidays") or {})]:
            message = f"schedule {data['name']}: calendar.holidays has no {', '.join(unknown)}"
            raise CalendarError(message)
        for name in sets:
            self._set(name)  # now, not in the middle of a decision, is the time to fail
        return read_schedule(data, self.closed(sets) if sets else None, self.freezes(data["name"]))


def _date(value: Any) -> datetime.date:
    return value if isinstance(value, datetime.date) else datetime.date.fromisoformat(str(value))


def read(schedules: Iterable[Mapping[str, Any]], calendar: Mapping[str, Any] | None = None) -> dict[str, Schedule]:
    """Every schedule by its name, with the calendar's days."""
    found = Calendar(calendar)
    return {one["name"]: found.schedule(one) for one in schedules}
