"""A link fetches a repository of the company into a member's home and keeps it up to date beside their changes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from testinfra.host import Host

from lab import state
from tests.hosts import LAB, plain
from tests.hosts.visits import Hub

testinfra_hosts = plain.hosts()[:1]
HOME = "/srv/data/home/yara"
FORGE = state.read(LAB.state / "company/forge/facts.json", {})


def link(name: str) -> str:
    """The rest of a link to a repository's main branch, after the address of the hub."""
    repository = f"{FORGE['url']}/{name}.git"
    return urlencode({"repo": repository, "branch": "main", "urlpath": f"lab/tree/{name}.git/spark.ipynb"})


def pull(hub: Hub, name: str) -> tuple[str, str]:
    """Follow a link as the browser's page does; return how it ended and what git said."""
    calls = [["GET", f"/hub/user-redirect/git-pull?{link(name)}", None]]
    calls += [["GET", f"/user/yara/git-pull/api?{link(name)}", None]]
    (code, page), (_, events) = hub.visit("yara", calls=calls)["answers"]
    assert code == 200
    assert f"{FORGE['url']}/{name}.git" in page
    said = [json.loads(line.removeprefix("data: ")) for line in events.splitlines() if line.startswith("data: ")]
    return said[-1]["phase"], "".join(event.get("output", "") for event in said)


class Author:
    """Somebody who writes to a repository from elsewhere on the company's network."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.git("clone", "-q", f"{FORGE['url']}/{name}.git", str(folder))

    def git(self, *words: str) -> None:
        """Run git with the author's token, which is in no argument."""
        helper = f"!f() {{ echo username={FORGE['login']}; echo password=$(cat {FORGE['token_file']}); }}; f"
        options = {"credential.helper": helper, "user.name": "a", "user.email": "a@b.c"}
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        command = ["ip", "netns", "exec", LAB.namespace(), "git", *settings, *words]
        environment = {
            **os.environ,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_SSL_CAINFO": FORGE["ca"],
        }
        subprocess.run(command, cwd=self.folder.parent, env=environment, check=True, capture_output=True)

    def push(self, **files: str) -> None:
        """Commit and publish files."""
        for name, text in files.items():
            (self.folder / name).write_text(text, encoding="utf-8")
        self.git("-C", str(self.folder), "add", ".")
        self.git("-C", str(self.folder), "commit", "-q", "-m", "Later")
        self.git("-C", str(self.folder), "push", "-q", "origin", "HEAD:main")


@pytest.fixture(scope="module")
def home(hub: Hub, host: Host) -> Iterator[str]:
    """yara's home without what earlier tests fetched; her server runs."""
    forget = f"rm -rf {HOME}/*.git {HOME}/private-examples {HOME}/.gitconfig {HOME}/.git-credentials"
    host.check_output(forget)
    hub.visit("yara", "pass")
    yield HOME
    host.check_output(forget)


@pytest.fixture(scope="module")
def authority(host: Host) -> Iterator[None]:
    """The company's authority is in the host's bundle, as core IT's images have it."""
    path, text = "/usr/local/share/ca-certificates/company.crt", Path(FORGE["ca"]).read_text(encoding="utf-8")
    host.check_output(f"printf %s '{text}' > {path} && chmod 644 {path} && update-ca-certificates")
    yield
    host.check_output(f"rm {path} && update-ca-certificates --fresh")


@pytest.fixture
def watched(host: Host) -> Iterator[str]:
    """A file with all command lines and environments that there were, looked at twenty times a second."""
    look = "while :; do ps axwwe -o args; sleep 0.05; done"
    host.check_output(f"systemd-run --quiet --unit=watch --collect sh -c '{look} > /run/watched'")
    yield "/run/watched"
    host.run("systemctl stop watch; rm -f /run/watched")


def test_a_server_of_an_unknown_authority_is_not_believed(hub: Hub, host: Host, home: str) -> None:
    phase, said = pull(hub, "examples")
    assert phase == "error", said
    assert not host.file(f"{home}/examples.git").exists


def test_a_link_clones_then_merges_beside_the_members_changes(
    hub: Hub, host: Host, home: str, authority: None, tmp_path: Path
) -> None:
    folder, title = f"{home}/examples.git", "# Spark, here or on a cluster"
    phase, said = pull(hub, "examples")
    assert phase == "finished", said
    assert title in host.file(f"{folder}/spark.ipynb").content_string
    assert host.file(f"{folder}/spark.ipynb").user == "yara"

    edits = f'sed -i "s/{title}/# My Spark/" spark.ipynb && rm athena.ipynb && echo mine > mine.txt'
    host.check_output(f"runuser -u yara -- sh -c 'cd {folder} && {edits}'")
    author = Author(tmp_path / "work", "examples")
    text = (author.folder / "spark.ipynb").read_text(encoding="utf-8")
    assert text.count("Your own Python functions") == 1
    text = text.replace(title, "# The author's Spark").replace("Your own Python functions", "Functions of your own")
    author.push(**{"spark.ipynb": text, "later.md": "Later\n"})

    phase, said = pull(hub, "examples")
    assert phase == "finished", said
    merged = host.file(f"{folder}/spark.ipynb").content_string
    assert "# My Spark" in merged, "the member's line wins"
    assert "The author's Spark" not in merged
    assert "Functions of your own" in merged, "the author's other line is there"
    assert host.file(f"{folder}/later.md").content_string == "Later\n"
    assert host.file(f"{folder}/mine.txt").content_string == "mine\n"
    assert host.file(f"{folder}/athena.ipynb").exists, "what was deleted comes back"


def test_a_private_repository_asks_for_credentials_which_are_seen_nowhere(
    hub: Hub, host: Host, home: str, authority: None, watched: str
) -> None:
    token = Path(FORGE["token_file"]).read_text(encoding="utf-8")
    since = host.check_output("date +%s")
    phase, said = pull(hub, "private-examples")
    assert phase == "error", said
    assert not host.file(f"{home}/private-examples.git").exists

    # Once, in a terminal, as docs/howto/nbgitpuller.md says.
    dialogue = [
        ["$ ", "git config --global credential.helper store"],
        ["$ ", f"git clone {FORGE['url']}/private-examples.git"],
        ["Username for", FORGE["login"]],
        ["Password for", token],
        ["$ ", "exit"],
    ]
    hub.visit("yara", terminal=dialogue)
    assert host.file(f"{home}/private-examples/spark.ipynb").exists
    stored = host.file(f"{home}/.git-credentials")
    assert (stored.user, stored.mode) == ("yara", 0o600)
    assert token in stored.content_string

    phase, said = pull(hub, "private-examples")
    assert phase == "finished", said
    assert host.file(f"{home}/private-examples.git/spark.ipynb").exists

    seen = host.file(watched).content_string
    assert "git-remote-https" in seen, "git was seen at work"
    journal = host.check_output(f"journalctl --since @{since} --no-pager")
    assert "git-pull" in journal
    settings = host.check_output(f"cat {home}/private-examples.git/.git/config {home}/private-examples/.git/config")
    assert FORGE["url"] in settings
    for place in (seen, journal, settings, said):
        assert token not in place
