"""Field types of the data model: what one value must look like, whatever stands around it. Pure.

Each refuses with `wrong(why, instead)`, so that the message can say what to write in place of the value.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import ipaddress
import re
import zoneinfo
from typing import Annotated, Any

from ansible_collections.atelier.datalab.plugins.module_utils import _hours_schedule
from ansible_collections.atelier.datalab.plugins.module_utils._model_cron import cron_problem
from ansible_collections.atelier.datalab.plugins.module_utils._names import LOGIN_MAX, PROJECT_MAX, SYSTEM_LOGINS
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

DAYS = _hours_schedule.DAYS
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SIZE = r"(?:nano|micro|small|medium|large|xlarge|\d+xlarge|metal|metal-\d+xl)"
_LOOKUP = re.compile(
    r"\{\{-?\s*(?:lookup|query|q)\(\s*['\"]amazon\.aws\.(?:ssm_parameter|secretsmanager_secret)['\"].*\}\}", re.DOTALL
)
CLOCK = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d|24:00")
RSA_MIN = 3072  # NIST SP 800-57 part 1: 128 bits of strength


class Entry(BaseModel):
    """A mapping of the data: its keys are the known ones, its values are what they look like."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def wrong(why: str, instead: str) -> PydanticCustomError:
    """The one error of this model's own validators; both texts are for the person who writes the data."""
    return PydanticCustomError("wrong", "{why}", {"why": why, "instead": instead})


