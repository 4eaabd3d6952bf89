"""What the valid data comes to: stacks, machines, projects; the fact `datalab`. Pure.

Values are texts, numbers, lists and mappings only, and hold no secret.
"""

from __future__ import annotations

import datetime
import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ansible_collections.atelier.datalab.plugins.module_utils import (
    _flows,
    _model_output_flows,
    _model_output_notebooks,
    _names,
    _rules_model,
    _rules_output,
)

if TYPE_CHECKING:
    from ansible_collections.atelier.datalab.plugins.module_utils._model import Data, Machine, Model, Project

UNSET = "none"  # what a tag says where the data names no schedule or no backup class
_NETWORK, _SHARED, _INSIDE = range(3)  # waves: what imports from what


def derive(model: Model, today: datetime.date, root: PurePath, host: str | None = None) -> dict[str, Any]:
    """The fact `datalab`.

    Args:
        model: valid data.
        today: flows that end before it are left out.
        root: folder of the collection, where `roles/<role>/files` hold the templates.
        host: the host that asks; `machine` and `project` are its own, absent where it is no machine of a project.
    """
    data = model.data
    machines = [_machine(data, project, machine) for project in data.projects for machine in project.machines]
    projects = [_project(data, project) for project in data.projects]
    stacks = _stacks(model, today, root)
    found = {
        "environment": data.platform.environment,
        "region": data.platform.region,
        "account": data.platform.account,
        "domain": data.platform.domain,
        "bastion": _bastion(data),
        "access": _access(data, projects),
        "stacks": stacks,
        "machines": machines,
        "projects": projects,
        **_rules_output.here(model, today, host),
        "expired_flows": list(model.expired_flows),
        "openings": [
            {key: getattr(one, key) for key in ("name", "source", "destination", "protocol", "port")}
            for one in _openings(data)
            if one.expires is None or one.expires >= today
        ],
        "ends": {_bastion_name(data): "bastion", **{one["name"]: f"project:{one['project']}" for one in machines}},
        "warnings": [f"{one.key}: {one.told}; {one.instead}" for one in model.warnings],
    }
    for machine in machines:
        if machine["name"] == host:
            found["machine"] = machine
            found["project"] = next(project for project in projects if project["name"] == machine["project"])
    if "machine" not in found:  # long, and of use on the controller only
        warn_days = found["rules"]["flow_expired"].get("warn_days") or _rules_model.WARN_DAYS
        found["matrix"] = _model_output_flows.matrix(data, _openings(data), warn_days)
        found["expected"] = _rules_output.expected(model, stacks, _bastion_name(data))
    return found


def flows_template(data: Data, today: datetime.date) -> tuple[str, list[str]]:
    """Text of the generated template, and the names of the flows left out of it."""
    template, expired = _flows.render(data.platform.environment, _openings(data), data.corporate.networks, today)
    return json.dumps(template, indent=1, sort_keys=True) + "\n", expired


def _openings(data: Data) -> list[_flows.Opening]:
    """What the platform itself needs, and the matrix."""
    projects = [project.name for project in data.projects]
    ports = data.platform.access.ports
    return _flows.structural(projects, data.platform.owner, ports=ports) + [
        _flows.Opening(
            name=f"flow-{flow.name}",
            source=flow.source,
            destination=flow.destination,
            protocol=flow.protocol,
            port=flow.port,
            owner=flow.owner,
            ticket=flow.ticket,
            expires=flow.expires,
            reason=flow.reason,
        )
        for flow in data.flows
    ]


def _bastion_name(data: Data) -> str:
    return _names.machine_name(data.platform.environment, _names.PLATFORM, "bastion", 1)


def _bastion(data: Data) -> dict[str, Any]:
    name = _bastion_name(data)
    return {
        "name": name,
        "fqdn": f"{name}.{data.platform.domain}",
        "address": data.platform.bastion.address or "",
        "log_group": f"/atelier/{data.platform.environment}/bastion",  # as its template names it
        "tags": _platform_tags(data, name, "bastion"),
    }


