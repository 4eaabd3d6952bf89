"""Names, tags and numeric ids: the one place where they are made. Pure."""

from __future__ import annotations

import hashlib
import re

MANAGED_BY = "atelier.datalab"
MANDATORY_TAGS = (
    "Name",
    "Project",
    "Environment",
    "Role",
    "Owner",
    "CostCenter",
    "Schedule",
    "Backup",
    "ManagedBy",
)
PLATFORM = "platform"  # the project of what belongs to no project: network, bastion, flows

HOST_NAME_MAX = 63  # one DNS label (RFC 1035 2.3.4); Linux allows 64
FQDN_MAX = 253
LOGIN_MAX = 31  # useradd: 32 with the final NUL
GROUP_PREFIX = "proj-"
COLLABORATION_SUFFIX = "-collab"
# groupadd's limit is 32, an account's is above.
PROJECT_MAX = min(32 - len(GROUP_PREFIX), LOGIN_MAX - len(COLLABORATION_SUFFIX))

# Above what Debian gives people (1000-59999) and systemd's dynamic users (61184-65519). systemd-nspawn picks from
# 524288 up only where a container asks for a private range; these hosts run none.
ID_BASE = 100_000
ID_SPAN = 800_000

# https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
TAG_KEY_MAX = 128
TAG_VALUE_MAX = 256
TAGS_MAX = 50
_TAG_TEXT = re.compile(r"[\w\s+\-=.:/@]*")

SYSTEM_LOGINS = frozenset(
    {
        "_apt",
        "admin",
        "backup",
        "bin",
        "daemon",
        "datalab-admin",
        "debian",
        "ec2-user",
        "games",
        "irc",
        "jupyterhub",
        "landscape",
        "list",
        "lp",
        "mail",
        "man",
        "messagebus",
        "news",
        "nobody",
        "polkitd",
        "proxy",
        "root",
        "sshd",
        "sync",
        "sys",
        "systemd-network",
        "systemd-resolve",
        "systemd-timesync",
        "tcpdump",
        "tss",
        "ubuntu",
        "uucp",
        "uuidd",
        "www-data",
    }
)


def machine_name(environment: str, project: str, role: str, number: int) -> str:
    """`<environment>-<project>-<role>-<nn>`: host name, tag Name and DNS label of a machine."""
    return f"{environment}-{project}-{role}-{number:02d}"


def stack_name(environment: str, *parts: str) -> str:
    """`<environment>-<part>-...`: name of a CloudFormation stack, prefix of its exports."""
    return "-".join((environment, *parts))


def ssh_authority(environment: str) -> str:
    """Alias in KMS of the key that signs members' SSH certificates."""
    return f"alias/{environment}-ssh-authority"


def group_name(project: str) -> str:
    """Unix group of a project's members."""
    return GROUP_PREFIX + project


def collaboration_account(project: str) -> str:
    """Unix account that runs a project's collaborative server."""
    return project + COLLABORATION_SUFFIX


def derived_id(name: str) -> int:
    """The uid or gid of a name that has none in the data: the same everywhere and for ever, without a register.

    100000 + sha256(name) mod 800000. Two names can meet; the model refuses them and asks for an explicit number.
    """
    digest = hashlib.sha256(name.encode()).digest()
    return ID_BASE + int.from_bytes(digest, "big") % ID_SPAN


def logical_id(*parts: str) -> str:
    """A CloudFormation logical id (letters and digits) that depends on nothing but `parts`.

    A few hex digits keep apart what letters and digits alone would merge (`a-b` and `ab`).
    """
    readable = "".join(word.capitalize() for part in parts for word in re.split(r"[^A-Za-z0-9]+", part) if word)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
    return f"{readable[:200]}{digest}"


def tags(
    *,
    name: str,
    project: str,
    environment: str,
    role: str,
    owner: str,
    cost_center: str,
    schedule: str,
    backup: str,
    extra: dict[str, str] | None = None,
) -> dict[str, str]:
    """The mandatory tags of a resource, after the project's own."""
    return {
        **(extra or {}),
        "Name": name,
        "Project": project,
        "Environment": environment,
        "Role": role,
        "Owner": owner,
        "CostCenter": cost_center,
        "Schedule": schedule,
        "Backup": backup,
        "ManagedBy": MANAGED_BY,
    }


def tag_problem(key: str, value: str) -> str | None:
    """Why AWS would refuse (or nobody could read) this tag; None when it is fine."""
    problem = None
    if not key.strip():
        problem = "a tag needs a key"
    elif key.lower().startswith("aws:"):
        problem = "keys that begin with aws: are reserved by AWS"
    elif len(key) > TAG_KEY_MAX:
        problem = f"the key is {len(key)} characters long, AWS allows {TAG_KEY_MAX}"
    elif not value.strip():
        problem = "the tag is empty"
    elif len(value) > TAG_VALUE_MAX:
        problem = f"the value is {len(value)} characters long, AWS allows {TAG_VALUE_MAX}"
    elif value != value.strip() or key != key.strip():
        problem = "there is a space at its begin or end"
    elif not _TAG_TEXT.fullmatch(key) or not _TAG_TEXT.fullmatch(value):
        problem = "AWS allows letters, digits, spaces and + - = . _ : / @ in tags"
    return problem


def environment_name(project: str, environment: str) -> str:
    """Name of a project's conda environment on a machine."""
    return f"{project}-{environment}"


def environment_prefix(environment: str) -> str:
    """Path of the live generation of a conda environment, below the default of `conda_root`."""
    return f"/opt/atelier/conda/envs/{environment}/current"
