"""What AWS says there is, for the rules: read-only calls, a page at a time.

For internal use of this collection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import batched
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _aws

_PAGE = {"PageSize": 200}  # EC2 without it answers with everything at once, and gives up in large accounts
_FILTER_VALUES = 200  # of one filter, EC2's limit
_KEY_TYPES = [
    *("RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096"),
    *("EC_prime256v1", "EC_secp384r1", "EC_secp521r1"),
]
# kind -> (operation, key of the answer). Without these there is nothing to judge.
_EC2 = {
    "volumes": ("describe_volumes", "Volumes"),
    "groups": ("describe_security_groups", "SecurityGroups"),
    "interfaces": ("describe_network_interfaces", "NetworkInterfaces"),
}


def gather(client: Callable[[str], Any]) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Everything the checks look at, and the gaps: what could not be read, and why.

    client: service name to boto3 client.
    Raises boto3's errors where the instances and what belongs to them cannot be read.
    """
    ec2 = client("ec2")
    found: dict[str, Any] = {
        "instances": [
            instance
            for one in _pages(ec2, "describe_instances", "Reservations", PaginationConfig=_PAGE)
            for instance in one["Instances"]
        ],
        **{kind: list(_pages(ec2, operation, key, PaginationConfig=_PAGE)) for kind, (operation, key) in _EC2.items()},
        "addresses": ec2.describe_addresses()["Addresses"],
    }
    in_use = sorted({one["ImageId"] for one in found["instances"] if one.get("ImageId")})
    found["images"] = {image["ImageId"]: image for image in _images(ec2, in_use)}
    gaps = []
    for kind, what, read in (
        ("launch_templates", "launch templates", lambda: _launch_templates(ec2)),
        ("databases", "databases (RDS)", lambda: list(_pages(client("rds"), "describe_db_instances", "DBInstances"))),
        ("certificates", "certificates (ACM)", lambda: _certificates(client("acm"))),
    ):
        try:
            found[kind] = read()
        except _aws.AWS_ERRORS as error:  # a role that may not, a region that lacks it: told in every report
            gaps.append({"what": what, "why": _aws.sentence(error)})
    return found, gaps


def _pages(client: Any, operation: str, key: str, **request: Any) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator(operation).paginate(**request):
        yield from page[key]


def _images(ec2: Any, ids: Iterable[str]) -> Iterator[dict[str, Any]]:
    """By a filter, since asking for an id that is gone is an error for all of them."""
    for some in batched(ids, _FILTER_VALUES):
        yield from _pages(ec2, "describe_images", "Images", Filters=[{"Name": "image-id", "Values": list(some)}])


def _launch_templates(ec2: Any) -> list[dict[str, Any]]:
    """What the next instance of each would be, in one listing for all templates; latest and default may be one."""
    wanted = {"Versions": ["$Latest", "$Default"], "PaginationConfig": _PAGE}
    listed = _pages(ec2, "describe_launch_template_versions", "LaunchTemplateVersions", **wanted)
    return list({(one["LaunchTemplateId"], one["VersionNumber"]): one for one in listed}.values())


def _certificates(acm: Any) -> list[dict[str, Any]]:
    """With their end: newer regions say it in the listing, for the others it is asked one by one."""
    found = []
    # Without a list of key types ACM shows RSA 2048 only.
    for one in _pages(acm, "list_certificates", "CertificateSummaryList", Includes={"keyTypes": _KEY_TYPES}):
        if "NotAfter" not in one:
            one = acm.describe_certificate(CertificateArn=one["CertificateArn"])["Certificate"]  # noqa: PLW2901
        found.append(one)
    return found
