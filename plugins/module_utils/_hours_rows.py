"""From what AWS lists to rows of a table: one per machine, database or group, with what to do and why. Pure."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _hours_busy
from ansible_collections.atelier.datalab.plugins.module_utils._hours import (
    LEAVE,
    RUNNING,
    STOPPED,
    Machine,
    Order,
    Verdict,
    judge,
)
from ansible_collections.atelier.datalab.plugins.module_utils._hours_extensions import Extension
from ansible_collections.atelier.datalab.plugins.module_utils._hours_schedule import UTC, Schedule
from ansible_collections.atelier.datalab.plugins.module_utils._hours_timeline import Standing, standing

BASTION = "bastion"
NONE = "none"
GROUP_TAG = "aws:autoscaling:groupName"  # AWS writes it on the instances of a group
SIZE_TAGS = ("HoursSize", "IS-MinDesiredMax")  # what a stopped group comes back to; the second is Instance Scheduler's
_STAMP = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")
_ACTIONS = {(STOPPED, RUNNING): "start", (RUNNING, STOPPED): "stop"}
_LATE = datetime.timedelta(minutes=15)
# RDS calls more states than two its own; what is in none of them waits.
_DATABASE_STATES = {"available": RUNNING, "stopped": STOPPED}
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
_STATE_REASONS = {
    "Client.InternalError": "a volume was not attached, mostly for want of a grant on its key (KMS)",
    "Server.InsufficientInstanceCapacity": "AWS has no machine of this type in the zone now",
    "Client.VolumeLimitExceeded": "the account's limit of volumes is reached",
    "Server.SpotInstanceTermination": "AWS took the spot machine back",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """Something with hours: an instance, a database or its cluster, an Auto Scaling group."""

    id: str
    kind: str  # ec2, rds, cluster, asg
    state: str
    tags: Mapping[str, str]
    since: datetime.datetime | None = None
    created: datetime.datetime | None = None
    told: str = ""  # why AWS says it is in this state
    instance_type: str = ""
    sizes: str = ""  # of a group: minimum-desired-maximum

    @property
    def name(self) -> str:
        """The tag Name; the id of what has none and is named by people."""
        return self.tags.get("Name") or ("" if self.kind == "ec2" else self.id)


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known beside AWS's lists, by the name or id of the machine."""

    extensions: Mapping[str, Sequence[Extension]] = dataclasses.field(default_factory=dict)
    windows: Mapping[str, Sequence[Extension]] = dataclasses.field(default_factory=dict)  # by the window's name
    orders: Mapping[str, Sequence[Order]] = dataclasses.field(default_factory=dict)
    reports: Mapping[str, _hours_busy.Report] = dataclasses.field(default_factory=dict)
    deferred: Mapping[str, datetime.datetime] = dataclasses.field(default_factory=dict)
    rule: _hours_busy.Rule | None = None
    sent: Mapping[tuple[str, str], set[int]] = dataclasses.field(default_factory=dict)  # warnings, by id and stop


def sizes(text: str) -> tuple[int, int, int]:
    """Minimum, desired and maximum of a group as its tag keeps them: `1-2-4`.

    Raises:
        ValueError: they are no sizes that a running group may have.
    """
    low, wanted, high = (int(part) for part in text.split("-"))
    if not 0 <= low <= wanted <= high or high == 0:
        raise ValueError(text)
    return low, wanted, high


def last_transition(instance: Mapping[str, Any]) -> datetime.datetime | None:
    """When an instance (as DescribeInstances gives it) last started or stopped."""
    if instance["State"]["Name"] == RUNNING:
        return instance.get("LaunchTime")
    found = _STAMP.search(instance.get("StateTransitionReason") or "")
    return datetime.datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None


def of_instance(instance: Mapping[str, Any]) -> Subject:
    """An instance as DescribeInstances gives it."""
    # LaunchTime is that of the last start; the first network interface is as old as the machine.
    attached = [
        one["Attachment"].get("AttachTime") for one in instance.get("NetworkInterfaces") or () if "Attachment" in one
    ]
    reason = (instance.get("StateReason") or {}).get("Code", "")
    return Subject(
        id=instance["InstanceId"],
        kind="ec2",
        state=instance["State"]["Name"],
        tags=_tags(instance.get("Tags")),
        since=last_transition(instance),
        created=min(filter(None, attached), default=None),
        told=_STATE_REASONS.get(reason, ""),
        instance_type=instance.get("InstanceType", ""),
    )


def of_database(database: Mapping[str, Any]) -> Subject:
    """A database instance or cluster as RDS gives it; RDS does not say when it started."""
    cluster = "DBClusterIdentifier" in database and "DBInstanceIdentifier" not in database
    status = database["Status" if cluster else "DBInstanceStatus"]
    return Subject(
        id=database["DBClusterIdentifier" if cluster else "DBInstanceIdentifier"],
        kind="cluster" if cluster else "rds",
        state=_DATABASE_STATES.get(status, status),
        tags=_tags(database.get("TagList")),
    )


def of_group(group: Mapping[str, Any]) -> Subject:
    """An Auto Scaling group: it runs when it may have instances."""
    sizes = (group["MinSize"], group["DesiredCapacity"], group["MaxSize"])
    return Subject(
        id=group["AutoScalingGroupName"],
        kind="asg",
        state=RUNNING if any(sizes) else STOPPED,
        tags=_tags(group.get("Tags")),
        sizes="-".join(map(str, sizes)),
    )


