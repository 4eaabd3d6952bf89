"""Two releases on one host: the previous one, exported from git, with its own roles and playbook, and this one.

`python -m tests.hosts.releases` converges the previous one.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.hosts import LAB
from tests.hosts.platform import ROOT, play

EXPORT = LAB.state / "previous"
INVENTORY = ROOT / "molecule/inventory/upgraded.aws_ec2.yml"
RESTART = "Run proxy and hub with the files as they are"


class NoHistoryError(Exception):
    """The previous release is not in this clone."""


def load(text: str) -> Any:
    """The data of a YAML text."""
    return yaml.safe_load(text)


def number(version: str) -> tuple[int, ...]:
    """What versions are ordered by."""
    return tuple(int(part) for part in version.split("."))


def previous_version(root: Path = ROOT) -> str:
    """The newest version in the changelog that is older than the one this tree makes."""
    current = load((root / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    told = load((root / "changelogs/changelog.yaml").read_text(encoding="utf-8"))["releases"]
    return max((v for v in told if number(v) < number(current)), key=number)


def commit_of(version: str, root: Path = ROOT) -> str:
    """The commit of a release: the last one whose galaxy.yml says this version and that holds nothing newer.

    The version is raised when the next release is made, so what was added for that one (`version_added`) tells the
    commits in between. NoHistoryError if the clone does not hold it.
    """

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    # The newest commit that added or removed the line removed it.
    changes = git("log", "--format=%H", f"-Sversion: {version}", "--", "galaxy.yml").splitlines()
    for commit in git("rev-list", "--first-parent", f"{changes[0]}^").splitlines() if changes else []:
        if load(git("show", f"{commit}:galaxy.yml"))["version"] != version:
            break
        added = re.findall(r'version_added: "([0-9.]+)"', git("grep", "-h", "version_added: ", commit, "--", "plugins"))
        if all(number(v) <= number(version) for v in added):
            return commit
    raise NoHistoryError(
        f"release {version} is not in the history of this clone, so the upgrade from it cannot be tried; "
        "type: git fetch --unshallow"
    )


def export() -> Path:
    """The previous release's tree, below the lab's folder."""
    commit = commit_of(previous_version())
    stamp = EXPORT / ".commit"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != commit:
        shutil.rmtree(EXPORT, ignore_errors=True)
        EXPORT.mkdir(parents=True)
        archive = EXPORT.with_suffix(".tar")
        subprocess.run(["git", "-C", str(ROOT), "archive", "--output", str(archive), commit], check=True)
        subprocess.run(["tar", "-xf", str(archive), "-C", str(EXPORT)], check=True)
        archive.unlink()
        stamp.write_text(commit, encoding="utf-8")
    return EXPORT


def previous_environment() -> dict[str, str]:
    """What makes Ansible find the previous release instead of this one."""
    tree = export()
    return {"ANSIBLE_CONFIG": str(tree / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(tree / "collections")}


def converge_previous() -> dict[str, Any]:
    """Run the previous release: its own playbook of the hub's scenario, roles, modules and configuration."""
    return play(export() / "molecule/jupyterhub/converge.yml", "-i", INVENTORY, **previous_environment())


def converge(**env: str) -> dict[str, Any]:
    """Run this release, as `molecule converge -s upgrade` does."""
    collections = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}
    return play(ROOT / "molecule/upgrade/converge.yml", "-i", INVENTORY, **collections, **env)


def killed(task: str) -> int:
    """Run this release until ansible-playbook is killed before a task; its exit status."""
    enabled = {
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "molecule/upgrade/callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "killed",
    }
    return converge(check=False, KILLED_BEFORE=task, **enabled)["rc"]


def main() -> int:
    """Entry point."""
    try:
        sys.stdout.write(json.dumps(converge_previous()["stats"]))
    except NoHistoryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