def _matching(pattern: str | re.Pattern[str], why: str, instead: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise wrong(why, instead)
        return value

    return AfterValidator(check)


def _text(value: str) -> str:
    if not value.strip():
        raise wrong("is empty", "write a value or remove the key if it may be left out")
    if "{{" in value or "{%" in value:
        raise wrong(
            "holds a template", "write the value itself: the data is read as it is, only secrets.yml holds lookups"
        )
    return value


def _no_system_login(value: str) -> str:
    if value in SYSTEM_LOGINS:
        raise wrong("is an account of the system", "choose another login")
    return value


def _project_name(value: str) -> str:
    if value == "platform":
        raise wrong("is the name of the platform's own resources", "choose another name")
    return value


def network_problem(value: str) -> tuple[str, str] | None:
    """Why this is not an IPv4 network in CIDR notation, and what to write; None when it is."""
    try:
        ipaddress.IPv4Network(value)
    except ValueError:
        try:
            near = ipaddress.IPv4Network(value, strict=False)
        except ValueError:
            return "is not an IPv4 network", "write it as 10.20.0.0/16"
        return "has bits set behind its prefix", f"write {near} or the prefix you mean"
    if "/" not in value:
        return "has no prefix length", f"write {value}/32 for one address"
    if not re.fullmatch(r"[0-9.]+/\d+", value):
        return "has a mask instead of a prefix length", f"write {ipaddress.IPv4Network(value)}"
    return None


def _network(value: str) -> str:
    if problem := network_problem(value):
        raise wrong(*problem)
    return value


def _address(value: str) -> str:
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        raise wrong("is not an IPv4 address", "write it as 10.20.16.21 or leave it out") from None
    return value


def _timezone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # not found, not a name, a folder
        raise wrong("is not an IANA time zone", "write it as Europe/Paris or UTC") from None
    return value


def _clock(value: str) -> str:
    if not CLOCK.fullmatch(value):
        raise wrong("is not a time of day", 'write it in quotes as "09:00" ("24:00" is the end of the day)')
    return value


def _day(value: str) -> str:
    if problem := _hours_schedule.day_problem("days", value):
        near = next((day for day in DAYS if value.lower().startswith(day) and value.isalpha()), None)
        raise wrong("is not a day of the week", f"write {near}" if near else problem)
    return value


def _month(value: str) -> str:
    if problem := _hours_schedule.day_problem("months", value):
        near = next((one for one in _hours_schedule.MONTHS if value.lower().startswith(one) and value.isalpha()), None)
        raise wrong("is not a month", f"write {near}" if near else problem)
    return value


def _month_day(value: Any) -> Any:
    """A plain day of a month is a number to YAML."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and (problem := _hours_schedule.day_problem("month_days", text)):
        raise wrong("is not a day of a month", problem)
    return text


def _moment(value: Any) -> Any:
    """A day, or a day and time of day on the schedule's own clock; YAML makes dates of what looks like one."""
    if isinstance(value, (str, datetime.date)):
        text = value.isoformat(" ") if isinstance(value, datetime.datetime) else str(value)
        try:
            _hours_schedule.moment(text, zoneinfo.ZoneInfo("UTC"))
        except ValueError:
            pass
        else:
            return text
    raise wrong("is neither a day nor a time", 'write it as 2027-03-31 or "2027-03-31 18:00"')


def _cron(value: str) -> str:
    if problem := cron_problem(value):
        raise wrong(problem, 'write it as "cron(0 2 * * ? *)": minute hour day month weekday year')
    return value


def _severity(value: Any) -> Any:
    if value is False:
        raise wrong("is read as the boolean false by YAML", 'write "off" in quotes')
    return value


def _date(value: Any) -> Any:
    """YAML gives a date for 2027-03-31 and a text for "2027-03-31"; both mean the same."""
    if isinstance(value, str):
        try:
            return datetime.date.fromisoformat(value)
        except ValueError:
            raise wrong("is not a date", "write it as 2027-03-31") from None
    if isinstance(value, datetime.datetime):
        return value.date()
    return value


def ssh_key_problem(value: str) -> tuple[str, str] | None:
    """Why this is not a strong OpenSSH public key, and what to do; None when it is."""
    parts = value.split()
    again = "paste the line of the .pub file; make one with ssh-keygen -t ed25519"
    if "PRIVATE KEY" in value:
        return "is a private key", f"revoke it now, it was written to a file; then {again}"
    if len(parts) < 2:
        return "is not an OpenSSH public key", again
    kind = parts[0]
    if kind == "ssh-dss":
        return "is a DSA key, which OpenSSH no longer accepts", again
    try:
        blob = base64.b64decode(parts[1], validate=True)
        fields = _ssh_fields(blob)
    except (binascii.Error, ValueError):
        return "is cut off or damaged", again
    if not fields or fields[0] != kind.encode():
        return "says another type outside than inside", again
    return _ssh_strength(kind, fields, again)


def _ssh_fields(blob: bytes) -> list[bytes]:
    """The length-prefixed strings of RFC 4253 section 6.6; ValueError when they do not fill the blob exactly."""
    fields, rest = [], blob
    while rest:
        length = int.from_bytes(rest[:4], "big")
        if len(rest) < 4 + length:
            raise ValueError("cut off")
        fields.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    return fields


# Number of strings in a key of this type, its type included (RFC 4253, 5656, 8709, OpenSSH PROTOCOL.u2f).
_SSH_SHAPES = {
    "ssh-ed25519": 2,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "sk-ssh-ed25519@openssh.com": 3,
    "sk-ecdsa-sha2-nistp256@openssh.com": 4,
    "ssh-rsa": 3,
}


def _ssh_strength(kind: str, fields: list[bytes], again: str) -> tuple[str, str] | None:
    if kind not in _SSH_SHAPES:
        return f"is of the unknown type {kind}", again
    if len(fields) != _SSH_SHAPES[kind] or (kind == "ssh-ed25519" and len(fields[1]) != 32):
        return "is cut off or damaged", again
    if kind == "ssh-rsa":
        bits = int.from_bytes(fields[2], "big").bit_length()
        if bits < RSA_MIN:
            return f"is an RSA key of {bits} bits, too weak", f"use ed25519 or RSA of at least {RSA_MIN} bits"
    return None


def _ssh_key(value: str) -> str:
    if problem := ssh_key_problem(value):
        raise wrong(*problem)
    return value


# conda's MatchSpec as people write it in files, without the forms that the engine refuses to guess about (strict).
_VERSION = r"[0-9][a-z0-9]*(?:[.][0-9][a-z0-9]*)*"
_CONDITION = rf"(?:(?:==|!=|~=|<=|>=|<|>|=) ?{_VERSION}|!= ?{_VERSION}[.][*])"
PACKAGE = re.compile(
    r"(?:[a-z0-9][a-z0-9_-]*::)?[a-z0-9_][a-z0-9_.-]*"
    rf"(?: ?{_CONDITION}(?: ?[,|] ?{_CONDITION})*| (?:[*]|{_VERSION}[.][*])(?: [a-z0-9_]+[*]?)?)?",
    re.ASCII,
)


# PEP 508 as far as a lock needs it: name, extras, version, marker. Addresses would bypass the company's index.
REQUIREMENT = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?: ?\[[A-Za-z0-9._, -]+\])?"
    r"(?: ?(?:===|==|!=|~=|<=|>=|<|>) ?[A-Za-z0-9.*+!_-]+(?: ?, ?(?:==|!=|~=|<=|>=|<|>) ?[A-Za-z0-9.*+!_-]+)*)?"
    r"(?: ?; ?[A-Za-z0-9_.'\"<>=!() ]+)?",
    re.ASCII,
)


def lookup_problem(value: str) -> tuple[str, str] | None:
    """Why this is not a lookup of a secret, and what to write; None when it is."""
    text = value.strip()
    instead = "{{ lookup('amazon.aws.ssm_parameter', '/atelier/<environment>/...', region=platform.region) }}"
    if not (text.startswith("{{") and text.endswith("}}")):
        return "is written in the file itself", f"change that secret, it is known now, and write {instead}"
    if not _LOOKUP.fullmatch(text):
        return "is no lookup in SSM or Secrets Manager", f"write {instead}"
    return None


def _lookup(value: str) -> str:
    if problem := lookup_problem(value):
        raise wrong(*problem)
    return value


