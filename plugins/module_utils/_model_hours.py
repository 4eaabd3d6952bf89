"""The data of hours: schedules, calendar, what the company allows. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ansible_collections.atelier.datalab.plugins.module_utils._model_fields import (
    Clock,
    Date,
    Day,
    Entry,
    InstanceType,
    Moment,
    Month,
    MonthDay,
    Slug,
    Text,
    Timezone,
)
from pydantic import Field

State = Literal["running", "stopped", "leave"]
Percent = Annotated[float, Field(gt=0, le=100)]
Minutes = Annotated[int, Field(ge=1, le=1440)]


class Period(Entry):
    name: Text | None = None
    days: Annotated[list[Day], Field(min_length=1)] | None = None
    month_days: Annotated[list[MonthDay], Field(min_length=1)] | None = None
    months: Annotated[list[Month], Field(min_length=1)] | None = None
    begin: Clock | None = None
    end: Clock | None = None
    overnight: bool = False
    instance_type: InstanceType | None = None
    holidays: Literal["skip", "run", "only"] = "skip"


class Override(Entry):
    state: State
    begin: Moment
    end: Moment | None = None
    reason: Text


class Schedule(Entry):
    name: Slug
    timezone: Timezone
    description: Text | None = None
    periods: list[Period]
    holidays: list[Slug] = Field([])
    enforced: Literal[True, False, "outside"] = False
    retain_running: bool = False
    stop_new: bool = False
    hibernate: bool = False
    maintenance_windows: list[Text] = Field([])
    use_maintenance_windows: bool = True
    override: Override | None = None


class Holidays(Entry):
    country: Text
    region: Text | None = None


class CompanyDay(Entry):
    date: Date
    until: Date | None = None
    name: Text
    holidays: list[Slug] = Field([])


class Freeze(Entry):
    name: Slug
    state: State = "leave"
    begin: Moment
    end: Moment
    reason: Text
    schedules: list[Slug] = Field([])


class Calendar(Entry):
    holidays: dict[Slug, Holidays] = Field({})
    company_days: list[CompanyDay] = Field([])
    freezes: list[Freeze] = Field([])


class ExtensionRule(Entry):
    longest_hours: Annotated[float, Field(gt=0)] | None = None
    week_hours: Annotated[float, Field(gt=0, le=168)] | None = None
    ahead_days: Annotated[float, Field(ge=0)] | None = None


Side = Literal["wait", "stop"]


class BusyRule(Entry):
    step_minutes: Minutes = 30
    cap_minutes: Minutes = 120
    fresh_minutes: Minutes = 10
    silent: Side = "wait"
    lying: Side = "wait"
    cpu_busy: Percent = 50.0
    warnings: list[Minutes] = Field([30, 10, 2])


class HoursRules(Entry):
    extensions: ExtensionRule = ExtensionRule()
    busy: BusyRule | None = None


def plain(one: Entry) -> dict[str, Any]:
    """An entry as modules take it, without what was left out."""
    return one.model_dump(mode="json", exclude_none=True)
