"""Calls to AWS of the hours: list in pages, order in batches, and one that cannot never blocks the others.

For internal use of this collection.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _aws, _hours_rows, _names
from ansible_collections.atelier.datalab.plugins.module_utils._hours_extensions import Extension
from ansible_collections.atelier.datalab.plugins.module_utils._hours_schedule import UTC

STATES = ["pending", "running", "stopping", "stopped"]
BATCH = 50  # AWS advises against more per call; one bad id refuses them all
SIZE_TAG = _hours_rows.SIZE_TAGS[0]
_THROTTLED = {"RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException"}
_NO_HIBERNATION = {"UnsupportedHibernationConfiguration", "UnsupportedOperation", "InvalidParameterCombination"}
_MARGIN = datetime.timedelta(minutes=10)  # before a maintenance window, so that its machines are up when it begins

Row = dict[str, Any]
Client = Callable[[str], Any]


def subjects(client: Client, environment: str, kinds: Sequence[str]) -> tuple[list[_hours_rows.Subject], list[str]]:
    """What has hours in the environment, and what could not be listed; EC2 must be.

    Raises:
        AWS_ERRORS: the instances cannot be listed.
    """
    found, gaps = [], []
    for kind in kinds:
        try:
            found += list(_LISTS[kind](client, environment))
        except _aws.AWS_ERRORS as error:
            if kind == "ec2":
                raise
            gaps.append(f"{kind} is left out, it cannot be listed: {_aws.sentence(error)}")
    return found, gaps


def _instances(client: Client, environment: str) -> Iterator[_hours_rows.Subject]:
    filters = [
        {"Name": "tag:Environment", "Values": [environment]},
        {"Name": "tag:ManagedBy", "Values": [_names.MANAGED_BY]},
        {"Name": "instance-state-name", "Values": STATES},
    ]
    for page in client("ec2").get_paginator("describe_instances").paginate(Filters=filters):
        for reservation in page["Reservations"]:
            yield from map(_hours_rows.of_instance, reservation["Instances"])


def _databases(client: Client, environment: str) -> Iterator[_hours_rows.Subject]:
    rds = client("rds")
    for operation, key in (("describe_db_instances", "DBInstances"), ("describe_db_clusters", "DBClusters")):
        for page in rds.get_paginator(operation).paginate():
            for one in page[key]:
                # A member of a cluster starts and stops with it.
                member = key == "DBInstances" and one.get("DBClusterIdentifier")
                if not member and _is_ours(subject := _hours_rows.of_database(one), environment):
                    yield subject


def _groups(client: Client, environment: str) -> Iterator[_hours_rows.Subject]:
    for page in client("autoscaling").get_paginator("describe_auto_scaling_groups").paginate():
        for one in page["AutoScalingGroups"]:
            if _is_ours(subject := _hours_rows.of_group(one), environment):
                yield subject


def _is_ours(subject: _hours_rows.Subject, environment: str) -> bool:
    tags = subject.tags
    return tags.get("Environment") == environment and tags.get("ManagedBy") == _names.MANAGED_BY


_LISTS: dict[str, Callable[[Client, str], Iterator[_hours_rows.Subject]]] = {
    "ec2": _instances,
    "rds": _databases,
    "asg": _groups,
}


def windows(ssm: Any, names: Iterable[str], now: datetime.datetime) -> dict[str, list[Extension]]:
    """The maintenance windows of Systems Manager with these names: the one that runs, and the next."""
    wanted, found = set(names), {}
    for page in ssm.get_paginator("describe_maintenance_windows").paginate():
        for one in page["WindowIdentities"]:
            if one["Name"] in wanted and one.get("Enabled", True):
                spans = [*_begun(ssm, one, now), *_next(one)]
                found.setdefault(one["Name"], []).extend(spans)
    return found


def _begun(ssm: Any, window: Row, now: datetime.datetime) -> Iterator[Extension]:
    """Runs that have begun: once one has, the window itself tells only of the next."""
    earliest = now - datetime.timedelta(hours=window["Duration"])
    filters = [{"Key": "ExecutedAfter", "Values": [earliest.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")]}]
    pages = ssm.get_paginator("describe_maintenance_window_executions").paginate(
        WindowId=window["WindowId"], Filters=filters
    )
    for page in pages:
        for run in page["WindowExecutions"]:
            yield _window(window, run["StartTime"])


def _next(window: Row) -> Iterator[Extension]:
    if text := window.get("NextExecutionTime"):
        begin = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        yield _window(window, begin if begin.tzinfo else begin.replace(tzinfo=UTC))


def _window(window: Row, begin: datetime.datetime) -> Extension:
    end = begin + datetime.timedelta(hours=window["Duration"])
    return Extension(begin - _MARGIN, end, window=window["Name"])


# -- orders


def act(client: Client, rows: Iterable[Row]) -> list[str]:
    """Order what the rows ask for; what could not be done is in the row's `error` and returned in sentences."""
    wanted = [row for row in rows if row["action"] != "none"]
    machines = [row for row in wanted if row["kind"] == "ec2"]
    if machines:
        ec2 = client("ec2")
        for row in machines:
            if row["action"] == "start" and row.get("instance_type"):
                _resize(ec2, row)
        _start_stop(ec2, machines)
    for row in wanted:
        if row["kind"] != "ec2":
            _one(client, row)
    return [_failure(row) for row in wanted if "error" in row]


