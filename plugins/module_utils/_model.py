"""The data model: what inventories/<environment>/group_vars/all may say.

`validate()` is pure: plain data and today's date in, a `Model` or every offence out.
The shape is checked here with pydantic; what joins several values is checked in `_model_checks`.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import types
import typing
from typing import Annotated, Any, Literal

import pydantic
from ansible_collections.atelier.datalab.plugins.module_utils import _flows, _model_checks, _model_output, _rules_model
from ansible_collections.atelier.datalab.plugins.module_utils._model_fields import (
    Account,
    Address,
    CostCenter,
    Cron,
    Date,
    Domain,
    Email,
    Entry,
    Gib,
    InstanceType,
    Login,
    Lookup,
    Network,
    Port,
    ProjectName,
    Region,
    RoleArn,
    RoleName,
    Slug,
    SshKey,
    Text,
    Ticket,
    Timezone,
    UnixId,
    ZoneLetter,
)
from ansible_collections.atelier.datalab.plugins.module_utils._model_hours import Calendar, HoursRules, Schedule
from ansible_collections.atelier.datalab.plugins.module_utils._model_notebooks import (
    Acme,
    Conda,
    CondaEnvironment,
    JupyterHub,
    Packages,
    ProjectLimits,
    ReadOnly,
)
from ansible_collections.atelier.datalab.plugins.module_utils._model_offences import MISSING, Offence, Offences, Path
from ansible_collections.atelier.datalab.plugins.module_utils._model_rules import Exemption, Rules
from ansible_collections.atelier.datalab.plugins.module_utils._rules import Finding
from pydantic import BaseModel, Field


class Image(Entry):
    owner: Account
    tags: Annotated[dict[str, str], Field(min_length=1)]
    architecture: Literal["x86_64", "arm64"]


class BackupClass(Entry):
    name: Slug
    cron: Cron | None = None
    timezone: Timezone | None = None
    keep_days: Annotated[int, Field(ge=1, le=3650)] | None = None


class Corporate(Entry):
    company: Text
    networks: Annotated[list[Network], Field(min_length=1)]
    email_domains: Annotated[list[Domain], Field(min_length=1)]
    cost_centers: Annotated[list[CostCenter], Field(min_length=1)]
    images: Annotated[dict[Slug, Image], Field(min_length=1)]
    schedules: list[Schedule]
    calendar: Calendar = Calendar()
    hours: HoursRules = HoursRules()
    backup_classes: list[BackupClass]
    conda_sets: dict[Slug, Packages] = Field({})


class Zone(Entry):
    name: ZoneLetter
    public: Network
    private: Network


class PlatformNetwork(Entry):
    cidr: Network
    zones: Annotated[list[Zone], Field(min_length=2, max_length=2)]
    egress: Literal["nat", "none"]


class Bastion(Entry):
    image: Text
    instance_type: InstanceType
    zone: ZoneLetter
    address: Address | None = None
    # CloudWatch takes these numbers only; the template has the same list.
    log_days: Literal[1, 3, 7, 14, 30, 60, 90, 180, 365, 400, 731] = 90


class Access(Entry):
    """How members pass the bastion."""

    login: Literal["certificates", "keys"] = "certificates"
    hours: Annotated[int, Field(ge=1, le=168)] = 10
    ports: Annotated[list[Port], Field(min_length=1)] = Field([22])
    signers: list[RoleArn] = Field([])


class Tls(Entry):
    mode: Literal["private_ca", "given", "acme"]
    acme: Acme | None = None
    extra_domains: list[Domain] = Field([])


class Platform(Entry):
    environment: Literal["lab", "dev", "preprod", "prod"]
    account: Account
    region: Region
    domain: Domain
    owner: Login
    cost_center: CostCenter
    termination_protection: bool
    network: PlatformNetwork
    bastion: Bastion
    access: Access = Access()
    tls: Tls
    jupyterhub: JupyterHub
    conda: Conda = Conda()


class Member(Entry):
    login: Login
    name: Text
    email: Email
    ssh_keys: list[SshKey] = Field([])
    uid: UnixId | None = None


class Machine(Entry):
    role: RoleName
    number: Annotated[int, Field(ge=1, le=99)]
    image: Text
    instance_type: InstanceType
    zone: ZoneLetter
    address: Address | None = None
    root_gib: Gib = 30
    data_gib: Gib
    when_stopped: Literal["skip", "start"] = "skip"


class Project(Entry):
    name: ProjectName
    title: Text
    owner: Login
    cost_center: CostCenter
    members: Annotated[list[Login], Field(min_length=1)]
    admins: list[Login] = Field([])
    directory_groups: list[Text] = Field([])
    schedule: Text | None = None
    backup: Text | None = None
    gid: UnixId | None = None
    tags: dict[str, str] = Field({})
    environments: list[CondaEnvironment] = Field([])
    limits: ProjectLimits = ProjectLimits()
    collaboration: bool = True
    read_only: list[ReadOnly] = Field([])
    machines: list[Machine] = Field([])


class Flow(Entry):
    name: Slug
    source: Text
    destination: Text
    protocol: Literal["tcp", "udp"]
    port: Port
    owner: Login
    reason: Text
    ticket: Ticket
    expires: Date


class Secrets(Entry):
    admin_public_key: Lookup
    conda_mirrors: Lookup
    password_hashes: Lookup
    tls_ca_certificate: Lookup | None = None
    tls_ca_private_key: Lookup | None = None
    tls_certificate: Lookup | None = None
    tls_private_key: Lookup | None = None
    authentication_secret: Lookup | None = None
    authentication_ca_certificate: Lookup | None = None
    acme_ca_certificate: Lookup | None = None
    conda_credentials: Lookup | None = None
    conda_proxy_password: Lookup | None = None
    conda_ca_certificates: Lookup | None = None
    database_password: Lookup | None = None
    database_ca_certificate: Lookup | None = None


class Data(Entry):
    """The variables of group_vars/all, one attribute each."""

    corporate: Corporate
    platform: Platform
    members: list[Member]
    projects: list[Project]
    flows: list[Flow]
    rules: Rules
    exceptions: list[Exemption] = Field([])
    secrets: Secrets


VARIABLES = tuple(Data.model_fields)


@dataclasses.dataclass(frozen=True)
class Model:
    """Valid data, and what it breaks of the rules that only warn here."""

    data: Data
    findings: tuple[Finding, ...]
    expired_flows: tuple[str, ...]

    @property
    def warnings(self) -> tuple[Offence, ...]:
        """What it breaks, as the other faults are told."""
        return tuple(_rules_model.offence(one) for one in self.findings)


def validate(data: dict[str, Any], today: datetime.date, folder: str | None = None) -> Model | Offences:
    """Checks everything and stops at nothing.

    Args:
        data: the variables named in `VARIABLES`, plain (str, int, float, bool, None, date, list, dict).
        today: the day that flows, rules and exceptions are compared with.
        folder: name of the inventory folder, which must be the environment's; None where there is none.

    Returns:
        The model with its warnings, or every offence.
    """
    offences: list[Offence] = []
    parsed = None
    try:
        parsed = Data.model_validate(data)
    except pydantic.ValidationError as error:
        offences += [_translate(one) for one in error.errors(include_url=False)]
    known = {offence.path for offence in offences}
    offences += [one for one in _model_checks.check(data, folder) if one.path not in known]
    findings = _rules_model.judge(data, today)
    offences += [_rules_model.offence(one) for one in findings if one.severity == "refuse"]
    offences = _without_echoes(offences)
    if parsed is not None and not offences:
        offences += _too_large(parsed, today)
    if offences or parsed is None:
        return Offences(sorted(offences, key=_order))
    expired = tuple(flow.name for flow in parsed.flows if flow.expires < today)
    return Model(parsed, tuple(findings), expired)


def _too_large(data: Data, today: datetime.date) -> list[Offence]:
    size = len(_model_output.flows_template(data, today)[0].encode())
    if size <= _flows.TEMPLATE_BYTES:
        return []
    why = f"come to a template of {size} bytes, AWS takes {_flows.TEMPLATE_BYTES}"
    return [
        Offence(("flows",), f"{len(data.flows)} flows", why, "remove flows nobody needs, join neighbouring networks")
    ]


def _order(offence: Offence) -> list[tuple[int, int, str]]:
    """The order of the data: variables as in `VARIABLES`, list items by place."""
    first = offence.path[0] if offence.path else ""
    place = VARIABLES.index(first) if first in VARIABLES else len(VARIABLES)
    return [(place, 0, ""), *((0, step, "") if isinstance(step, int) else (1, 0, step) for step in offence.path)]


_MEANT = "did you mean "
_WORDS = {
    "string_type": ("is not a text", "write a text; put it in quotes when it looks like a number, a date or yes/no"),
    "int_type": ("is not a whole number", "write a number without quotes"),
    "int_from_float": ("is not a whole number", "write a number without a fraction"),
    "float_type": ("is not a number", "write a number without quotes"),
    "bool_type": ("is neither true nor false", "write true or false without quotes"),
    "list_type": ("is not a list", "write [one, two] or one item per line after a dash"),
    "dict_type": ("is not a mapping", "write key: value pairs"),
    "model_type": ("is not a mapping", "write key: value pairs"),
    "date_type": ("is not a date", "write it as 2027-03-31"),
}


def _translate(error: Any) -> Offence:
    """pydantic's error in the words of this project."""
    path: Path = tuple(step for step in error["loc"] if step != "[key]")
    context = error.get("ctx", {})
    kind = error["type"]
    value = error["input"]
    if kind == "missing":
        return Offence(path, MISSING, "is missing", _describe(path))
    if kind == "extra_forbidden":
        why, instead = "is not a known key", _suggest(path)
    elif kind == "wrong":
        why, instead = context["why"], context["instead"]
    elif kind == "literal_error":
        why, instead = "is not one of the choices", f"write {context['expected']}"
    elif kind in _WORDS:
        why, instead = _WORDS[kind]
    else:
        why, instead = _bounds(error["msg"])
    return Offence(path, value, why, instead)


