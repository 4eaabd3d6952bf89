"""Core IT's rules on what runs: one check per rule, on the resources it is about. Pure.

A check yields (what is wrong, what to do) for one resource; `CHECKS` says on which resources it is asked.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils import _images, _names, _rules_template
from ansible_collections.atelier.datalab.plugins.module_utils._rules import OF_EXCEPTIONS, Breach, is_world
from ansible_collections.atelier.datalab.plugins.module_utils._rules_world import Resource, World, moment

Problems = Iterator[tuple[str, str]]
_REBUILD = "rebuild it from an approved image"
_IN_DATA = "set it in projects.yml and converge, or remove the resource"


@dataclasses.dataclass(frozen=True)
class Check:
    """`find` is asked about every resource that `of` names."""

    rule: str
    of: Callable[[World], Iterable[Resource]]
    find: Callable[[World, Resource], Problems]


def judge(world: World) -> tuple[list[Breach], Counter[str]]:
    """Every breach, and how many resources each rule was asked about."""
    found, asked = [], Counter[str]()
    for check in CHECKS:
        if world.policy.severity(check.rule) == "off":
            continue
        for one in check.of(world):
            asked[check.rule] += 1
            found += [Breach(check.rule, one.subjects, f"{one.kind} {why}", do) for why, do in check.find(world, one)]
    found += world.policy.stale(world.subjects)
    asked[OF_EXCEPTIONS] = len(world.expected["exceptions"])
    return found, asked


# -- images


def _approved_image(world: World, one: Resource) -> Problems:
    image = world.found["images"].get(one.about.get("ImageId"))
    if image is None:
        yield f"runs {one.about.get('ImageId')}, which AWS shows to this account no more", _REBUILD
        return
    criteria = _images.read_criteria(world.expected["images"], 1, on_old="warn")
    judged = [_images.objections(image, wanted, world.now) for wanted in criteria]
    if all(judged):
        nearest = min(judged, key=len)
        yield (
            f"runs {image['ImageId']} ({image.get('Name', '')}), which is not approved: {'; '.join(nearest)}",
            _REBUILD,
        )


def _image_age(world: World, one: Resource) -> Problems:
    image = world.found["images"].get(one.about.get("ImageId"))
    limit = world.policy.parameter("image_age", "max_days")
    if image is not None and (days := (world.now - _images.created(image)).days) > limit:
        age = f"{days} days old" if image.get("CreationDate") else "of unknown age"
        yield f"runs {image['ImageId']}, an image that is {age}, {limit} are allowed", "rebuild it from a newer image"


def _image_marker(world: World, one: Resource) -> Problems:
    marker = one.about.get("marker")
    image = world.found["images"].get(one.about.get("ImageId")) or {}
    if not marker:
        yield "carries no marker of core IT", _REBUILD
    elif not isinstance(marker, dict) or marker.get("approved") is not True:
        yield f"carries a marker that does not approve it: {marker}", _REBUILD
    else:
        # Images of AWS cannot know their own id when they are built; then the name must do.
        pairs = (("image_id", one.about.get("ImageId")), ("name", image.get("Name")))
        told = next(((key, marker[key], real) for key, real in pairs if marker.get(key) and real), None)
        if told is None:
            yield "carries a marker that names no image", "ask core IT for the image's id or name in its marker"
        elif told[1] != told[2]:
            yield f"says it is image {told[1]}, AWS says {told[2]}", f"find out how that came about; {_REBUILD}"


# -- tags and names


def _mandatory_tags(world: World, one: Resource) -> Problems:
    also = world.policy.parameter("mandatory_tags", "also") or []
    if missing := [key for key in (*_names.MANDATORY_TAGS, *also) if not one.tags.get(key, "").strip()]:
        yield f"lacks {', '.join(missing)}", "converge its stack, or tag it and have it taken into one"


def _tag_values(world: World, one: Resource) -> Problems:
    for key, choices in world.expected["tags"].items():
        value = one.tags.get(key)
        if value and value not in choices:
            yield f"has {key}={value}, which is not known", f"{_IN_DATA}; known: {', '.join(choices)}"


def _owner_member(world: World, one: Resource) -> Problems:
    owner, project = one.tags.get("Owner"), one.tags.get("Project", "")
    if not owner:
        return  # mandatory_tags says so
    if owner not in world.expected["members"]:
        yield f"belongs to {owner}, who is no member", "write another owner in projects.yml and converge"
    elif owner not in world.expected["owners"].get(project, [owner]):
        yield f"belongs to {owner}, who is not in project {project}", "write another owner in projects.yml and converge"


def _naming(world: World, one: Resource) -> Problems:
    name, environment = one.tags.get("Name", ""), world.policy.environment
    pattern = world.policy.parameter("naming", "pattern")
    if not re.fullmatch(rf"{environment}-[a-z0-9-]+-[a-z0-9]+-\d\d", name):
        yield (
            f"is named {name or '(nothing)'}",
            f"name it {environment}-<project>-<role>-<nn>: make it from projects.yml",
        )
    elif pattern and not re.fullmatch(pattern, name):
        yield f"is named {name}, which does not match {pattern}", "rename project or role"


def _stack_managed(world: World, one: Resource) -> Problems:
    if not one.stack:
        yield "was made by hand, no stack holds it", "write it in the data, or have it taken into a stack, or remove it"
    elif one.stack not in world.expected["stacks"]:
        yield f"belongs to stack {one.stack}, which the data does not name", "write it in the data, or delete the stack"


# -- network


def _public_address(world: World, one: Resource) -> Problems:
    """Of instances, databases and interfaces: load balancers, and what an instance has beside its own address."""
    if one.kind == "database":
        if one.about.get("PubliclyAccessible"):
            yield "can be reached from the Internet (PubliclyAccessible)", "set PubliclyAccessible to false"
        return
    for address in [one.about.get("PublicIpAddress")] if one.kind == "instance" else _beside(world, one):
        if address and not (one.kind == "instance" and world.is_bastion(one)):
            what = f"({one.about['Description']}) " if one.about.get("Description") else ""
            yield f"{what}has the public address {address}", "take it away; people come through the bastion"


def _beside(world: World, interface: Resource) -> list[str]:
    """Public addresses of an interface that are not the bastion's, its instance's own or a NAT gateway's."""
    owner = world.by_id.get((interface.about.get("Attachment") or {}).get("InstanceId", ""))
    if interface.about.get("InterfaceType") == "nat_gateway" or (owner and world.is_bastion(owner)):
        return []  # a NAT gateway lets nobody in
    told = [interface.about, *(interface.about.get("PrivateIpAddresses") or [])]
    found = {(one.get("Association") or {}).get("PublicIp", "") for one in told}
    return sorted(found - {"", owner.about.get("PublicIpAddress") if owner else ""})