Text = Annotated[str, AfterValidator(_text)]
Login = Annotated[
    Text,
    _matching(
        rf"[a-z][a-z0-9_-]{{0,{LOGIN_MAX - 1}}}",
        "is not a login",
        f"use a-z, 0-9, - and _, begin with a letter, at most {LOGIN_MAX} characters",
    ),
    AfterValidator(_no_system_login),
]
ProjectName = Annotated[
    Text,
    _matching(
        rf"(?!.{{{PROJECT_MAX + 1}}})[a-z][a-z0-9]*(?:-[a-z0-9]+)*",
        "is not a project name",
        f"use a-z, 0-9 and single -, begin with a letter, at most {PROJECT_MAX} characters",
    ),
    AfterValidator(_project_name),
]
RoleName = Annotated[Text, _matching(r"[a-z][a-z0-9]*", "is not a role name", "use a-z and 0-9, begin with a letter")]
RoleArn = Annotated[
    Text,
    _matching(
        r"arn:aws[a-z-]*:iam::\d{12}:(?:role|user)/[\w+=,.@/*-]+",
        "is not the ARN of a role or user",
        "write it as arn:aws:iam::123456789012:role/datalab-ops",
    ),
]
Slug = Annotated[
    Text, _matching(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", "is not a name", "use a-z, 0-9 and single -, begin with a letter")
]
Email = Annotated[
    Text,
    _matching(r"[A-Za-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}", "is not an email address", "write it as ada@example.com"),
]
Account = Annotated[
    Text, _matching(r"\d{12}", "is not an AWS account", 'write its 12 digits in quotes, "123456789012"')
]
Region = Annotated[Text, _matching(r"[a-z]{2,3}(?:-[a-z]+)+-\d", "is not an AWS region", "write it as eu-west-1")]
ZoneLetter = Annotated[
    Text, _matching(r"[a-z]", "is not the letter of a zone", "write the letter only: a for eu-west-1a")
]
Domain = Annotated[
    Text,
    _matching(rf"(?!.{{190}}){_LABEL}(?:\.{_LABEL})*", "is not a domain name", "write it as datalab.example.com"),
]
InstanceType = Annotated[
    Text,
    _matching(
        rf"[a-z][a-z0-9-]*\d[a-z0-9-]*\.{_SIZE}",
        "does not look like an instance type",
        "write family.size, for example m6i.large",
    ),
]
CostCenter = Annotated[Text, _matching(r"CC-\d{4}", "is not a cost centre", "write it as CC-1042")]
Ticket = Annotated[Text, _matching(r"[A-Z][A-Z0-9]*-\d+", "is not a ticket", "write it as FLOW-123")]
Memory = Annotated[Text, _matching(r"[1-9]\d*[MGT]", "is not an amount of memory", "write it as 512M or 2G")]
Network = Annotated[Text, AfterValidator(_network)]
Address = Annotated[Text, AfterValidator(_address)]
Timezone = Annotated[Text, AfterValidator(_timezone)]
Clock = Annotated[Text, AfterValidator(_clock)]
Day = Annotated[Text, AfterValidator(_day)]
Month = Annotated[Text, AfterValidator(_month)]
MonthDay = Annotated[Text, BeforeValidator(_month_day)]
Moment = Annotated[str, BeforeValidator(_moment)]
Cron = Annotated[Text, AfterValidator(_cron)]
SshKey = Annotated[Text, AfterValidator(_ssh_key)]
Package = Annotated[
    Text,
    _matching(
        PACKAGE,
        "is not a conda package specification",
        'write it as numpy, "python=3.12", "pandas>=2.2,<3" or "blas * openblas"; names are in lower case',
    ),
]
Requirement = Annotated[
    Text,
    _matching(
        REQUIREMENT,
        "is not a requirement of pip",
        "write a name with its versions, for example polars>=1.0; options, addresses and paths are not taken",
    ),
]
Module = Annotated[
    Text,
    _matching(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", "is not a module's name", "write what follows import: sklearn.svm"),
]
Variable = Annotated[
    Text,
    _matching(
        r"(?!(?:LD_|PYTHON|PATH$|HOME$|JUPYTER|CONDA_))[A-Z][A-Z0-9_]*",
        "is no environment variable a kernel may set",
        "use A-Z, 0-9 and _; PATH, HOME, LD_*, PYTHON*, JUPYTER* and CONDA_* are the platform's",
    ),
]
Lookup = Annotated[str, AfterValidator(_lookup)]
Date = Annotated[datetime.date, BeforeValidator(_date)]
Severity = BeforeValidator(_severity)
Port = Annotated[int, Field(ge=1, le=65535)]
Url = Annotated[
    Text,
    _matching(
        rf"https?://{_LABEL}(?:\.{_LABEL})*(?::\d{{1,5}})?(?:/[A-Za-z0-9._~/-]*)?",
        "is not a web address without credentials",
        "write it as https://acme.example.com/directory; accounts and passwords do not belong here",
    ),
]
DirectoryUrl = Annotated[
    Text,
    _matching(
        rf"ldaps?://{_LABEL}(?:\.{_LABEL})*(?::\d{{1,5}})?",
        "is not the address of a directory",
        "write it as ldaps://directory.example.com (ldap:// begins with StartTLS)",
    ),
]
Gib = Annotated[int, Field(ge=1, le=16384)]
UnixId = Annotated[int, Field(ge=1000, le=2**31 - 2)]
