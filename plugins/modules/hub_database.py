#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the hub could use a database, asked from the hub's host with the hub's own client."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hub_database
short_description: Refuse a PostgreSQL database that a hub could not use
version_added: "0.2.0"
description:
  - Logs in over verified TLS with the client in the hub's environment and asks whether tables can be made.
  - Changes nothing. In check mode, before there is an environment, it asks nothing.
  - The password goes to the client's standard input; it is in no process list.
options:
  python: {description: Python of the hub's environment., type: path, required: true}
  host: {description: Name or address of the server., type: str, required: true}
  port: {description: Port of the server., type: int, default: 5432}
  name: {description: Name of the database., type: str, required: true}
  user: {description: Account., type: str, required: true}
  password: {description: Its password., type: str, required: true}
  ca_certificate: {description: Authority of the server's certificate (PEM)., type: str, required: true}
  timeout: {description: Seconds to wait for the server., type: int, default: 10}
attributes:
  check_mode: {support: full, description: Never changes anything.}
  diff_mode: {support: none, description: Never changes anything.}
author: [Atelier Datalab (@atelier)]
"""

EXAMPLES = r"""
- name: Refuse a database that the hub could not use
  atelier.datalab.hub_database:
    python: /opt/atelier/conda/envs/hub/current/bin/python
    host: db.example.com
    name: hub
    user: hub
    password: "{{ secrets.hub_database_password }}"
    ca_certificate: "{{ secrets.hub_database_ca }}"
"""

RETURN = r"""
server:
  description: The server's version; empty when it was not asked.
  returned: success
  type: str
"""

import json
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {
    "python": {"type": "path", "required": True},
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "default": 5432},
    "name": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "ca_certificate": {"type": "str", "required": True},
    "timeout": {"type": "int", "default": 10},
}
CLIENT = """
import json, sys
said = {"error": "", "server": "", "may": False}
try:
    import psycopg2
    connection = psycopg2.connect(**json.load(sys.stdin))
    cursor = connection.cursor()
    cursor.execute("select current_setting('server_version'), has_schema_privilege('public', 'create')")
    said["server"], said["may"] = cursor.fetchone()
except ImportError:
    said["error"] = "no client"
except psycopg2.Error as error:
    said["error"] = str(error).strip()
print(json.dumps(said))
"""
# What libpq says, and what to do about it; the first that fits.
REMEDIES = (
    ("no client", "add the package psycopg2-binary to the hub's environment"),
    (
        "password authentication failed",
        "correct user and password (the secret) or the account's password on the server",
    ),
    ("does not exist", "create the database and its owner on the server; the hub makes the tables"),
    (
        "certificate",
        "correct the authority (ca_certificate) or the host, which must be as the server's certificate names it",
    ),
    ("does not support SSL", "switch TLS on at the server; the hub does not send a password without it"),
    ("no pg_hba.conf entry", "let this host in on the server (pg_hba.conf)"),
    ("", "check that the server runs and that the flow from this host to it is open"),
)


def remedy(error: str) -> str:
    """What to do about an error of the client.

    >>> remedy('connection to server at "10.0.0.5", port 5432 failed: Connection refused')
    'check that the server runs and that the flow from this host to it is open'
    """
    return next(text for sign, text in REMEDIES if sign in error)


def ask(module: AnsibleModule) -> dict[str, str]:
    """Ask the server; return the client's answer."""
    p = module.params
    with tempfile.NamedTemporaryFile("w", dir=module.tmpdir, suffix=".pem") as authority:
        authority.write(p["ca_certificate"])
        authority.flush()
        connection = {
            "host": p["host"], "port": p["port"], "dbname": p["name"], "user": p["user"], "password": p["password"],
            "sslmode": "verify-full", "sslrootcert": authority.name, "connect_timeout": p["timeout"],
        }  # fmt: skip
        code, out, err = module.run_command([p["python"], "-c", CLIENT], data=json.dumps(connection))
    if code:
        module.fail_json(msg=f"{p['python']} could not ask the database: {err.strip()[-500:]}")
    return json.loads(out)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    p = module.params
    if module.check_mode and not Path(p["python"]).exists():
        module.exit_json(changed=False, server="")
    said = ask(module)
    place = f"database {p['name']} of {p['user']} at {p['host']}:{p['port']}"
    if said["error"]:
        advice = f"{remedy(said['error'])}; nothing was changed, a running hub goes on with the database it has"
        module.fail_json(msg=f"The hub cannot use the {place}: {said['error']}. What to do: {advice}.")
    if not said["may"]:
        advice = f"make {p['user']} the owner of the database, or grant create on schema public"
        module.fail_json(msg=f"The hub cannot make tables in the {place}. What to do: {advice}.")
    module.exit_json(changed=False, server=said["server"])


if __name__ == "__main__":
    main()