def _open_world(_world: World, one: Resource) -> Problems:
    opened = []
    for direction, key in (("in", "IpPermissions"), ("out", "IpPermissionsEgress")):
        for rule in one.about.get(key) or []:
            wide = [each.get("CidrIp") for each in rule.get("IpRanges") or []]
            wide += [each.get("CidrIpv6") for each in rule.get("Ipv6Ranges") or []]
            port = "all ports" if rule.get("FromPort") is None else f"{rule.get('IpProtocol')}/{rule['FromPort']}"
            opened += [f"{direction} {network} {port}" for network in wide if is_world(network)]
    if opened:
        yield (
            f"is open to the world: {', '.join(opened)}",
            "remove the rule; write a flow for the network that needs it",
        )


# -- hardening


def _imdsv2(_world: World, one: Resource) -> Problems:
    if one.kind == "launch template":
        problems: Iterable[str] = _rules_template.metadata_problems(one.about)
    else:
        problems = _rules_template.metadata_problems({"MetadataOptions": one.about.get("MetadataOptions")})
    for problem in problems:
        yield problem, "require tokens (HttpTokens: required); the platform's templates do"


def _encryption(_world: World, one: Resource) -> Problems:
    if one.kind == "launch template":
        for problem in _rules_template.disk_problems(one.about):
            yield problem, "write Encrypted: true for every disk"
    elif one.about.get("StorageEncrypted" if one.kind == "database" else "Encrypted") is not True:
        yield "is not encrypted", "copy it to an encrypted one (snapshot, copy with encryption, restore) and remove it"


