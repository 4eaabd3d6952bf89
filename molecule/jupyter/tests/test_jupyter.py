"""Kernels on plain hosts."""

from __future__ import annotations

import json

from testinfra.host import Host

from tests.hosts import plain

testinfra_hosts = plain.hosts()
ROOT = "/opt/atelier/jupyter"


def test_kernels_belong_to_the_project(host: Host) -> None:
    with host.sudo():
        for name, title in (("delta-base", "delta · base"), ("delta-deep", "delta · deep")):
            spec = host.file(f"{ROOT}/projects/delta/kernels/{name}/kernel.json")
            assert (spec.user, spec.group, spec.mode) == ("root", "proj-delta", 0o640)
            assert json.loads(spec.content_string)["display_name"] == title
        folder = host.file(f"{ROOT}/projects/delta")
        assert (folder.user, folder.group, folder.mode) == ("root", "proj-delta", 0o750)
    with host.sudo("nobody"):
        assert "Permission denied" in host.run(f"ls {ROOT}/projects/delta").stderr


def test_launcher_follows_the_link_once(host: Host) -> None:
    with host.sudo("nobody"):
        asked = host.run(f"{ROOT}/bin/in-environment /bin sh -c 'echo $CONDA_PREFIX'")
        assert asked.rc != 0  # /bin is no environment: it has no bin/sh below it
        assert host.check_output(f"{ROOT}/bin/in-environment / sh -c 'echo $CONDA_PREFIX'") == "/"


def test_nothing_calls_home(host: Host) -> None:
    settings = json.loads(host.file("/etc/jupyter/jupyter_server_config.json").content_string)
    assert settings["LabApp"]["check_for_updates_class"].endswith("NeverCheckForUpdate")
    assert settings["LabApp"]["news_url"] is None
    assert settings["LabApp"]["extension_manager"] == "readonly"
    assert settings["KernelSpecManager"]["allowed_kernelspecs"] == ["delta-base", "delta-deep"]
    assert settings["MappingKernelManager"]["cull_idle_timeout"] == 7200
