"""Everything the extension adds to MiniStack, in one call."""

from __future__ import annotations

from lab.emulator import (
    backup,
    change_sets,
    ec2_address,
    ec2_endpoint,
    ec2_image,
    ec2_instance,
    ec2_instance_api,
    ec2_network,
    ec2_security_group,
    ec2_volume,
    existing,
    iam,
    route53,
)


def install() -> None:
    """Install every part. Call once, before serving."""
    for part in (
        ec2_image,
        ec2_volume,
        ec2_address,
        ec2_network,
        ec2_endpoint,
        ec2_security_group,
        ec2_instance_api,
        ec2_instance,
        backup,
        change_sets,
        route53,
        existing,
        iam,
    ):
        part.install()