def _without_echoes(offences: list[Offence]) -> list[Offence]:
    """A mistyped key is one fault, not also the absence of the right one."""
    meant = {(*one.path[:-1], one.instead[len(_MEANT) : -1]) for one in offences if one.instead.startswith(_MEANT)}
    return [one for one in offences if not (one.path in meant and one.value in (MISSING, None))]


def _bounds(message: str) -> tuple[str, str]:
    """Lengths and limits: pydantic's own sentence says both halves."""
    return "is out of bounds", message[:1].lower() + message[1:]


def _schema_at(path: Path) -> type[BaseModel] | None:
    """The model that describes the value at `path`; None below a free mapping or an unknown key."""
    here: Any = Data
    for step in path:
        if isinstance(step, str) and isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(step)
            here = field.annotation if field else None
        else:
            here = next(iter(typing.get_args(here)[-1:]), None)
        while typing.get_origin(here) in (Annotated, types.UnionType, typing.Union):
            here = typing.get_args(here)[0]
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _suggest(path: Path) -> str:
    schema = _schema_at(path[:-1])
    known = sorted(schema.model_fields) if schema else []
    near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.6)
    if near:
        return f"{_MEANT}{near[0]}?"
    return f"remove it; known here: {', '.join(known)}"


def _describe(path: Path) -> str:
    if len(path) == 1:
        return f"write the variable {path[0]} in group_vars/all"
    schema = _schema_at(path[:-1])
    field = schema.model_fields.get(str(path[-1])) if schema else None
    example = _EXAMPLES.get(str(path[-1]))
    if example:
        return f"add it, for example {path[-1]}: {example}"
    if field is not None and typing.get_origin(field.annotation) is Literal:
        return f"add it: one of {', '.join(map(str, typing.get_args(field.annotation)))}"
    return f"add {path[-1]}"


_EXAMPLES = {
    "expires": "2027-03-31 (a flow without an end is not granted)",
    "ticket": "FLOW-123",
    "owner": "the login of a member",
    "account": '"123456789012"',
    "cost_center": "CC-1042",
    "instance_type": "m6i.large",
    "email": "ada@example.com",
    "data_gib": "10",
}
