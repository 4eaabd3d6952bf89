"""AWS::Backup::BackupSelection (and the plan and vault around it) on the emulator."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

RESOURCES: dict[str, Any] = {
    "Vault": {"Type": "AWS::Backup::BackupVault", "Properties": {"BackupVaultName": "daily"}},
    "Plan": {
        "Type": "AWS::Backup::BackupPlan",
        "Properties": {
            "BackupPlan": {
                "BackupPlanName": "daily",
                "BackupPlanRule": [
                    {
                        "RuleName": "daily",
                        "TargetBackupVault": {"Ref": "Vault"},
                        "ScheduleExpression": "cron(0 3 * * ? *)",
                        "Lifecycle": {"DeleteAfterDays": 35},
                    }
                ],
            }
        },
    },
    "Selection": {
        "Type": "AWS::Backup::BackupSelection",
        "Properties": {
            "BackupPlanId": {"Ref": "Plan"},
            "BackupSelection": {
                "SelectionName": "tagged-daily",
                "IamRoleArn": "arn:aws:iam::123456789012:role/backup",
                "ListOfTags": [{"ConditionType": "STRINGEQUALS", "ConditionKey": "Backup", "ConditionValue": "daily"}],
            },
        },
    },
}


@pytest.fixture
def stack(cloud: Any) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """The stack ``backups``."""
    resources = copy.deepcopy(RESOURCES)
    yield resources, cloud.create("backups", resources)
    cloud.delete("backups")


def selections(cloud: Any, plan: str) -> list[dict[str, Any]]:
    return cloud.client("backup").list_backup_selections(BackupPlanId=plan)["BackupSelectionsList"]


def test_selection_is_in_its_plan(cloud: Any, stack: Any) -> None:
    _resources, ids = stack
    found = selections(cloud, ids["Plan"])
    assert [s["SelectionName"] for s in found] == ["tagged-daily"]
    one = cloud.client("backup").get_backup_selection(BackupPlanId=ids["Plan"], SelectionId=found[0]["SelectionId"])
    assert one["BackupSelection"]["ListOfTags"][0]["ConditionValue"] == "daily"


def test_change_replaces(cloud: Any, stack: Any) -> None:
    resources, ids = stack
    resources["Selection"]["Properties"]["BackupSelection"]["SelectionName"] = "renamed"
    assert cloud.changes("backups", resources)["Selection"]["Replacement"] == "True"
    assert cloud.update("backups", resources)["Selection"] != ids["Selection"]
    assert [s["SelectionName"] for s in selections(cloud, ids["Plan"])] == ["renamed"]


def test_plan_changes_in_place(cloud: Any, stack: Any) -> None:
    resources, ids = stack
    rule = resources["Plan"]["Properties"]["BackupPlan"]["BackupPlanRule"][0]
    rule["Lifecycle"]["DeleteAfterDays"] = 7
    changes = cloud.changes("backups", resources)
    assert changes["Plan"]["Replacement"] == "False"
    assert "Selection" not in changes
    assert cloud.update("backups", resources) == ids


def test_drift(cloud: Any, stack: Any) -> None:
    _resources, ids = stack
    assert cloud.drift("backups")["Selection"] == "IN_SYNC"
    found = selections(cloud, ids["Plan"])[0]["SelectionId"]
    cloud.client("backup").delete_backup_selection(BackupPlanId=ids["Plan"], SelectionId=found)
    assert cloud.drift("backups")["Selection"] == "DELETED"


def test_unknown_plan_is_refused(cloud: Any) -> None:
    selection = copy.deepcopy(RESOURCES["Selection"])
    selection["Properties"]["BackupPlanId"] = "nowhere"
    with pytest.raises(AssertionError, match="nowhere"):
        cloud.create("no-plan", {"Selection": selection})
    cloud.delete("no-plan")