def _access(data: Data, projects: list[dict[str, Any]]) -> dict[str, Any]:
    """How members pass the bastion: everybody who is in a project, once, with the projects."""
    access, people = data.platform.access, {}
    for project in projects:
        for member in project["members"]:
            people.setdefault(member["login"], {**member, "projects": []})["projects"].append(project["name"])
    return {
        "login": access.login,
        "hours": access.hours,
        "ports": sorted(set(access.ports)),
        "key": _names.ssh_authority(data.platform.environment),
        "members": [people[login] for login in sorted(people)],
    }


def _machine(data: Data, project: Project, machine: Machine) -> dict[str, Any]:
    name = _names.machine_name(data.platform.environment, project.name, machine.role, machine.number)
    return {
        "name": name,
        "fqdn": f"{name}.{data.platform.domain}",
        "server_names": [f"{name}.{domain}" for domain in (data.platform.domain, *data.platform.tls.extra_domains)],
        "stack": _names.stack_name(
            data.platform.environment, "machine", project.name, machine.role, f"{machine.number:02d}"
        ),
        "project": project.name,
        "role": machine.role,
        "number": machine.number,
        "image": machine.image,
        "instance_type": machine.instance_type,
        "zone": machine.zone,
        "address": machine.address or "",
        "root_gib": machine.root_gib,
        "data_gib": machine.data_gib,
        "when_stopped": machine.when_stopped,
        "schedule": project.schedule or UNSET,
        "backup": project.backup or UNSET,
        "tags": _project_tags(data, project, name, machine.role),
    }


def _project(data: Data, project: Project) -> dict[str, Any]:
    people = {member.login: member for member in data.members}
    group = _names.group_name(project.name)
    return {
        "name": project.name,
        "title": project.title,
        "owner": project.owner,
        "group": group,
        "gid": project.gid or _names.derived_id(group),
        "members": [
            {
                "login": login,
                "name": people[login].name,
                "email": people[login].email,
                "uid": people[login].uid or _names.derived_id(login),
                "ssh_keys": list(people[login].ssh_keys),
            }
            for login in project.members
        ],
        **_model_output_notebooks.project(data, project),
    }


# -- tags


def _platform_tags(data: Data, name: str, role: str) -> dict[str, str]:
    return _names.tags(
        name=name,
        project=_names.PLATFORM,
        environment=data.platform.environment,
        role=role,
        owner=data.platform.owner,
        cost_center=data.platform.cost_center,
        schedule="always",
        backup="none",
    )


def _project_tags(data: Data, project: Project, name: str, role: str) -> dict[str, str]:
    return _names.tags(
        name=name,
        project=project.name,
        environment=data.platform.environment,
        role=role,
        owner=project.owner,
        cost_center=project.cost_center,
        schedule=project.schedule or UNSET,
        backup=project.backup or UNSET,
        extra=dict(project.tags),
    )


# -- stacks


def _stacks(model: Model, today: datetime.date, root: PurePath) -> list[dict[str, Any]]:
    data = model.data
    stacks = [_network_stack(data), _bastion_stack(data), _access_stack(data), *_backup_stacks(data)]
    stacks += [_project_stack(data, project) for project in data.projects]
    stacks.append(_flows_stack(data, today))
    stacks += [_machine_stack(data, project, machine) for project in data.projects for machine in project.machines]
    for stack in stacks:
        stack["termination_protection"] = data.platform.termination_protection
        role = stack.pop("made_by", None)
        if role:
            stack["template"] = str(root / "roles" / role / "files" / f"{role}.cfn.yml")
    return stacks


def _stack(name: str, wave: int, tags: dict[str, str], parameters: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"name": name, "wave": wave, "tags": tags, "parameters": parameters, **more}


