"""Which machine image core IT's criteria mean today. Pure: works on what DescribeImages returned.

For internal use of this collection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

NEAREST = 3


class ImagesError(Exception):
    """Something the reader of the message can act on."""


@dataclass(frozen=True)
class Criteria:
    """What core IT says about one key."""

    key: str
    owner: str
    tags: dict[str, str]
    architecture: str
    max_age: timedelta
    on_old: str = "refuse"


def read_criteria(
    images: Mapping[str, Mapping[str, Any]],
    max_age_days: int,
    *,
    only: Iterable[str] | None = None,
    on_old: str = "refuse",
) -> list[Criteria]:
    """The module's `images` option as criteria; a key's own max_age_days and on_old go before the general ones.

    only: the keys that matter, all when None. on_old: only "refuse" lets age alone rule an image out.
    Raises ImagesError for a key that is not there.
    """
    keys = sorted(images) if only is None else sorted(set(only))
    if unknown := [key for key in keys if key not in images]:
        raise ImagesError(f"No such image key: {', '.join(unknown)}; core IT's keys are {', '.join(sorted(images))}")
    return [
        Criteria(
            key=key,
            owner=str(wanted["owner"]),
            tags={name: str(value) for name, value in (wanted.get("tags") or {}).items()},
            architecture=str(wanted.get("architecture") or "x86_64"),
            max_age=timedelta(days=int(wanted.get("max_age_days") or max_age_days)),
            on_old=str(wanted.get("on_old") or on_old),
        )
        for key, wanted in ((key, images[key]) for key in keys)
    ]


def created(image: Mapping[str, Any]) -> datetime:
    """When the image was made (UTC); the beginning of time when AWS does not say."""
    text = str(image.get("CreationDate") or "")
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def objections(image: Mapping[str, Any], criteria: Criteria, now: datetime) -> list[str]:
    """Why this image does not meet the criteria; empty when it does."""
    found = []
    if str(image.get("OwnerId")) != criteria.owner:
        found.append(f"owner is {image.get('OwnerId')}, must be {criteria.owner}")
    tags = {tag["Key"]: tag["Value"] for tag in image.get("Tags") or []}
    found += [
        f"tag {name} is {tags.get(name, 'missing')}, must be {value}"
        for name, value in criteria.tags.items()
        if tags.get(name) != value
    ]
    if image.get("Architecture") != criteria.architecture:
        found.append(f"architecture is {image.get('Architecture')}, must be {criteria.architecture}")
    if image.get("State", "available") != "available":
        found.append(f"state is {image.get('State')}, must be available")
    if (deprecated := _deprecated(image, now)) is not None:
        found.append(f"deprecated since {deprecated}")
    if criteria.on_old == "refuse" and (old := too_old(image, criteria, now)):
        found.append(old)
    return found


def too_old(image: Mapping[str, Any], criteria: Criteria, now: datetime) -> str:
    """In words, when the image is older than it should be; empty when not."""
    if now - created(image) <= criteria.max_age:
        return ""
    return f"{_age(image, now)}, must be at most {criteria.max_age.days} days"


def _deprecated(image: Mapping[str, Any], now: datetime) -> str | None:
    moment = image.get("DeprecationTime")
    return str(moment)[:10] if moment and created({"CreationDate": moment}) < now else None


def _age(image: Mapping[str, Any], now: datetime) -> str:
    return f"{(now - created(image)).days} days old" if image.get("CreationDate") else "of unknown age"


def select(wanted: Iterable[Criteria], images: Iterable[Mapping[str, Any]], now: datetime) -> dict[str, dict[str, Any]]:
    """The newest image that meets each key's criteria.

    Raises ImagesError naming every key without one, and the nearest candidates with what is wrong with them.
    """
    images = sorted(images, key=lambda image: (created(image), str(image.get("ImageId"))), reverse=True)
    chosen: dict[str, dict[str, Any]] = {}
    faults: list[str] = []
    for criteria in wanted:
        judged = [(objections(image, criteria, now), image) for image in images]
        fitting = [image for wrong, image in judged if not wrong]
        if fitting:
            chosen[criteria.key] = _facts(fitting, now) | {
                "too_old": too_old(fitting[0], criteria, now),
                "on_old": criteria.on_old,
            }
        else:
            faults.append(_fault(criteria, judged))
    if faults:
        raise ImagesError("No approved image for:\n" + "\n".join(faults))
    return chosen


def _facts(fitting: list[Mapping[str, Any]], now: datetime) -> dict[str, Any]:
    newest = fitting[0]
    return {
        "image_id": newest["ImageId"],
        "name": newest.get("Name", ""),
        "creation_date": newest.get("CreationDate", ""),
        "age_days": (now - created(newest)).days,
        "older": [image["ImageId"] for image in fitting[1:]],
    }


def _fault(criteria: Criteria, judged: list[tuple[list[str], Mapping[str, Any]]]) -> str:
    tags = ", ".join(f"{name}={value}" for name, value in criteria.tags.items())
    head = f"  {criteria.key}: owner {criteria.owner}, tags {tags or '(none)'}, {criteria.architecture}, " + (
        f"at most {criteria.max_age.days} days old" if criteria.on_old == "refuse" else "of any age"
    )
    nearest = sorted((entry for entry in judged if entry[0]), key=lambda entry: len(entry[0]))[:NEAREST]
    lines = [f"    {image.get('ImageId')} ({image.get('Name', '')}): {'; '.join(wrong)}" for wrong, image in nearest]
    if not lines:
        lines = [f"    owner {criteria.owner} shares no image with this account in this region; ask core IT"]
    return "\n".join([head, *lines])


def standing(in_use: Iterable[str], chosen: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each image in use: which key it belongs to, and the newer image when there is one.

    An image that meets no key's criteria any more has no key: it is no longer approved.
    """
    result: dict[str, dict[str, Any]] = {}
    for image_id in sorted(set(in_use)):
        entry: dict[str, Any] = {"key": None, "approved": False, "newer": None}
        for key, facts in chosen.items():
            if image_id == facts["image_id"]:
                entry = {"key": key, "approved": True, "newer": None}
            elif image_id in facts["older"]:
                entry = {"key": key, "approved": True, "newer": facts["image_id"]}
        result[image_id] = entry
    return result
