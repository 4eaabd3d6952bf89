"""AWS::Backup::BackupSelection."""

from __future__ import annotations

import json
from typing import Any

from ministack.services import backup

from lab.emulator._engine import AwsError, Props, Result, register

SELECTION = "AWS::Backup::BackupSelection"


def _create(_logical_id: str, props: Props, _stack: str) -> Result:
    plan = props["BackupPlanId"]
    status, _headers, body = backup._create_selection(plan, {"BackupSelection": props["BackupSelection"]})
    answer = json.loads(body)
    if status >= 400:
        raise AwsError("ResourceNotFoundException", answer.get("message", str(answer)), "Backup", status)
    selection = answer["SelectionId"]
    return f"{selection}_{plan}", {"Id": f"{selection}_{plan}", "SelectionId": selection, "BackupPlanId": plan}


def _record(physical_id: str) -> Props | None:
    return backup._selections.get(physical_id.partition("_")[0])


def _delete(physical_id: str, _props: Props) -> None:
    if _record(physical_id):
        del backup._selections[physical_id.partition("_")[0]]


def _read(physical_id: str, props: Props) -> Props | None:
    record = _record(physical_id)
    if record is None:
        return None
    expected: dict[str, Any] = props.get("BackupSelection") or {}
    return {"BackupPlanId": record["BackupPlanId"], "BackupSelection": {k: record.get(k) for k in expected}}


def install() -> None:
    """Register the type."""
    register(
        SELECTION,
        create=_create,
        delete=_delete,
        read=_read,
        reads=("BackupPlanId", "BackupSelection"),
        replaces=("BackupPlanId", "BackupSelection"),
        tags=False,
    )
