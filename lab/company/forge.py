"""The company's git server: git's own http-backend behind lighttpd, over TLS.

Data: `repositories: {NAME: FOLDER}`; the folder's files, relative to the project, are the first commit.
Everybody reads; names that begin with `private-` and every push ask for the login `author` with the token in the file
that the facts name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from lab.company.base import ADDRESS, INSIDE, Service

ROOT = Path(__file__).resolve().parents[2]
PORT = 8445
LOGIN = "author"

CONFIGURATION = """\
server.modules = ("mod_openssl", "mod_auth", "mod_authn_file", "mod_setenv", "mod_alias", "mod_cgi")
server.document-root = "/var/empty"
server.bind = "{address}"
server.port = {port}
server.upload-dirs = ("{inside}")
ssl.engine = "enable"
ssl.pemfile = "{certificate}"
ssl.privkey = "{key}"
alias.url = ("/" => "/usr/lib/git-core/git-http-backend/")
cgi.assign = ("" => "")
setenv.set-environment = ("GIT_PROJECT_ROOT" => "{inside}/repositories", "GIT_HTTP_EXPORT_ALL" => "1")
auth.backend = "plain"
auth.backend.plain.userfile = "{inside}/authors"
$HTTP["url"] =~ "^/private-|/git-receive-pack$" {{
  auth.require = ("" => ("method" => "basic", "realm" => "git", "require" => "valid-user"))
}}
$HTTP["querystring"] =~ "service=git-receive-pack" {{
  auth.require = ("" => ("method" => "basic", "realm" => "git", "require" => "valid-user"))
}}
"""


class Forge(Service):
    """Git over https."""

    name = "forge"
    packages = ["git", "lighttpd", "lighttpd-mod-openssl"]  # noqa: RUF012
    ports = [PORT]  # noqa: RUF012

    def prepare(self) -> None:
        """Write lighttpd's configuration and make the repositories."""
        certificate, key = self.certificate()
        self.write("authors", f"{LOGIN}:{self.secret('token')}\n")
        text = CONFIGURATION.format(address=ADDRESS, port=PORT, inside=INSIDE, certificate=certificate, key=key)
        self.write("lighttpd.conf", text)
        for name, source in self.given.get("repositories", {}).items():
            self._repository(name, ROOT / source)

    def _repository(self, name: str, source: Path) -> None:
        bare, scratch = self.folder / "repositories" / f"{name}.git", self.folder / "scratch"
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1"}
        who = ["-c", f"user.name={LOGIN}", "-c", f"user.email={LOGIN}@company.example"]
        shutil.copytree(source, scratch)
        for words, folder in (
            (["init", "-q", "-b", "main"], scratch),
            (["add", "."], scratch),
            ([*who, "commit", "-q", "-m", "First version"], scratch),
            (["clone", "-q", "--bare", str(scratch), str(bare)], self.folder),
        ):
            subprocess.run(["git", *words], cwd=folder, env=environment, check=True)
        shutil.rmtree(scratch)

    def command(self) -> list[str]:
        """Return lighttpd in the foreground."""
        return ["/usr/sbin/lighttpd", "-D", "-f", f"{INSIDE}/lighttpd.conf"]

    def facts(self) -> dict[str, Any]:
        """Return the address below which repositories are, the author's login and where its token lies."""
        return {
            "url": f"https://{ADDRESS}:{PORT}", "login": LOGIN, "token_file": str(self.folder / "token.secret"),
        }  # fmt: skip
