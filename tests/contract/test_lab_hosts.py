"""The hosts behind the instances, for real: what each sentence of lab/README.md promises is done to a small lab.

The lab lives in a copy of the checkout under a temporary folder, so it cannot meet a lab of the developer.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab import cli, images, landing_zone, launcher, network, processes
from lab.cloud import Cloud
from lab.hosts import Container, Hosts
from lab.identity import Lab
from lab.volumes import by_id

ROOT = Path(__file__).resolve().parents[2]
NAME = "hoststest"
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and loop devices need root"),
    pytest.mark.hosts,
    pytest.mark.xdist_group("lab-hosts"),
]
USER_DATA = """#cloud-config
users:
  - name: datalab-admin
    sudo: "ALL=(ALL) NOPASSWD:ALL"
    shell: /bin/bash
    lock_passwd: true
    ssh_authorized_keys: ["{key}"]
"""


@dataclass
class Site:
    """A lab in a copy of the checkout, and ways to look at it."""

    lab: Lab
    ids: dict[str, str] = field(default_factory=dict)
    public: str = ""
    groups: dict[str, str] = field(default_factory=dict)

    def command(self, *words: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [str(self.lab.checkout / "lab/lab"), *words, "--name", self.lab.name]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900, **options)
        assert not check or result.returncode == 0, result.stdout + result.stderr + self.log()
        return result

    def log(self) -> str:
        path = self.lab.state / "mirror.log"
        return path.read_text() if path.exists() else ""

    @property
    def cloud(self) -> Cloud:
        emulator = launcher.status(self.lab.state / "emulator")
        assert emulator
        return Cloud(emulator.endpoint)

    @property
    def containers(self) -> dict[str, Container]:
        return Hosts(self.lab).list()

    def until(self, condition: Callable[[], Any], seconds: float = 40) -> float:
        """Wait until a condition holds; returns how long it took."""
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            if condition():
                return time.monotonic() - started
            time.sleep(0.2)
        raise AssertionError(f"not so after {seconds} s; the mirror says:\n{self.log()}")

    def running(self, name: str) -> bool:
        container = self.containers.get(self.ids[name])
        return bool(container and container.running)

    def inside(self, name: str, script: str, *, check: bool = True) -> str:
        """Run a script as root in a host."""
        container = self.lab.namespace(self.ids[name])
        command = ["podman", "exec", container, "sh", "-c", script]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not check or result.returncode == 0, result.stdout + result.stderr
        return result.stdout.strip()

    def works(self, name: str, script: str) -> bool:
        command = ["podman", "exec", self.lab.namespace(self.ids[name]), "sh", "-c", script]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def ssh(self, name: str, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script as the admin user, over ssh through the bastion's forwarder as Ansible does."""
        # Throw-away hosts of this test only: nothing is pinned.
        options = [
            "-i",
            str(landing_zone.admin_key_file(self.lab)),
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "LogLevel=ERROR",
        ]
        options += ["-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
        target = f"datalab-admin@{self.public}"
        if name != "bastion":
            jump = " ".join(["ssh", *options, "-W", "%h:%p", target])
            options += ["-o", f"ProxyCommand={jump}"]
            target = f"datalab-admin@{self.cloud.read().instances[self.ids[name]].address}"
        return subprocess.run(
            ["ssh", *options, target, script], capture_output=True, text=True, check=False, timeout=40
        )

    def answers(self, name: str) -> bool:
        return self.ssh(name, "true").returncode == 0


def copy_checkout(folder: Path) -> Path:
    """Copy what a lab needs; the virtual environments are shared."""
    folder.mkdir()
    for part in ("lab", "inventories"):
        shutil.copytree(ROOT / part, folder / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for part in (".venv", ".venv-emulator"):
        (folder / part).symlink_to(ROOT / part)
    return folder


def launch(site: Site) -> None:
    """Run a bastion, two machines (Debian 12 and 13) and a host of the image that core IT did not approve.

    ssh is open to the bastion from the corporate network and from it to the others, https to these.
    """
    ec2, route53 = site.cloud.ec2, site.cloud.route53
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    subnets = {}
    for name, cidr in (("public", "10.77.0.0/24"), ("private", "10.77.16.0/24")):
        subnets[name] = ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone="eu-west-1a")["Subnet"][
            "SubnetId"
        ]
    zone = route53.create_hosted_zone(
        Name="hosts.test", CallerReference="1", HostedZoneConfig={"PrivateZone": True},
        VPC={"VPCRegion": "eu-west-1", "VPCId": vpc},
    )["HostedZone"]["Id"]  # fmt: skip
    record = {"Name": "machine.hosts.test", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "10.77.16.21"}]}
    change = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=change)
    for name in ("bastion", "inside"):
        site.groups[name] = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
    corporate = {"IpRanges": [{"CidrIp": network.CORPORATE}]}
    for name, port, source in (
        ("bastion", 22, corporate),
        ("inside", 22, {"UserIdGroupPairs": [{"GroupId": site.groups["bastion"]}]}),
        ("inside", 443, corporate),
    ):
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}
        ec2.authorize_security_group_ingress(GroupId=site.groups[name], IpPermissions=[rule])
    for name, role, subnet, address, key in (
        ("bastion", "bastion", "public", "10.77.0.10", "debian-12"),
        ("machine", "workstation", "private", "10.77.16.21", "debian-12"),
        ("other", "workstation", "private", "10.77.16.22", "debian-13"),
        ("plain", "plain", "private", "10.77.16.23", "debian-12-unapproved"),
    ):
        tags = [{"Key": "Name", "Value": name}, {"Key": "Role", "Value": role}]
        answer = ec2.run_instances(
            ImageId=images.ami_id(key), MinCount=1, MaxCount=1, InstanceType="t3.micro", SubnetId=subnets[subnet],
            PrivateIpAddress=address, UserData=USER_DATA.format(key=landing_zone.admin_key(site.lab)),
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
            SecurityGroupIds=[site.groups["bastion" if name == "bastion" else "inside"]],
        )  # fmt: skip
        site.ids[name] = answer["Instances"][0]["InstanceId"]
    address = ec2.allocate_address(Domain="vpc")
    ec2.associate_address(AllocationId=address["AllocationId"], InstanceId=site.ids["bastion"])
    site.public = address["PublicIp"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    checkout = copy_checkout(tmp_path_factory.mktemp("hosts") / "checkout")
    result = Site(Lab(NAME, checkout))
    try:
        result.command("up")
        launch(result)
        for name in result.ids:
            result.until(lambda name=name: result.works(name, "test -e /var/lib/cloud/instance/boot-finished"), 120)
        yield result
    finally:
        ended = result.command("down", check=False)
    assert ended.returncode == 0, ended.stderr
    assert "is gone" in ended.stdout
    assert not cli.leftovers(result.lab)
    assert not result.lab.state.exists()


def test_a_machine_answers_through_the_bastion_within_ten_seconds(site: Site) -> None:
    """Launched a moment ago by the fixture; the time is the machine's own, from the container's start."""
    site.until(lambda: site.answers("machine"), 20)
    uptime = "systemctl show ssh.service --property ActiveEnterTimestampMonotonic --value"
    boot = "systemctl show --property UserspaceTimestampMonotonic --value"
    # Ten seconds of a machine that has its processors to itself; here four hosts boot beside other tests.
    crowd = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert (int(site.inside("machine", uptime)) - int(site.inside("machine", boot))) / 1e6 < 10 * crowd
    seen = site.ssh("machine", "hostname -f; echo $SSH_CONNECTION; umask; sudo whoami").stdout.split("\n")
    assert seen[0] == "machine.hosts.test"
    assert seen[1].startswith("10.77.0.10 ")  # routed, not translated: the machine sees the bastion
    assert seen[2:4] == ["0027", "root"]


@pytest.mark.parametrize("name", ["bastion", "machine", "other", "plain"])
def test_first_boot_leaves_a_healthy_host(site: Site, name: str) -> None:
    assert site.inside(name, "systemctl is-system-running --wait", check=False) == "running", site.inside(
        name, "systemctl --failed; cloud-init status --long", check=False
    )
    assert site.inside(name, "cloud-init status").endswith("done")
    assert site.inside(name, "hostname") == name


def test_every_host_has_cgroups_of_its_own(site: Site) -> None:
    """Where systemd keeps its services: else the hosts' systemd share one tree and end each other's services."""
    trees = set()
    for container in site.containers.values():
        lines = Path(f"/proc/{container.pid}/cgroup").read_text().splitlines()
        tree = next((line for line in lines if ":name=systemd:" in line), lines[-1])
        assert "libpod-" in tree, lines
        trees.add(tree)
    assert len(trees) == len(site.containers)


def test_approved_images_are_hardened_and_say_who_they_are(site: Site) -> None:
    for name, release in (("machine", "debian-12"), ("other", "debian-13")):
        about = json.loads(site.inside(name, "cat /etc/core-it/image.json"))
        assert about["approved"] is True
        assert about["os"] == release
        assert about["image_id"] == site.cloud.read().instances[site.ids[name]].image
        for path in ("/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108 - looked at, not used
            options = set(site.inside(name, f"findmnt --noheadings --output OPTIONS {path}").split(","))
            assert {"noexec", "nosuid", "nodev"} <= options, path
        assert site.inside(name, "systemctl is-active tmp.mount var-tmp.mount home.mount").split() == ["active"] * 3
        assert not site.works(name, "cp /bin/true /tmp/x && /tmp/x")
        assert site.inside(name, "su -l datalab-admin -c umask") == "0027"


def test_the_unapproved_image_is_not_hardened(site: Site) -> None:
    assert site.works("plain", "test ! -e /etc/core-it/image.json && cp /bin/true /tmp/x && /tmp/x")
    assert site.inside("plain", "su -l datalab-admin -c umask") == "0022"


def test_hosts_have_keys_of_their_own(site: Site) -> None:
    keys = {site.inside(name, "cat /etc/ssh/ssh_host_ed25519_key.pub") for name in site.ids}
    assert len(keys) == len(site.ids)


def test_names_of_the_private_zone_resolve(site: Site) -> None:
    assert site.inside("bastion", "getent hosts machine.hosts.test").split()[0] == "10.77.16.21"


def test_the_lab_is_closed_and_the_channel_is_inside(site: Site) -> None:
    channel = "curl --silent --max-time 5 --output /dev/null --write-out '%{http_code}'"
    assert site.inside("machine", f"{channel} http://198.51.100.10:8080/conda-forge/noarch/repodata.json") == "200"
    assert site.inside("machine", f"{channel} http://198.51.100.10:8080/nothing") == "404"
    assert not site.works("machine", "curl --silent --max-time 3 http://1.1.1.1/ || ping -c 1 -W 2 192.0.2.1")


def test_the_company_answers_hosts_and_keeps_its_secrets(site: Site) -> None:
    """One real service beside the hosts: reached with TLS, not twice, known to no one but root; `down` ends it."""
    command = [str(ROOT / ".venv/bin/python"), "-m", "lab.company", "up", "slapd", "--name", site.lab.name]

    def up() -> dict[str, Any]:
        done = subprocess.run(command, cwd=site.lab.checkout, capture_output=True, text=True, check=True, timeout=300)
        return json.loads(done.stdout)

    facts = up()
    process = processes.recorded(site.lab.state / "company/slapd/pid")
    assert process in processes.marked(f"{processes.MARK}={site.lab.id}")  # what `lab down` ends
    assert up() == facts
    assert processes.recorded(site.lab.state / "company/slapd/pid") == process
    assert Path(facts["lookup_password_file"]).stat().st_mode & 0o777 == 0o600
    site.inside("machine", f"cat > /root/company.pem <<'END'\n{Path(facts['ca']).read_text()}END")
    greet = f"openssl s_client -connect {facts['address']}:636 -verify_return_error -verify_ip {facts['address']}"
    assert site.works("machine", f"{greet} -CAfile /root/company.pem < /dev/null")
    assert not site.works("machine", f"{greet} < /dev/null")


def metadata(site: Site, name: str, path: str, *, token: bool = True) -> tuple[str, str]:
    """Status and text of what the metadata service answers a host."""
    root, header = "http://169.254.169.254/latest", "X-aws-ec2-metadata-token"
    give = f"$(curl --silent --max-time 5 -X PUT -H '{header}-ttl-seconds: 60' {root}/api/token)" if token else ""
    ask = f"curl --silent --max-time 5 --write-out '\\n%{{http_code}}' -H \"{header}: {give}\" {root}/{path}"
    text, _, status = site.inside(name, ask).rpartition("\n")
    return status, text


def test_a_host_is_told_who_it_is_and_gets_credentials_of_its_role_only(site: Site) -> None:
    roles = "meta-data/iam/security-credentials/"
    assert metadata(site, "machine", "meta-data/instance-id", token=False)[0] == "401"
    for name in ("machine", "other"):
        assert metadata(site, name, "meta-data/instance-id") == ("200", site.ids[name])
        assert metadata(site, name, roles)[0] == "404"
    iam = site.cloud.iam
    trust = {
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    }
    iam.create_role(RoleName="of-machine", AssumeRolePolicyDocument=json.dumps(trust))
    iam.create_instance_profile(InstanceProfileName="machine")
    iam.add_role_to_instance_profile(InstanceProfileName="machine", RoleName="of-machine")
    profile = {"Name": "machine"}
    site.cloud.ec2.associate_iam_instance_profile(InstanceId=site.ids["machine"], IamInstanceProfile=profile)
    site.until(lambda: metadata(site, "machine", roles) == ("200", "of-machine"))
    found = json.loads(metadata(site, "machine", f"{roles}of-machine")[1])
    assert found["Code"] == "Success"
    assert found["Expiration"] > time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    assert metadata(site, "other", roles)[0] == "404", "of its own instance only"


def test_an_endpoint_answers_whom_its_group_lets_in_with_a_certificate_for_aws_clients(site: Site) -> None:
    ec2, name = site.cloud.ec2, "logs.eu-west-1.amazonaws.com"
    machine = ec2.describe_instances(InstanceIds=[site.ids["machine"]])["Reservations"][0]["Instances"][0]
    group = ec2.create_security_group(GroupName="endpoints", Description="endpoints", VpcId=machine["VpcId"])["GroupId"]
    made = ec2.create_vpc_endpoint(
        VpcId=machine["VpcId"], VpcEndpointType="Interface", ServiceName="com.amazonaws.eu-west-1.logs",
        SubnetIds=[machine["SubnetId"]], SecurityGroupIds=[group], PrivateDnsEnabled=True,
    )["VpcEndpoint"]["VpcEndpointId"]  # fmt: skip
    ask = f"curl --silent --show-error --max-time 4 --output /dev/null https://{name}/"
    bundle = f"CURL_CA_BUNDLE=$(systemctl show-environment | sed -n s/^AWS_CA_BUNDLE=//p) {ask}"
    try:
        for host in ("machine", "bastion", "other"):
            site.until(lambda host=host: site.works(host, f"getent hosts {name}"))
            assert not site.works(host, bundle), "closed until a rule opens it"
        rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
        rule["UserIdGroupPairs"] = [{"GroupId": site.groups["bastion"]}]
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        site.until(lambda: site.works("bastion", bundle))
        assert not site.works("other", bundle), "its group is not let in"
        refused = site.inside("bastion", f"{ask} 2>&1", check=False)
        assert "certificate" in refused, "the system's own store does not know the lab"
    finally:
        ec2.delete_vpc_endpoints(VpcEndpointIds=[made])
    site.until(lambda: not site.works("bastion", f"getent hosts {name}"))
    assert not site.works("bastion", bundle)


def test_parameters_hold_hashes_and_the_folder_holds_passwords(site: Site) -> None:
    passwords = json.loads(landing_zone.passwords_file(site.lab).read_text())
    secret = [
        landing_zone.passwords_file(site.lab),
        landing_zone.admin_key_file(site.lab),
        site.lab.state / "ca_key.pem",
    ]
    assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}
    assert site.lab.state.stat().st_mode & 0o777 == 0o700
    name = "/atelier/preprod/password_hashes/alice"
    hashed = site.cloud.ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    salt = hashed.split("$")[2]
    command = ["openssl", "passwd", "-6", "-salt", salt, "-stdin"]
    again = subprocess.run(command, input=passwords["alice"], capture_output=True, text=True, check=True)
    assert again.stdout.strip() == hashed


def test_up_again_takes_seconds_and_changes_nothing(site: Site) -> None:
    before = site.containers
    parameter = {"Name": "/atelier/lab/password_hashes/bob", "WithDecryption": True}
    version = site.cloud.ssm.get_parameter(**parameter)["Parameter"]["Version"]
    started = time.monotonic()
    site.command("up")
    assert time.monotonic() - started < 15
    assert site.containers == before
    assert site.cloud.ssm.get_parameter(**parameter)["Parameter"]["Version"] == version


def test_status_logs_and_env(site: Site) -> None:
    table = site.command("status").stdout
    assert table.split("\n")[0].split() == ["NAME", "INSTANCE", "STATE", "ADDRESS", "CONTAINER", "SINCE"]
    row = next(line for line in table.splitlines() if line.startswith("machine"))
    assert row.split()[1:5] == [site.ids["machine"], "running", "10.77.16.21", "running"]
    assert "ssh" in site.command("logs", "machine").stdout
    assert "mirror of lab" in site.command("logs").stdout
    assert (
        f"export AWS_ENDPOINT_URL='{launcher.status(site.lab.state / 'emulator').endpoint}'"
        in site.command("env").stdout
    )
    refused = site.command("logs", "nobody", check=False)
    assert refused.returncode == 1
    assert "no instance 'nobody'" in refused.stderr
    assert "bastion, machine, other, plain" in refused.stderr


@pytest.mark.parametrize("name", ["machine", "other"])
def test_a_data_volume_comes_back_with_its_host_and_goes_with_ec2(site: Site, name: str) -> None:
    ec2 = site.cloud.ec2
    volume = ec2.create_volume(Size=2, AvailabilityZone="eu-west-1a", VolumeType="gp3")["VolumeId"]
    device = f"/dev/disk/by-id/{by_id(volume)}"
    ec2.attach_volume(VolumeId=volume, InstanceId=site.ids[name], Device="/dev/sdf")
    site.until(lambda: site.works(name, f"test -b {device}"), 15)
    site.inside(name, f"mkfs.ext4 -q {device} && mkdir -p /srv/data")
    site.inside(name, f"echo '{device} /srv/data ext4 defaults,nofail 0 2' >> /etc/fstab && mount /srv/data")
    site.inside(name, "echo kept > /srv/data/file && echo kept > /root/file")

    ec2.stop_instances(InstanceIds=[site.ids[name]])
    site.until(lambda: not site.running(name))
    hosts = Hosts(site.lab)
    site.until(lambda: not hosts.volumes.loops(), 20)
    assert hosts.volumes.file(volume).stat().st_blocks * 512 < hosts.volumes.file(volume).stat().st_size  # sparse
    assert f"{name} " in site.command("status").stdout

    ec2.start_instances(InstanceIds=[site.ids[name]])
    site.until(lambda: site.works(name, "systemctl is-active --quiet srv-data.mount"), 30)
    assert site.inside(name, "cat /srv/data/file /root/file").split() == ["kept", "kept"]
    site.until(lambda: site.answers(name))

    site.inside(name, "umount /srv/data && sed -i /srv.data/d /etc/fstab")
    ec2.detach_volume(VolumeId=volume)
    site.until(lambda: not site.works(name, f"test -e {device}"), 15)
    site.until(lambda: not hosts.volumes.loops(), 15)
    assert hosts.volumes.file(volume).exists()
    ec2.delete_volume(VolumeId=volume)
    site.until(lambda: not hosts.volumes.file(volume).exists(), 20)


def test_a_browser_comes_in_on_a_port_that_stays(site: Site) -> None:
    port = json.loads((site.lab.state / "ports.json").read_text())["machine"]
    server = (
        "import http.server; http.server.HTTPServer(('', 443), http.server.SimpleHTTPRequestHandler).serve_forever()"
    )
    site.inside("machine", f'systemd-run --quiet --unit=probe python3 -c "{server}"')
    ask = ["curl", "--silent", "--noproxy", "*", "--max-time", "5", f"http://127.0.0.1:{port}/"]
    site.until(lambda: subprocess.run(ask, capture_output=True, check=False).returncode == 0, 15)
    assert "198.51.100.20" in site.inside("machine", "journalctl --unit probe --no-pager")
    site.inside("machine", "systemctl stop probe")


def kill(pid: int | None) -> None:
    assert pid
    os.kill(pid, signal.SIGKILL)


def test_a_killed_mirror_comes_back_and_the_hosts_do_not_notice(site: Site) -> None:
    before = site.containers
    old = processes.recorded(site.lab.state / "mirror.pid")
    kill(old)
    site.until(lambda: processes.recorded(site.lab.state / "mirror.pid") not in {None, old}, 15)
    site.until(lambda: site.answers("machine"), 15)
    assert site.containers == before


def test_a_killed_emulator_comes_back_with_its_state(site: Site) -> None:
    old = launcher.status(site.lab.state / "emulator")
    kill(old.pid)
    site.until(lambda: (new := launcher.status(site.lab.state / "emulator")) and new.pid != old.pid, 15)
    site.until(lambda: site.command("status", check=False).returncode == 0, 15)
    assert set(site.cloud.read().instances) >= set(site.ids.values())
    assert launcher.status(site.lab.state / "emulator").endpoint == old.endpoint


def test_a_container_killed_by_hand_comes_back_on_its_disk(site: Site) -> None:
    site.inside("machine", "echo mine > /root/by-hand && sync")
    before = site.containers[site.ids["machine"]]
    subprocess.run(["podman", "kill", before.name], check=True, capture_output=True)
    site.until(lambda: site.running("machine") and site.containers[site.ids["machine"]].pid != before.pid, 20)
    site.until(lambda: site.answers("machine"))
    assert site.inside("machine", "cat /root/by-hand") == "mine"


def test_up_after_everything_was_killed_without_warning(site: Site) -> None:
    site.inside("machine", "echo survived > /root/everything && sync")
    for path in ("supervisor.pid", "mirror.pid"):
        kill(processes.recorded(site.lab.state / path))
    kill(launcher.status(site.lab.state / "emulator").pid)
    for container in site.containers.values():
        monitor = subprocess.run(
            ["podman", "inspect", "--format", "{{.ConmonPidFile}}", container.name],
            capture_output=True,
            text=True,
            check=True,
        )
        for pid in (int(Path(monitor.stdout.strip()).read_text()), container.pid):
            with contextlib.suppress(ProcessLookupError):  # the kernel ends one with the other
                kill(pid)
    # What such a moment leaves behind: a namespace's entry without the namespace, which a process that is slow to end
    # keeps alive, and half-written files.
    router = Path("/run/netns", site.lab.namespace())
    with router.open():
        subprocess.run(["ip", "netns", "del", router.name], check=True)
        router.touch()
        (site.lab.state / "mirror.json").write_text('{"settled": tr')
        site.command("up")
    for name in site.ids:
        site.until(lambda name=name: site.running(name))
    site.until(lambda: site.answers("machine"))
    assert site.inside("machine", "cat /root/everything") == "survived"
    assert processes.recorded(site.lab.state / "supervisor.pid")


def connects(site: Site, name: str, address: str, port: int) -> bool:
    return site.works(name, f"timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{port}'")


def test_security_groups_say_who_reaches_whom(site: Site) -> None:
    """In one subnet, between subnets, from and to what is outside; the bastion may ssh, nobody else may anything."""
    address = {name: site.cloud.read().instances[identifier].address for name, identifier in site.ids.items()}
    assert connects(site, "bastion", address["other"], 22)
    assert not connects(site, "machine", address["other"], 22), "of one subnet"
    assert not connects(site, "machine", address["bastion"], 22)
    assert connects(site, "machine", network.CHANNEL_ADDRESS, 8080)


def test_a_rule_opens_and_its_removal_closes(site: Site) -> None:
    """Ingress and egress; what is connected stays so, as in AWS."""
    ec2, group = site.cloud.ec2, site.groups["inside"]
    other = site.cloud.read().instances[site.ids["other"]].address
    own = [{"IpProtocol": "tcp", "FromPort": 20, "ToPort": 30, "UserIdGroupPairs": [{"GroupId": group}]}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=own)
    site.until(lambda: connects(site, "machine", other, 22), 10)
    held = f"exec 3<>/dev/tcp/{other}/22; sleep 12; echo >&3; head -c 7 <&3"
    command = ["podman", "exec", site.lab.namespace(site.ids["machine"]), "bash", "-c", held]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        time.sleep(1)
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=own)
        site.until(lambda: not connects(site, "machine", other, 22), 10)
        assert process.communicate(timeout=30)[0] == "SSH-2.0"
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    assert connects(site, "machine", network.CHANNEL_ADDRESS, 8080)
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    try:
        site.until(lambda: not connects(site, "machine", network.CHANNEL_ADDRESS, 8080), 10)
        assert connects(site, "bastion", other, 22), "answers go out"
    finally:
        ec2.authorize_security_group_egress(GroupId=group, IpPermissions=everything)
    site.until(lambda: connects(site, "machine", network.CHANNEL_ADDRESS, 8080), 10)


