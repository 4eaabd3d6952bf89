"""NoCloud seeds: the user data of an instance, given to the cloud-init of its host."""

from __future__ import annotations

from pathlib import Path

import yaml

from lab import network
from lab.cloud import Instance

# What images hold where AWS is reached through something of the company's own: a CA for AWS's tools alone, named in the
# variable that they all read. The system's store is left as Debian made it: tests look at who is trusted there.
AWS_CA = "/etc/aws-endpoints/ca.pem"
MANAGER = "/etc/systemd/system.conf.d/60-aws-endpoints.conf"


def meta_data(instance: Instance) -> str:
    """Return NoCloud meta-data: cloud-init runs its first-boot steps once per instance-id."""
    return yaml.safe_dump({"instance-id": instance.id, "local-hostname": instance.fqdn or instance.name or instance.id})


def write(folder: Path, instance: Instance, user_data: bytes) -> None:
    """Write the seed of an instance into `folder`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "meta-data").write_text(meta_data(instance), encoding="utf-8")
    (folder / "user-data").write_bytes(user_data or b"#cloud-config\n{}\n")
    (folder / "vendor-data").write_bytes(b"")
    text = f"[Manager]\nDefaultEnvironment=AWS_CA_BUNDLE={AWS_CA}\n"
    (folder / "manager.conf").write_text(text, encoding="utf-8")


def hosts_file(instance: Instance, records: dict[str, str]) -> str:
    """Return /etc/hosts of a host: itself, the private zone's names (name -> address), and the company's own."""
    own = [name for name in (instance.fqdn, instance.name) if name]
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    lines.append(f"{network.COMPANY_ADDRESS} {network.COMPANY_NAME}")
    if own:
        lines.append(f"{instance.address} {' '.join(own)}")
    lines += [f"{address} {name}" for name, address in sorted(records.items()) if name not in own]
    return "\n".join(lines) + "\n"
