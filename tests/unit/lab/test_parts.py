"""The lab's pure parts, one by one."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from lab import cli, cloud, forwarders, images, landing_zone, processes, seeds, state, volumes
from lab.cloud import Instance, Volume
from lab.errors import LabError
from lab.identity import Lab

MACHINE = Instance(
    "i-1", "running", "10.20.16.21", "subnet-1", "10.20.16.0/24", name="preprod-alpha-workstation-01",
    role="workstation", fqdn="preprod-alpha-workstation-01.preprod.example.com",
)  # fmt: skip
BASTION = Instance(
    "i-0", "running", "10.20.0.10", "subnet-0", "10.20.0.0/24", role="bastion", public_address="127.70.1.10"
)


def test_ways_in_are_the_bastion_by_ssh_and_machines_by_https() -> None:
    found = forwarders.wanted([MACHINE, BASTION], {MACHINE.name: 20001})
    assert found == {
        forwarders.Forward(("127.70.1.10", 22), ("10.20.0.10", 22)),
        forwarders.Forward(("127.0.0.1", 20001), ("10.20.16.21", 443)),
    }


def test_a_public_address_that_is_not_loopback_is_never_listened_on() -> None:
    outside = Instance("i-0", "running", "10.0.0.4", "subnet-0", "10.0.0.0/24", public_address="0.0.0.0")  # noqa: S104
    assert forwarders.wanted([outside], {}) == set()


def test_browser_ports_stay_and_avoid_what_is_taken() -> None:
    lab = Lab("ports", Path("/x"))
    first = forwarders.browser_ports(lab, ["a", "b"], {}, lambda _: True)
    assert len(set(first.values())) == 2
    assert forwarders.browser_ports(lab, ["a"], first, lambda _: False) == first
    taken = first["a"]
    assert forwarders.browser_ports(lab, ["a"], {}, lambda port: port != taken)["a"] != taken


def test_seed_carries_the_user_data_unchanged(tmp_path: Path) -> None:
    seeds.write(tmp_path / "seed", MACHINE, b"#!/bin/sh\ntrue\n")
    meta = yaml.safe_load((tmp_path / "seed/meta-data").read_text())
    assert meta == {"instance-id": "i-1", "local-hostname": MACHINE.fqdn}
    assert (tmp_path / "seed/user-data").read_bytes() == b"#!/bin/sh\ntrue\n"
    assert stat.S_IMODE((tmp_path / "seed").stat().st_mode) == 0o700


def test_hosts_file_names_itself_once_and_the_zone() -> None:
    text = seeds.hosts_file(MACHINE, {MACHINE.fqdn: "10.20.16.21", "db.preprod.example.com": "10.20.17.5"})
    assert text.count("preprod-alpha-workstation-01.preprod") == 1
    assert "10.20.16.21 preprod-alpha-workstation-01.preprod.example.com preprod-alpha-workstation-01\n" in text
    assert text.endswith("10.20.17.5 db.preprod.example.com\n")


def test_the_root_disk_is_not_a_data_volume() -> None:
    def attached(volume: str, device: str, instance: str = "i-1") -> dict:
        return {"VolumeId": volume, "Size": 8, "Attachments": [{"InstanceId": instance, "Device": device}]}

    item = {
        "InstanceId": "i-1", "State": {"Name": "running"}, "PrivateIpAddress": "10.0.0.4", "SubnetId": "subnet-1",
        "RootDeviceName": "/dev/xvda", "Tags": [{"Key": "Name", "Value": "m"}],
    }  # fmt: skip
    found = [attached("vol-r", "/dev/xvda"), attached("vol-d", "/dev/sdf"), attached("vol-o", "/dev/sdf", "i-2")]
    made = cloud.instance_from(item, "10.0.0.0/24", found, {"i-1": "127.70.0.4"}, "x.example.com")
    assert made.volumes == (Volume("vol-d", 8),)
    assert (made.fqdn, made.public_address) == ("m.x.example.com", "127.70.0.4")


def test_volume_link_is_the_one_aws_makes() -> None:
    assert volumes.by_id("vol-0abc") == "nvme-Amazon_Elastic_Block_Store_vol0abc"


@pytest.mark.parametrize(
    ("text", "mirror"),
    [
        ("deb http://mirror.example/debian bookworm main\n", "http://mirror.example/debian"),
        ("deb [signed-by=/k.gpg] https://m.example/debian trixie main contrib\n", "https://m.example/debian"),
        ("# deb http://old/debian bookworm main\ndeb http://new/debian stable main\n", "http://new/debian"),
        ("Types: deb\nURIs: http://d.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n", "http://d.example/debian"),
        (
            "deb http://s.example/debian-security bookworm-security main\ndeb http://m.example/debian bookworm main\n",
            "http://m.example/debian",
        ),
    ],
)  # fmt: skip
def test_the_debian_archive_is_read_from_apt(text: str, mirror: str) -> None:
    assert images.apt_mirror([text]) == mirror


def test_no_archive_is_said() -> None:
    with pytest.raises(LabError, match="no Debian archive"):
        images.apt_mirror(["deb https://third.example/apt nodistro main\n"])


def test_an_image_changes_name_with_what_it_holds() -> None:
    book = images.recipes()
    before = images.host_tag("debian-12", book)
    assert before == images.host_tag("debian-12", images.recipes())
    book["layers"]["approved"]["lines"][0]["line"] = "UMASK 077"
    assert images.host_tag("debian-12", book) != before
    assert images.host_tag("debian-12-unapproved", book) == images.host_tag("debian-12-unapproved")
    with pytest.raises(LabError, match=r"no host image 'debian-11'.*debian-12, "):
        images.host_tag("debian-11")


def test_debian_12_images_share_their_base() -> None:
    hosts = images.recipes()["hosts"]
    assert hosts["debian-12"]["base"] == hosts["debian-12-unapproved"]["base"]


def test_a_layer_applied_twice_is_applied_once(tmp_path: Path) -> None:
    layer = images.recipes()["layers"]["approved"]
    for path in ("etc/login.defs", "etc/pam.d/common-session", "etc/pam.d/common-session-noninteractive"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("UMASK\t\t022\n")

    def content() -> dict[str, str]:
        return {
            str(p): str(p.readlink()) if p.is_symlink() else p.read_text()
            for p in tmp_path.rglob("*")
            if not p.is_dir()
        }

    about = images.marker("debian-12", images.recipes())
    images.apply_layer(tmp_path, layer, about)
    once = content()
    images.apply_layer(tmp_path, layer, about)
    assert content() == once
    assert "UMASK\t\t027" in once[str(tmp_path / "etc/login.defs")]
    assert json.loads(once[str(tmp_path / "etc/core-it/image.json")])["image_id"] == images.ami_id("debian-12")


def test_only_approved_images_are_tagged_so() -> None:
    approved = {i["tags"]["LabImage"] for i in landing_zone.image_list() if i["tags"].get("CoreIT") == "approved"}
    assert approved == {"debian-12", "debian-13"}
    assert {i["owner"] for i in landing_zone.image_list()} == {images.CORE_IT_ACCOUNT}


def test_every_environment_gets_parameters_whatever_its_data(tmp_path: Path) -> None:
    for name, text in (("good", "members: [{login: alice}]"), ("broken", "members: ["), ("odd", "members: 3")):
        (tmp_path / name / "group_vars/all").mkdir(parents=True)
        (tmp_path / name / "group_vars/all/projects.yml").write_text(text)
    (tmp_path / "empty/group_vars/all").mkdir(parents=True)
    assert landing_zone.environments(tmp_path) == {"good": ["alice"], "broken": [], "odd": [], "empty": []}


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    lab = Lab("secrets", tmp_path)
    passwords, new = landing_zone.member_passwords(lab, {"alice", "bob"})
    assert new == {"alice", "bob"}
    assert len(set(passwords.values())) == 2
    assert landing_zone.member_passwords(lab, {"alice", "carol"})[1] == {"carol"}
    assert landing_zone.admin_key(lab) == landing_zone.admin_key(lab)
    assert landing_zone.authority(lab) == landing_zone.authority(lab)
    private = ("passwords.json", "admin_key", "ca_key.pem")
    assert {stat.S_IMODE((lab.state / name).stat().st_mode) for name in private} == {0o600}
    certificate = x509.load_pem_x509_certificate(landing_zone.authority(lab)[0].encode())
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert landing_zone.password_hash("x").startswith("$6$")


def test_a_pid_used_again_is_not_ours(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    path = tmp_path / "x.pid"
    try:
        processes.record(path, process.pid)
        assert processes.recorded(path) == process.pid
        data = json.loads(path.read_text())
        path.write_text(json.dumps(data | {"started": data["started"] + "1"}))
        assert processes.recorded(path) is None
        assert not processes.end(path)
        assert process.poll() is None
        processes.record(path, process.pid)
        assert processes.end(path)
        assert process.wait(5) == -15
        assert not path.exists()
    finally:
        process.kill()


def test_marked_processes_are_found_by_their_mark_only() -> None:
    environment = os.environ | {processes.MARK: "feedbeef"}
    # Its environment shows only once it runs: it says so itself.
    code = "import time; print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        assert processes.marked(f"{processes.MARK}=feedbeef", "X=y") == [process.pid]
        assert processes.marked(f"{processes.MARK}=feedbee") == []
    finally:
        process.kill()
        process.wait()


def test_state_is_whole_or_the_default(tmp_path: Path) -> None:
    path = tmp_path / "a/b.json"
    assert state.read(path, {"x": 1}) == {"x": 1}
    state.write(path, [1])
    assert state.read(path, None) == [1]
    path.write_text('{"torn": ')
    assert state.read(path, {}) == {}


def test_one_command_at_a_time(tmp_path: Path) -> None:
    lab = Lab("busy", tmp_path)
    with state.locked(lab), pytest.raises(LabError, match="another command"), state.locked(lab):
        pass


def test_without_root_the_message_says_sudo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["lab", "up", "--name", "x"])
    assert cli.main(["up", "--name", "x"]) == 1
    assert "type: sudo lab/lab up --name x" in capsys.readouterr().err


def test_without_a_package_the_message_says_make_setup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["up", "--name", "x"]) == 1
    error = capsys.readouterr().err
    assert "podman" in error
    assert "make setup" in error


def test_a_lab_that_is_not_up_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["env", "--name", "never-started"]) == 1
    assert "lab/lab up --name never-started" in capsys.readouterr().err


def test_table_columns_line_up() -> None:
    assert cli.table([("NAME", "X"), ("longer-name", "y")]) == "NAME         X\nlonger-name  y"


def test_user_data_is_decoded() -> None:
    client = cloud.Cloud.__new__(cloud.Cloud)
    encoded = base64.b64encode(b"#cloud-config\n").decode()

    class Ec2:
        def describe_instance_attribute(self, **_: str) -> dict:
            return {"UserData": {"Value": encoded}}

    client.ec2 = Ec2()
    assert client.user_data("i-1") == b"#cloud-config\n"