def _tags(tags: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


def plan(
    instances: Iterable[Mapping[str, Any] | Subject],
    schedules: Mapping[str, Schedule],
    now: datetime.datetime,
    extensions: Mapping[str, Sequence[Extension]] | None = None,
    known: Known | None = None,
) -> list[dict[str, Any]]:
    """One row per subject: id, name, kind, schedule, state, action (start, stop, none), reason; sorted by name.

    What a schedule says at `now` is worked out once for all machines that have it.
    """
    known = known or Known(extensions=extensions or {})
    standings: dict[str, Standing] = {}
    rows = []
    for one in instances:
        subject = one if isinstance(one, Subject) else of_instance(one)
        verdict = left_alone(subject, schedules)
        if verdict is None:
            name = subject.tags["Schedule"]
            if name not in standings:
                standings[name] = standing(schedules[name], now)
            verdict = _judged(subject, schedules[name], now, known, standings[name])
        rows.append(_row(subject, verdict, schedules, now, known))
    return sorted(rows, key=lambda row: (row["name"], row["id"]))


def left_alone(subject: Subject, schedules: Mapping[str, Schedule]) -> Verdict | None:
    """Why something is left alone whatever the time."""
    tags, wanted = subject.tags, subject.tags.get("Schedule", "")
    if tags.get("Role") == BASTION:
        return _alone("the bastion is never stopped")
    if subject.kind == "ec2" and GROUP_TAG in tags:
        # Stopped by hand, the group would only make another one.
        return _alone(f"it belongs to the Auto Scaling group {tags[GROUP_TAG]}, which has the hours")
    if wanted == NONE and NONE not in schedules:
        return _alone("left alone, its tag Schedule says none")
    if wanted not in schedules:
        return _alone(f"left alone, schedule {wanted} is not known" if wanted else "left alone, it has no tag Schedule")
    if subject.state not in (RUNNING, STOPPED):
        return _alone(f"it is {subject.state}, the next run decides")
    return None


def _alone(reason: str) -> Verdict:
    return Verdict(LEAVE, reason, "alone", datetime.datetime.min.replace(tzinfo=UTC))


def _of(found: Mapping[str, Any], subject: Subject, default: Any) -> Any:
    if not found:
        return default
    return found.get(subject.name) or found.get(subject.id) or default


def _judged(subject: Subject, schedule: Schedule, now: datetime.datetime, known: Known, stands: Standing) -> Verdict:
    # Nothing on a database or in a group reports what it does.
    rule = known.rule if subject.kind == "ec2" else None
    return judge(schedule, now, machine_of(subject, schedule, known), rule, stands)


def machine_of(subject: Subject, schedule: Schedule, known: Known) -> Machine:
    """What is known of a subject, for the decision."""
    extensions = list(_of(known.extensions, subject, ()))
    for window in schedule.maintenance_windows:
        extensions += known.windows.get(window, ())
    return Machine(
        state=subject.state,
        since=subject.since,
        created=subject.created,
        extensions=extensions,
        orders=_of(known.orders, subject, ()),
        report=_of(known.reports, subject, None),
        deferred_until=_of(known.deferred, subject, None),
    )


def _row(
    subject: Subject, verdict: Verdict, schedules: Mapping[str, Schedule], now: datetime.datetime, known: Known
) -> dict[str, Any]:
    action, reason = _ACTIONS.get((subject.state, verdict.desired), "none"), verdict.reason
    name = subject.tags.get("Schedule", "")
    row = {
        "id": subject.id, "name": subject.name, "kind": subject.kind, "schedule": name,
        "state": subject.state, "action": action, "reason": reason,
    }  # fmt: skip
    if action == "start":
        if told := _still_stopped(subject, now, known):
            row["reason"] = f"{reason}; {told}"
        if verdict.instance_type and verdict.instance_type != subject.instance_type and subject.kind == "ec2":
            row["instance_type"] = verdict.instance_type
    elif verdict.instance_type and subject.instance_type and verdict.instance_type != subject.instance_type:
        row["reason"] = f"{reason}; runs as {subject.instance_type}, as {verdict.instance_type} from its next start on"
    if action == "stop" and subject.kind == "ec2" and schedules[name].hibernate:
        row["hibernate"] = True
    if verdict.until is not None:
        row["deferred_until"] = verdict.until.isoformat()
    if subject.kind == "asg":
        _size(row, subject)
    return row


def _size(row: dict[str, Any], subject: Subject) -> None:
    """A group comes back to the sizes in its tag; without them nobody knows how large it was."""
    row["sizes"] = subject.sizes
    row["restore"] = next((subject.tags[tag] for tag in SIZE_TAGS if subject.tags.get(tag)), "")
    if row["action"] == "start":
        try:
            sizes(row["restore"])
        except ValueError:
            row["action"] = "none"
            row["reason"] += (
                f"; cannot start, its tag {SIZE_TAGS[0]} does not say minimum-desired-maximum such as 1-2-4"
            )


def _still_stopped(subject: Subject, now: datetime.datetime, known: Known) -> str:
    """AWS accepts a start and the machine stays stopped: said, with AWS's reason in plain words."""
    orders = [order for order in _of(known.orders, subject, ()) if order.action == "start"]
    last = max(orders, default=None)
    if last is None or not _OLD_ENOUGH <= now - last.at <= 24 * 60 * _OLD_ENOUGH:
        return ""
    if subject.since is not None and subject.since > last.at + _LATE:
        return ""  # it ran and was stopped since
    why = subject.told or "AWS gives no reason"
    return f"ordered to start at {last.at:%H:%M} UTC and still stopped: {why}"


_OLD_ENOUGH = datetime.timedelta(minutes=1)


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as aligned lines: name, state, action, reason."""
    columns = ("name", "state", "action")
    widths = [max((len(row[column]) for row in rows), default=0) for column in columns]
    return [
        "  ".join([*(row[column].ljust(width) for column, width in zip(columns, widths, strict=True)), row["reason"]])
        for row in rows
    ]
