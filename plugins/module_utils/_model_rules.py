"""The shape of rules and exceptions in the data: one severity per rung of the ladder, or one for all. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from ansible_collections.atelier.datalab.plugins.module_utils._model_fields import (
    Date,
    Entry,
    Login,
    Severity,
    Text,
    Ticket,
    wrong,
)
from ansible_collections.atelier.datalab.plugins.module_utils._rules import LADDER, STRENGTH
from pydantic import BeforeValidator, Field

Environment = Literal["lab", "dev", "preprod", "prod"]
Word = Annotated[Literal["off", "warn", "refuse"], Severity]
Count = Annotated[int, Field(ge=1)]


def _everywhere(fits: Callable[[Any], bool], why: str, instead: str) -> BeforeValidator:
    """One value alone stands for all environments; judged here, so that its fault is told once and not per rung."""

    def spread(value: Any) -> Any:
        if isinstance(value, dict):
            return value
        if not fits(value):
            raise wrong(why, f"{instead}, alone or one per environment ({', '.join(LADDER)})")
        return dict.fromkeys(LADDER, value)

    return BeforeValidator(spread)


class Words(Entry):
    lab: Word
    dev: Word
    preprod: Word
    prod: Word


class Counts(Entry):
    lab: Count
    dev: Count
    preprod: Count
    prod: Count


Severities = Annotated[
    Words,
    _everywhere(lambda value: value in STRENGTH, "is not one of the choices", "write off, warn or refuse"),
    Severity,
]
Days = Annotated[
    Counts,
    _everywhere(
        lambda value: type(value) is int and value >= 1, "is no number of days", "write a whole number from 1 up"
    ),
]


class Rule(Entry):
    text: Text | None = None
    source: Text | None = None
    severity: Severities
    hardens: dict[Date, dict[Environment, Word]] = Field({})


class AtMost(Rule):
    max_days: Days


class AtLeast(Rule):
    min_days: Days


class Ending(Rule):
    warn_days: Days | None = None


class MandatoryTags(Rule):
    also: list[Text] = Field([])


class Naming(Rule):
    pattern: Text | None = None


class Rules(Entry):
    approved_image: Rule
    image_age: AtMost
    image_marker: Rule | None = None
    mandatory_tags: MandatoryTags
    tag_values: Rule | None = None
    owner_member: Rule | None = None
    naming: Naming
    stack_managed: Rule | None = None
    public_address: Rule
    open_world: Rule
    flow_expired: Ending
    imdsv2: Rule
    encryption: Rule
    backup_present: Rule
    schedule_present: Rule
    certificate_expiry: AtLeast | None = None
    patch_age: AtMost | None = None
    exception_current: AtMost | None = None


class Exemption(Entry):
    rule: Text
    subject: Text
    owner: Login
    reason: Text
    ticket: Ticket
    expires: Date
