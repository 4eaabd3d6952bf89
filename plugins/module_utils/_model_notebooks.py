"""The notebook platform's part of the data model: conda environments, limits, what projects share. The shape only."""

from __future__ import annotations

from typing import Annotated, Literal

from ansible_collections.atelier.datalab.plugins.module_utils._model_fields import (
    DirectoryUrl,
    Domain,
    Email,
    Entry,
    Gib,
    Login,
    Memory,
    Module,
    Package,
    Port,
    Requirement,
    Slug,
    Text,
    Url,
    Variable,
)
from pydantic import Field

Cpu = Annotated[float, Field(gt=0, le=256)]
Packages = Annotated[list[Package], Field(min_length=1)]


class CondaEnvironment(Entry):
    """One environment of a project. At least one of `base` and `packages` is given."""

    name: Slug
    base: Text | None = None
    channels: Annotated[list[Text], Field(min_length=1)]
    packages: list[Package] = Field([])
    pip: list[Requirement] = Field([])
    imports: list[Module] = Field([])
    variables: dict[Variable, Text] = Field({})


class Limit(Entry):
    """Memory and processors; what is left out is decided by the next wider limit."""

    memory: Memory | None = None
    cpu: Cpu | None = None


class ProjectLimits(Limit):
    """Of each member's server, of some members by name, and of all servers of the project together."""

    members: dict[Login, Limit] = Field({})
    total: Limit | None = None
    home_gib: Gib | None = None


class ReadOnly(Entry):
    """A folder that the project's members read and only the writers write."""

    name: Slug
    writers: list[Login] = Field([])


class Group(Limit):
    """People of the whole environment who get other limits, whatever project they are in."""

    name: Slug
    members: Annotated[list[Login], Field(min_length=1)]


class Ldap(Entry):
    """The company's directory. Either `lookup_dn` with `people_base`, or `user_template`."""

    url: DirectoryUrl
    lookup_dn: Text | None = None
    people_base: Text | None = None
    login_attribute: Text | None = None
    user_template: list[Text] = Field([])
    group_base: Text | None = None
    group_filter: Text | None = None


class Oauth(Entry):
    """The company's OpenID provider; the preset gitlab needs `url`, generic the three addresses."""

    preset: Literal["generic", "gitlab"] | None = None
    url: Url | None = None
    authorize_url: Url | None = None
    token_url: Url | None = None
    userdata_url: Url | None = None
    client_id: Text
    scope: list[Text] = Field([])
    login_claim: Text | None = None
    groups_claim: Text | None = None
    login_service: Text | None = None


class Authentication(Entry):
    """Who vouches for people: the accounts' own passwords, the directory, or the login service."""

    mode: Literal["pam", "ldap", "oauth"] = "pam"
    ldap: Ldap | None = None
    oauth: Oauth | None = None
    session_days: Annotated[float, Field(gt=0, le=90)] = 7


class Database(Entry):
    """A PostgreSQL server for the hubs; without one each hub keeps a sqlite file."""

    host: Domain
    port: Port = 5432
    name: Slug
    user: Slug


class Acme(Entry):
    """The authority that certifies hubs in TLS mode acme."""

    directory: Url
    email: Email | None = None


class Proxies(Entry):
    """On the way to the channels; credentials are in the secrets."""

    http: Url | None = None
    https: Url | None = None
    no_proxy: list[Text] = Field([])
    username: Text | None = None


class Conda(Entry):
    """Commands for members (packages of the same name), and what is on the way to the channels."""

    commands: list[Slug] = Field([])
    proxies: Proxies | None = None


class JupyterHub(Entry):
    """What holds for every hub of the environment."""

    memory_limit: Memory
    cpu_limit: Cpu
    cull_idle_seconds: Annotated[int, Field(ge=60)]
    cull_every_seconds: Annotated[int, Field(ge=10)]
    max_age_seconds: Annotated[int, Field(ge=0)] = 0
    admins: list[Login] = Field([])
    groups: list[Group] = Field([])
    authentication: Authentication = Authentication()
    database: Database | None = None
