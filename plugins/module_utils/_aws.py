"""boto3 clients as this collection wants them, and errors of AWS in one sentence.

For internal use of this collection.
"""

from __future__ import annotations

from typing import Any

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:  # AnsibleAWSModule says so before anything is called
    BotoCoreError = ClientError = Exception  # type: ignore[misc,assignment]

AWS_ERRORS = (BotoCoreError, ClientError)


def client(module: Any, service: str, **where: Any) -> Any:
    """A client that slows itself down when AWS throttles, and gives up on a dead endpoint within seconds.

    module: an AnsibleAWSModule. where: another region or other credentials than the module's own.
    """
    config = {
        "retries": {"mode": "adaptive", "max_attempts": 10},
        "connect_timeout": 10,
        "read_timeout": 60,
        "max_pool_connections": 20,
    }
    return module.client(service, aws_config=config | (module.params.get("aws_config") or {}), **where)


def sentence(error: Exception) -> str:
    """An error of boto3 in one sentence: operation, code and AWS's own words."""
    response = getattr(error, "response", None)
    if not response:
        return " ".join(str(error).split())
    detail = response.get("Error", {})
    operation = getattr(error, "operation_name", "AWS")
    return f"{operation}: {detail.get('Code', '?')}: {' '.join(str(detail.get('Message', '')).split())}"


def code(error: Exception) -> str:
    """The AWS error code of a boto3 error, empty for any other."""
    return str((getattr(error, "response", None) or {}).get("Error", {}).get("Code", ""))
