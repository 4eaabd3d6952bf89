"""What runs, as the checks see it: AWS's answers and the hosts' words as resources with name, tags and stack. Pure."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _names
from ansible_collections.atelier.datalab.plugins.module_utils._rules import Policy

STACK_TAG = "aws:cloudformation:stack-name"  # written by CloudFormation; nobody else may use the prefix aws:
GONE = ("terminated", "shutting-down")


@dataclasses.dataclass(frozen=True)
class Resource:
    """One thing that runs. `about` is AWS's own description, or the host's."""

    kind: str
    id: str
    tags: Mapping[str, str]
    about: Mapping[str, Any]
    stack: str = ""

    @property
    def name(self) -> str:
        """The name people know it by."""
        return self.tags.get("Name") or self.id

    @property
    def subjects(self) -> tuple[str, ...]:
        """What an exception may call it: its name, its id, its project."""
        return (self.name, self.id, *filter(None, [self.tags.get("Project")]))


def tags(listed: Any) -> dict[str, str]:
    """AWS's list of tags as a mapping."""
    return {str(tag["Key"]): str(tag["Value"]) for tag in listed or []}


@dataclasses.dataclass(frozen=True)
class World:
    """All of it, with the policy it is judged by and what the data expects (`datalab.expected`).

    found: what `_rules_aws.gather` returned. hosts: by machine name, the evidence of `host_evidence`.
    tried: names of the hosts that were asked, also in vain.
    """

    policy: Policy
    now: datetime.datetime
    expected: Mapping[str, Any]
    found: Mapping[str, Any]
    hosts: Mapping[str, Mapping[str, Any]]
    tried: frozenset[str] = frozenset()

    def listed(self, kind: str) -> list[Mapping[str, Any]]:
        """AWS's answers of one kind; none where they could not be had, which `gaps` says."""
        return list(self.found.get(kind) or [])

    @cached_property
    def instances(self) -> list[Resource]:
        found = [one for one in self.listed("instances") if one.get("State", {}).get("Name") not in GONE]
        return [self._tagged("instance", one, "InstanceId") for one in found]

    @cached_property
    def by_id(self) -> dict[str, Resource]:
        return {one.id: one for one in self.instances}

    @cached_property
    def volumes(self) -> list[Resource]:
        """CloudFormation does not tag the root disks of its instances, so these count as made with the instance."""
        found = []
        for one in self.listed("volumes"):
            volume = self._tagged("volume", one, "VolumeId")
            owners = [self.by_id.get(str(at.get("InstanceId"))) for at in one.get("Attachments") or []]
            with_it = [owner for owner in owners if owner and _is_root(owner, volume.id)]
            found.append(
                dataclasses.replace(volume, stack=with_it[0].stack) if with_it and not volume.stack else volume
            )
        return found

    @cached_property
    def groups(self) -> list[Resource]:
        """Security groups; a VPC's own group `default`, which nobody can remove, only where something uses it."""
        used = {group.get("GroupId") for one in self.listed("interfaces") for group in one.get("Groups") or []}
        used |= {group.get("GroupId") for one in self.instances for group in one.about.get("SecurityGroups") or []}
        listed = [one for one in self.listed("groups") if one.get("GroupName") != "default" or one["GroupId"] in used]
        return [self._tagged("security group", one, "GroupId") for one in listed]

    @cached_property
    def addresses(self) -> list[Resource]:
        return [self._tagged("address", one, "AllocationId") for one in self.listed("addresses")]

    @cached_property
    def interfaces(self) -> list[Resource]:
        return [self._tagged("interface", one, "NetworkInterfaceId", "TagSet") for one in self.listed("interfaces")]

    @cached_property
    def databases(self) -> list[Resource]:
        found = [self._tagged("database", one, "DBInstanceArn", "TagList") for one in self.listed("databases")]
        return [dataclasses.replace(one, tags={"Name": one.about["DBInstanceIdentifier"], **one.tags}) for one in found]

    @cached_property
    def launch_templates(self) -> list[Resource]:
        return [
            Resource(
                "launch template",
                one["LaunchTemplateId"],
                {"Name": one["LaunchTemplateName"]},
                one["LaunchTemplateData"],
            )
            for one in self.listed("launch_templates")
        ]

    @cached_property
    def inside(self) -> list[Resource]:
        """Instances whose host told about itself; one made by hand may bear a machine's name, but not its stack."""
        return [
            dataclasses.replace(one, kind="host", about={**one.about, **self.hosts[one.name]})
            for one in self.instances
            if one.name in self.hosts and one.stack in self.expected["stacks"]
        ]

    @cached_property
    def certificates(self) -> list[Resource]:
        """Wherever they are: on hosts, in ACM, of databases. `about`: what it is, and when it ends."""
        found = []
        for host in self.inside:
            for one in host.about.get("certificates") or []:
                about = {"of": one["path"], "ends": one["ends"]}
                found.append(dataclasses.replace(host, kind="certificate", about=about))
        for one in self.listed("certificates"):
            about = {"of": one.get("DomainName", ""), "ends": one.get("NotAfter")}
            found.append(Resource("certificate", one["CertificateArn"], {"Name": about["of"]}, about))
        for database in self.databases:
            ends = (database.about.get("CertificateDetails") or {}).get("ValidTill")
            about = {"of": "the database's server certificate", "ends": ends}
            found.append(dataclasses.replace(database, kind="certificate", about=about))
        return [one for one in found if one.about["ends"]]

    @property
    def owned(self) -> Iterator[Resource]:
        """Everything that somebody must own and pay."""
        yield from (*self.instances, *self.volumes, *self.groups, *self.addresses, *self.databases)

    def is_bastion(self, one: Resource) -> bool:
        """By its stack too: a name can be given by anybody."""
        return one.tags.get("Name") == self.expected["bastion"] and one.stack in self.expected["stacks"]

    def is_platform(self, one: Resource) -> bool:
        """Something of no project, made by our stacks."""
        return one.tags.get("Project") == _names.PLATFORM and one.stack in self.expected["stacks"]

    def _tagged(self, kind: str, one: Mapping[str, Any], key: str, where: str = "Tags") -> Resource:
        named = tags(one.get(where))
        stack = named.get(STACK_TAG, "")
        own = {name: value for name, value in named.items() if not name.startswith("aws:")}
        return Resource(kind, str(one[key]), own, one, stack)

    @property
    def subjects(self) -> set[str]:
        """Everything an exception may name."""
        everything = (*self.owned, *self.interfaces, *self.launch_templates, *self.certificates)
        return {*self.expected["subjects"], *(subject for one in everything for subject in one.subjects)}


def _is_root(owner: Resource, volume: str) -> bool:
    root = owner.about.get("RootDeviceName")
    mapped = owner.about.get("BlockDeviceMappings") or []
    return any(one.get("DeviceName") == root and one.get("Ebs", {}).get("VolumeId") == volume for one in mapped)


def moment(value: Any) -> datetime.datetime | None:
    """A time as AWS and hosts write it; UTC where it has no zone."""
    if isinstance(value, str) and value:
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime.datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