def _certificate_expiry(world: World, one: Resource) -> Problems:
    limit = world.policy.parameter("certificate_expiry", "min_days")
    ends = moment(one.about["ends"])
    if ends is None:
        yield f"({one.about['of']}) ends at a time that cannot be read: {one.about['ends']}", "look at it by hand"
        return
    days = (ends - world.now) // datetime.timedelta(days=1)
    if days < limit:
        when = f"ended on {ends:%Y-%m-%d}" if ends < world.now else f"ends in {days} days, on {ends:%Y-%m-%d}"
        yield f"({one.about['of']}) {when}; {limit} days must be left", "renew it (docs/howto/tls.md)"


def _patch_age(world: World, one: Resource) -> Problems:
    limit = world.policy.parameter("patch_age", "max_days")
    image = world.found["images"].get(one.about.get("ImageId")) or {}
    told = [one.about.get("patched") or {}, {"when": image.get("CreationDate"), "source": "its image was built"}]
    known = [(when, each["source"]) for each in told if (when := moment(each.get("when")))]
    if not known:
        yield "does not tell when it last took updates", "look at /var/log/dpkg.log on it"
        return
    patched, source = max(known)
    if (days := (world.now - patched).days) > limit:
        wrong = f"took updates {days} days ago ({source}), {limit} are allowed"
        yield wrong, "upgrade its packages, or rebuild it from a newer image"


# -- hours and backups


def _backup_present(world: World, one: Resource) -> Problems:
    if one.kind == "database":
        if not one.about.get("BackupRetentionPeriod"):
            yield "keeps no backups", "set its BackupRetentionPeriod"
    elif one.tags.get("Backup", "none") in ("", "none") and not world.is_platform(one):
        yield "is not backed up (tag Backup)", "name a backup class in projects.yml and converge"


def _schedule_present(world: World, one: Resource) -> Problems:
    if one.tags.get("Schedule", "none") in ("", "none") and not world.is_platform(one):
        yield "has no hours (tag Schedule), so it runs for ever", "name a schedule in projects.yml and converge"


def _of(*kinds: str) -> Callable[[World], Iterable[Any]]:
    return lambda world: (one for kind in kinds for one in getattr(world, kind))


CHECKS = (
    Check("approved_image", _of("instances"), _approved_image),
    Check("image_age", _of("instances"), _image_age),
    Check("image_marker", _of("inside"), _image_marker),
    Check("patch_age", _of("inside"), _patch_age),
    Check("mandatory_tags", _of("owned"), _mandatory_tags),
    Check("tag_values", _of("owned"), _tag_values),
    Check("owner_member", _of("owned"), _owner_member),
    Check("naming", _of("instances"), _naming),
    Check("stack_managed", _of("owned"), _stack_managed),
    Check("public_address", _of("instances", "interfaces", "databases"), _public_address),
    Check("open_world", _of("groups"), _open_world),
    Check("imdsv2", _of("instances", "launch_templates"), _imdsv2),
    Check("encryption", _of("volumes", "databases", "launch_templates"), _encryption),
    Check("certificate_expiry", _of("certificates"), _certificate_expiry),
    Check("backup_present", _of("instances", "databases"), _backup_present),
    Check("schedule_present", _of("instances"), _schedule_present),
)
