from __future__ import annotations

from typing import Any

import yaml
from ansible_collections.atelier.datalab.plugins.filter.conda_tree import conda_tree

COMMANDS = [
    {"name": "conda", "environment": "commands", "state": "present"},
    {"name": "old", "environment": "commands", "state": "absent"},
]


def tree(commands: list[dict[str, Any]], **options: Any) -> tuple[dict[str, str], list[str]]:
    made = conda_tree(commands, "/c", channels=["conda-forge", "https://c.example.com/ours"], **options)
    return {file["path"]: file["content"] for file in made["files"]}, made["absent"]


def test_a_command_runs_what_is_in_service() -> None:
    files, absent = tree(COMMANDS)
    assert "readlink -e /c/envs/commands/current)" in files["/usr/local/bin/conda"]
    assert 'exec "$prefix/bin/conda" "$@"' in files["/usr/local/bin/conda"]
    assert "/usr/local/bin/old" in absent
    assert "/c/envs/commands/current/etc/profile.d/conda.sh" in files["/etc/profile.d/datalab-conda.sh"]
    assert "/etc/profile.d/datalab-conda.sh" in tree([])[1]


def test_condarc_leads_to_the_mirror_and_into_the_home() -> None:
    mirrors = {
        "conda-forge": ["http://m/cf/", "http://second/"],
        "pypi": ["http://m/simple"],
        "https://c.example.com/ours": ["http://m/ours/"],
    }
    settings = yaml.safe_load(tree([], mirrors=mirrors)[0]["/etc/conda/.condarc"])
    assert settings["channels"] == ["conda-forge", "https://c.example.com/ours"]
    assert settings["custom_multichannels"] == {"conda-forge": ["http://m/cf"]}
    assert settings["default_channels"] == ["http://m/cf", "https://c.example.com/ours"]
    assert settings["envs_dirs"] == ["~/.conda/envs"]
    assert "ssl_verify" not in settings


def test_without_a_mirror_the_public_channel_counts() -> None:
    settings = yaml.safe_load(tree([])[0]["/etc/conda/.condarc"])
    assert settings["default_channels"][0] == "https://conda.anaconda.org/conda-forge"


def test_proxies_and_authorities_but_no_secret() -> None:
    proxies = {"http": "http://p:3128", "username": "bot", "password": "hidden"}
    files, _ = tree([], proxies=proxies, ca_certificates="PEM")
    settings = yaml.safe_load(files["/etc/conda/.condarc"])
    assert settings["proxy_servers"] == {"http": "http://p:3128"}
    assert settings["ssl_verify"] == "/etc/conda/authorities.pem"
    assert files["/etc/conda/authorities.pem"] == "PEM\n"
    assert "hidden" not in "".join(files.values())