def _network_stack(data: Data) -> dict[str, Any]:
    environment, network = data.platform.environment, data.platform.network
    name = _names.stack_name(environment, "network")
    parameters = {
        "Environment": environment,
        "VpcCidr": network.cidr,
        "DomainName": data.platform.domain,
        "Egress": network.egress,
    }
    for letter, zone in zip("AB", network.zones, strict=True):
        parameters |= {
            f"Zone{letter}": zone.name,
            f"PublicCidr{letter}": zone.public,
            f"PrivateCidr{letter}": zone.private,
        }
    return _stack(name, _NETWORK, _platform_tags(data, name, "network"), parameters, made_by="network")


def _instance(data: Data, name: str, zone: str, address: str | None, instance_type: str) -> dict[str, str]:
    """What bastion and machines have in common. The templates' subnets are A and B, by the order of the zones."""
    zones = [one.name for one in data.platform.network.zones]
    return {
        "Environment": data.platform.environment,
        "Name": name,
        "DomainName": data.platform.domain,
        "Zone": "AB"[zones.index(zone)],
        "InstanceType": instance_type,
        "PrivateIpAddress": address or "",
        "DisableApiTermination": str(data.platform.termination_protection).lower(),
    }


def _late(image: str) -> dict[str, Any]:
    """What is known only when the stack is made; one that exists keeps it: a newer image replaces no machine."""
    values = {"ImageId": f"image.{image}", "AdminPublicKey": "secret.admin_public_key"}
    return {"late_parameters": values, "keep_parameters": list(values)}


def _bastion_stack(data: Data) -> dict[str, Any]:
    bastion, name = data.platform.bastion, _bastion_name(data)
    parameters = _instance(data, name, bastion.zone, bastion.address, bastion.instance_type)
    parameters["LogRetentionDays"] = str(bastion.log_days)
    stack = _names.stack_name(data.platform.environment, "bastion")
    tags = _platform_tags(data, name, "bastion")
    return _stack(stack, _SHARED, tags, parameters, made_by="bastion", **_late(bastion.image))


def _access_stack(data: Data) -> dict[str, Any]:
    environment = data.platform.environment
    name = _names.stack_name(environment, "access")
    parameters = {
        "Environment": environment,
        "Alias": _names.ssh_authority(environment),
        # Without names the account's IAM policies alone decide who may sign.
        "SignerArns": ",".join(data.platform.access.signers) or f"arn:*:iam::{data.platform.account}:*",
    }
    return _stack(name, _NETWORK, _platform_tags(data, name, "access"), parameters, made_by="access")


def _backup_stacks(data: Data) -> list[dict[str, Any]]:
    environment = data.platform.environment
    name = _names.stack_name(environment, "backups")
    tags = _platform_tags(data, name, "backups")
    return [
        _stack(
            name,
            _SHARED,
            tags,
            {
                "Environment": environment,
                "BackupClass": one.name,
                "ScheduleExpression": str(one.cron),
                "ScheduleTimezone": str(one.timezone),
                "RetentionDays": str(one.keep_days),
            },
            made_by="backups",
        )
        for one in data.corporate.backup_classes
        if one.name != "none"
    ]


def _project_stack(data: Data, project: Project) -> dict[str, Any]:
    environment = data.platform.environment
    name = _names.stack_name(environment, "project", project.name)
    parameters = {"Environment": environment, "Project": project.name}
    return _stack(name, _SHARED, _project_tags(data, project, name, "project"), parameters, made_by="project")


def _flows_stack(data: Data, today: datetime.date) -> dict[str, Any]:
    name = _names.stack_name(data.platform.environment, "flows")
    body, _expired = flows_template(data, today)
    return _stack(name, _INSIDE, _platform_tags(data, name, "flows"), {}, template_body=body)


def _machine_stack(data: Data, project: Project, machine: Machine) -> dict[str, Any]:
    described = _machine(data, project, machine)
    parameters = _instance(data, described["name"], machine.zone, machine.address, machine.instance_type) | {
        "Project": project.name,
        "Role": machine.role,
        "RootGib": str(machine.root_gib),
        "DataGib": str(machine.data_gib),
    }
    more = _late(machine.image)
    return _stack(described["stack"], _INSIDE, described["tags"], parameters, made_by="machine", **more)
