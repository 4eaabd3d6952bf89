"""Failures in plain words."""

from __future__ import annotations

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _stacks_explain as explain


def event(logical: str, status: str, reason: str = "") -> dict[str, str]:
    return {
        "LogicalResourceId": logical,
        "ResourceType": "AWS::T",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


def test_the_first_failure_is_named_not_its_victims() -> None:
    newest_first = [
        event("stack", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [A, B]"),
        event("Later", "CREATE_FAILED", "out of luck"),
        event("Victim", "CREATE_FAILED", "Resource creation cancelled"),
        event("Culprit", "CREATE_FAILED", "Address 10.0.0.9 is in use."),
        event("Earliest", "CREATE_FAILED", "Resource creation cancelled"),
        event("Fine", "CREATE_COMPLETE"),
    ]
    text = explain.failure_text("lab-x", "ROLLBACK_COMPLETE", newest_first)
    assert text.startswith("lab-x: Culprit (AWS::T): Address 10.0.0.9 is in use.")
    assert "What to do: another network interface holds that address" in text
    assert "run again: it is deleted and made anew" in text


def test_wrapping_and_request_ids_are_taken_off() -> None:
    wrapped = (
        'Resource handler returned message: "Address 10.0.0.9 is in use. (Service: Ec2, Status Code: 400, '
        'Request ID: 1-2)" (RequestToken: 3-4, HandlerErrorCode: AlreadyExists)'
    )
    assert explain.plain(wrapped) == "Address 10.0.0.9 is in use."
    assert explain.plain("plain words") == "plain words"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("No export named lab-network-VpcId found", "the stack that exports lab-network-VpcId does not exist yet"),
        ("Export lab-x cannot be deleted as it is in use by lab-y", "other stacks use lab-x"),
        ("User: arn:x is not authorized to perform: ec2:RunInstances on resource", "permission ec2:RunInstances;"),
        ("Access Denied. UnauthorizedOperation", "lacks a permission;"),
        ("The maximum number of VPCs has been reached. (VpcLimitExceeded)", "quota"),
        ("The instance 'i-1' may not be terminated. Modify its 'disableApiTermination'", "protected"),
        ("/atelier/lab/x already exists in stack arn", "outside this stack"),
        ("The image id '[ami-1]' does not exist", "provision_refresh"),
        ("nobody has seen this before", ""),
    ],
)
def test_hints(reason: str, words: str) -> None:
    assert words in explain.hint(reason)
    assert bool(words) == bool(explain.hint(reason))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("ROLLBACK_COMPLETE", "made anew"),
        ("ROLLBACK_FAILED", "delete-stack --stack-name lab-x"),
        ("CREATE_FAILED", "delete-stack"),
        ("UPDATE_FAILED", "rollback-stack"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback --stack-name lab-x"),
        ("DELETE_FAILED", "delete-stack"),
        ("UPDATE_IN_PROGRESS", "wait until it is done and run again"),
        ("NEW_AND_ODD", "console"),
        ("CREATE_COMPLETE", ""),
        ("UPDATE_ROLLBACK_COMPLETE", ""),
    ],
)
def test_every_status_has_its_remedy(status: str, words: str) -> None:
    assert words in explain.remedy("lab-x", status)
    assert bool(words) == bool(explain.remedy("lab-x", status))


def test_without_an_event_the_reason_of_the_stack_is_told() -> None:
    assert "lab-x: UPDATE_FAILED: of old age" in explain.failure_text("lab-x", "UPDATE_FAILED", [], "of old age")
