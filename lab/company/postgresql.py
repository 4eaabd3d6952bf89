"""A database server: PostgreSQL 15 with TLS, as a company or RDS would give it.

Data: `databases: [name]` (default: hub). Each has an owner of its own name, whose password is in `NAME.secret`.
"""

from __future__ import annotations

import subprocess
from typing import Any

from lab.company.base import ADDRESS, INSIDE, NOBODY, Service
from lab.errors import LabError

BIN = "/usr/lib/postgresql/15/bin"
PORT = 5432
# Passwords over TLS only, from the lab's hosts; the socket is for what prepares the server.
ACCESS = "local all all trust\nhostssl all all all scram-sha-256\n"
CONFIGURATION = """\
listen_addresses = '{address}'
port = {port}
unix_socket_directories = '{inside}'
ssl = on
ssl_cert_file = '{certificate}'
ssl_key_file = '{key}'
password_encryption = 'scram-sha-256'
dynamic_shared_memory_type = mmap
shared_buffers = 16MB
max_connections = 40
fsync = off
"""


class Postgresql(Service):
    """PostgreSQL with a database per name it was told."""

    name = "postgresql"
    packages = ["dash", "postgresql-15", "postgresql-client-15"]  # noqa: RUF012
    ports = [PORT]  # noqa: RUF012

    def prepare(self) -> None:
        """Make the cluster and its databases."""
        subprocess.run(["chown", f"{NOBODY}:{NOBODY}", str(self.folder)], check=True)
        initdb = [f"{BIN}/initdb", "-D", f"{INSIDE}/db", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"]
        self.do([*initdb, "--no-sync"])
        certificate, key = self.certificate()
        text = CONFIGURATION.format(address=ADDRESS, port=PORT, inside=INSIDE, certificate=certificate, key=key)
        with (self.folder / "db/postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(text)
        (self.folder / "db/pg_hba.conf").write_text(ACCESS, encoding="utf-8")
        statements = ""
        for name in self.databases():
            statements += f"create role {name} login password '{self.secret(name)}';\n"
            statements += f"create database {name} owner {name};\n"
        # Without a server beside it: no port and no socket until the service answers for good.
        self.do([f"{BIN}/postgres", "--single", "-D", f"{INSIDE}/db", "postgres"], statements)

    def databases(self) -> list[str]:
        """Return the names of the databases."""
        return list(self.given.get("databases", ["hub"]))

    def do(self, words: list[str], data: str = "") -> str:
        """Run a program of the server's to its end; return what it printed."""
        done = subprocess.run(self.inside(*words), input=data, capture_output=True, text=True, check=False)
        if done.returncode or "ERROR" in done.stderr:
            raise LabError(f"{words[0]} failed: {(done.stderr or done.stdout).strip()[-600:]}")
        return done.stdout

    def crash(self) -> None:
        """End the server without a word to its clients; `resume` starts it with what it held."""
        self.do([f"{BIN}/pg_ctl", "-D", f"{INSIDE}/db", "-m", "immediate", "stop"])

    def query(self, statement: str, database: str = "hub") -> list[list[str]]:
        """Return the rows of a query that the server's administrator puts."""
        psql = [f"{BIN}/psql", "-h", INSIDE, "-U", "postgres", "-XAt", "-F", "\t", "-c", statement, database]
        return [line.split("\t") for line in self.do(psql).splitlines()]

    def command(self) -> list[str]:
        """Return the server in the foreground."""
        return [f"{BIN}/postgres", "-D", f"{INSIDE}/db"]

    def facts(self) -> dict[str, Any]:
        """Return where the databases are and where their owners' passwords lie."""
        secrets = {name: str(self.folder / f"{name}.secret") for name in self.databases()}
        return {"host": ADDRESS, "port": PORT, "databases": secrets}
