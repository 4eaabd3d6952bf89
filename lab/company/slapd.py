"""The company's directory: OpenLDAP's slapd. Anonymous clients see nothing, and passwords travel over TLS only.

Data: `people: [{login, name, groups}]`, see people.py. People are ou=people, groups (groupOfNames) ou=groups.
"""

from __future__ import annotations

import base64
import subprocess
from typing import Any

from lab.company.base import INSIDE, NAME, Service
from lab.company.people import people
from lab.errors import LabError

SUFFIX = "dc=company,dc=example"
ADMIN = f"cn=admin,{SUFFIX}"
LOOKUP = f"cn=lookup,{SUFFIX}"  # the account that a service searches with

CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {inside}/slapd.pid
TLSCACertificateFile {inside}/ca.pem
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
security simple_bind=128
disallow bind_anon
sizelimit 500
database mdb
suffix "{suffix}"
rootdn "{admin}"
directory {inside}/db
maxsize 67108864
index objectClass,uid,cn,member eq
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{lookup}" read by self read by * none
"""


class Slapd(Service):
    """slapd on the ports of ldap (StartTLS) and ldaps."""

    name = "slapd"
    packages = ["slapd", "ldap-utils"]  # noqa: RUF012
    ports = [389, 636]  # noqa: RUF012

    def prepare(self) -> None:
        """Write slapd.conf and fill the database."""
        certificate, key = self.certificate()
        (self.folder / "db").mkdir()
        text = CONFIGURATION.format(
            inside=INSIDE, certificate=certificate, key=key, suffix=SUFFIX, admin=ADMIN, lookup=LOOKUP
        )
        self.write("slapd.conf", text)
        self.write("people.ldif", self.entries())
        subprocess.run(["chown", "-R", "nobody:nogroup", str(self.folder)], check=True)
        add = self.inside("/usr/sbin/slapadd", "-f", f"{INSIDE}/slapd.conf", "-l", f"{INSIDE}/people.ldif")
        done = subprocess.run(add, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"slapadd refused the company's people: {done.stderr.strip()[-500:]}")

    def command(self) -> list[str]:
        """Return slapd in the foreground; its log goes where the service's goes."""
        return ["/usr/sbin/slapd", "-d", "stats", "-f", f"{INSIDE}/slapd.conf", "-h", "ldap:/// ldaps:///"]

    def facts(self) -> dict[str, Any]:
        """Return where people and groups are, and the account to search with."""
        return {
            "url": f"ldaps://{NAME}",
            "suffix": SUFFIX,
            "people": f"ou=people,{SUFFIX}",
            "groups": f"ou=groups,{SUFFIX}",
            "admin": ADMIN,
            "admin_password_file": str(self.folder / "admin.secret"),
            "lookup": LOOKUP,
            "lookup_password_file": str(self.folder / "lookup.secret"),
        }

    def entries(self) -> str:
        """Return the directory as LDIF."""
        everybody = people(self.lab, self.given)
        blocks = [
            _entry(SUFFIX, "dcObject organization", dc="company", o="Company"),
            _entry(f"ou=people,{SUFFIX}", "organizationalUnit", ou="people"),
            _entry(f"ou=groups,{SUFFIX}", "organizationalUnit", ou="groups"),
        ]
        for name in ("admin", "lookup"):
            kinds = "applicationProcess simpleSecurityObject"
            blocks.append(_entry(f"cn={name},{SUFFIX}", kinds, cn=name, userPassword=self.secret(name)))
        blocks += [
            _entry(
                _dn(person),
                "inetOrgPerson",
                uid=person["login"],
                cn=person["name"],
                sn=person["name"].split()[-1],
                mail=person["email"],
                userPassword=person["password"],
            )
            for person in everybody
        ]
        for group in sorted({name for person in everybody for name in person["groups"]}):
            members = [("member", _dn(person)) for person in everybody if group in person["groups"]]
            blocks.append(_entry(f"cn={group},ou=groups,{SUFFIX}", "groupOfNames", cn=group) + members)
        return "\n\n".join("\n".join(_line(key, value) for key, value in block) for block in blocks) + "\n"


def _dn(person: dict[str, Any]) -> str:
    return f"uid={person['login']},ou=people,{SUFFIX}"


def _entry(dn: str, classes: str, **attributes: str) -> list[tuple[str, str]]:
    return [("dn", dn), *(("objectClass", name) for name in classes.split()), *attributes.items()]


def _line(key: str, value: str) -> str:
    return f"{key}:: {base64.b64encode(value.encode()).decode()}"  # any text, however it begins or ends