def test_a_terminated_instance_leaves_nothing(site: Site) -> None:
    identifier = site.ids.pop("plain")
    site.cloud.ec2.terminate_instances(InstanceIds=[identifier])
    site.until(lambda: identifier not in site.containers, 20)
    site.until(lambda: not Path("/run/netns", site.lab.namespace(identifier)).exists(), 10)
    site.until(lambda: not Hosts(site.lab).folder(identifier).exists(), 10)


def test_two_checkouts_do_not_collide(site: Site, tmp_path: Path) -> None:
    """The same name, the same addresses, at the same time."""
    second = Site(Lab(NAME, copy_checkout(tmp_path / "second")))
    before = site.containers
    try:
        second.command("up")
        launch(second)
        second.until(lambda: second.running("machine"))
        second.until(lambda: second.answers("machine"), 60)
        assert second.public != site.public
        assert site.ssh("machine", "cat /etc/machine-id").stdout != second.ssh("machine", "cat /etc/machine-id").stdout
    finally:
        ended = second.command("down", check=False)
    assert ended.returncode == 0, ended.stderr
    assert site.containers == before
    assert site.answers("machine")


def test_a_missing_package_is_said_with_what_to_type(site: Site, tmp_path: Path) -> None:
    for tool in ("dirname", "sh", "env"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    refused = site.command("up", check=False, env={**os.environ, "PATH": str(tmp_path)})
    assert refused.returncode == 1
    assert "podman" in refused.stderr
    assert "make setup" in refused.stderr
    assert "Traceback" not in refused.stderr