def _failure(row: Row) -> str:
    return f"{row['name']} ({row['id']}): {row['error']}"


def _resize(ec2: Any, row: Row) -> None:
    try:
        ec2.modify_instance_attribute(InstanceId=row["id"], InstanceType={"Value": row["instance_type"]})
    except _aws.AWS_ERRORS as error:
        # It starts as it is: a machine of the wrong size is better than none.
        row["error"] = f"could not become {row.pop('instance_type')}: {_aws.sentence(error)}"


def _start_stop(ec2: Any, rows: list[Row]) -> None:
    for action, hibernate in (("start", False), ("stop", False), ("stop", True)):
        chosen = [row for row in rows if row["action"] == action and bool(row.get("hibernate")) == hibernate]
        for first in range(0, len(chosen), BATCH):
            _batch(ec2, action, chosen[first : first + BATCH], {"Hibernate": True} if hibernate else {})


def _batch(ec2: Any, action: str, rows: list[Row], options: dict[str, Any]) -> None:
    """One call for all; where AWS refuses it, halves, until what is at fault is alone."""
    try:
        getattr(ec2, f"{action}_instances")(InstanceIds=[row["id"] for row in rows], **options)
    except _aws.AWS_ERRORS as error:
        code = _aws.code(error)
        if len(rows) == 1 and options and code in _NO_HIBERNATION:
            rows[0] |= {"hibernate": False, "reason": f"{rows[0]['reason']}; it cannot hibernate, so it is stopped"}
            _batch(ec2, action, rows, {})
        elif len(rows) == 1 or code in _THROTTLED or not code:
            # The client has tried again for long; smaller calls would only be more of them. The next run catches up.
            for row in rows:
                row["error"] = f"could not {action}: {_aws.sentence(error)}"
        else:
            half = len(rows) // 2
            _batch(ec2, action, rows[:half], options)
            _batch(ec2, action, rows[half:], options)


def _one(client: Client, row: Row) -> None:
    try:
        _ORDERS[row["kind"]](client, row)
    except _aws.AWS_ERRORS as error:
        row["error"] = f"could not {row['action']}: {_aws.sentence(error)}"


def _database(client: Client, row: Row) -> None:
    noun, key = ("cluster", "DBClusterIdentifier") if row["kind"] == "cluster" else ("instance", "DBInstanceIdentifier")
    getattr(client("rds"), f"{row['action']}_db_{noun}")(**{key: row["id"]})


def _group(client: Client, row: Row) -> None:
    """A group is stopped by taking its sizes away; they are kept in a tag, written first."""
    autoscaling = client("autoscaling")
    sizes = (0, 0, 0)
    if row["action"] == "stop":
        tag = {"ResourceId": row["id"], "ResourceType": "auto-scaling-group", "PropagateAtLaunch": False}
        autoscaling.create_or_update_tags(Tags=[tag | {"Key": SIZE_TAG, "Value": row["sizes"]}])
    else:
        sizes = _hours_rows.sizes(row["restore"])  # the plan starts no group whose tag cannot be read
    names = ("MinSize", "DesiredCapacity", "MaxSize")
    autoscaling.update_auto_scaling_group(AutoScalingGroupName=row["id"], **dict(zip(names, sizes, strict=True)))


_ORDERS: dict[str, Callable[[Client, Row], None]] = {"rds": _database, "cluster": _database, "asg": _group}
