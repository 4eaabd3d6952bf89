"""The modules `proof` and `promotion`: a real checkout, a folder with Ed25519, and S3 with KMS by moto."""

from __future__ import annotations

import copy
import datetime
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.doc_fragments.promotion import ModuleDocFragment
from ansible_collections.atelier.datalab.plugins.module_utils import (
    _aws,
    _promotion_judge,
    _promotion_run,
    _promotion_store,
)
from ansible_collections.atelier.datalab.plugins.modules import promotion, proof
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.promotion_world import MEMBERS, PAIRS, SHIPPED

REGION = "eu-west-1"
RECAP = "PLAY RECAP ***\nlocalhost : ok=3 changed=0 unreachable=0 failed=0 skipped=0\n"
ENDS = {"converge": "log", "idempotence": "log", "verify": "xml", "rules": "json"}
TEMPLATE = "Resources: {Topic: {Type: AWS::SNS::Topic}}\n"


def git(root: Path, *arguments: str) -> str:
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    done = subprocess.run(
        ["git", "-C", str(root), *who, *arguments], env=os.environ | alone, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield boto3.client


class World:
    """A checkout, its evidence, and a policy by which lab is offline and the rest is in AWS."""

    def __init__(self, folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys, self.root, self.monkeypatch = capsys, folder / "checkout", monkeypatch
        self.store = folder / "store"
        made: dict[str, Any] = {}  # a client takes a third of a second
        client = _aws.client
        monkeypatch.setattr(
            _aws, "client", lambda *where: made.get(where[1]) or made.setdefault(where[1], client(*where))
        )
        self.root.mkdir()
        self.write("roles/x/files/x.cfn.yml", TEMPLATE)
        self.write("inventories/lab/locks/hub.lock", "# spec\n")
        self.write(".gitignore", "/reports/\n")
        git(self.root, "init", "--quiet")
        self.commit()
        self.now = _promotion_run.now() + datetime.timedelta(minutes=1)
        monkeypatch.setattr(_promotion_run, "now", lambda: self.now)
        s3, kms = boto3.client("s3"), boto3.client("kms")
        s3.create_bucket(
            Bucket="records", ObjectLockEnabledForBucket=True,
            CreateBucketConfiguration={"LocationConstraint": REGION},
        )  # fmt: skip
        keys = [kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"] for _ in range(3)]
        self.policy = copy.deepcopy(SHIPPED)
        rungs = self.policy["rungs"]
        rungs["lab"] |= {"store": {"folder": str(self.store)}, "key": {"public_key": PAIRS["lab"][0]}}
        for name, arn in zip(("dev", "preprod", "prod"), keys, strict=True):
            bucket = {"bucket": "records", "object_lock": {"mode": "COMPLIANCE", "days": 30}}
            rungs[name] |= {"store": bucket, "key": {"kms_key": arn}}

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def commit(self) -> str:
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--allow-empty", "--message", "x")
        return git(self.root, "rev-parse", "HEAD")

    def run(self, module: Any, environment: str, **options: Any) -> dict[str, Any]:
        arguments = {
            "environment": environment, "policy": self.policy, "members": MEMBERS, "images": {"debian-12": "ami-1"},
            "checkout": str(self.root), "region": REGION, **options,
        }  # fmt: skip
        if "public_key" in self.policy["rungs"][environment]["key"]:
            arguments.setdefault("private_key", PAIRS["lab"][1])
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        out, err = self.capsys.readouterr()
        assert "PRIVATE" not in out + err
        return json.loads(out)

    def evidence(self, kind: str, environment: str) -> Path:
        taken = self.now.strftime("%Y-%m-%d %H:%M UTC")
        text = {
            "verify": '<testsuites><testsuite><testcase name="x"/></testsuite></testsuites>',
            "rules": json.dumps({"environment": environment, "day": "x", "taken": taken, "counts": {"refuse": 0}}),
            "restore_drill": json.dumps({
                "environment": environment, "taken": self.now.isoformat(), "machine": "m", "recovery_point": "r",
                "result": "restored",
            }),
        }.get(kind, RECAP)  # fmt: skip
        path = self.write(f"reports/{environment}-{kind}", text)
        os.utime(path, (self.now.timestamp(), self.now.timestamp()))
        return path

    def prove(self, kind: str, environment: str, **options: Any) -> dict[str, Any]:
        return self.run(proof, environment, proof=kind, evidence=str(self.evidence(kind, environment)), **options)

    def prove_all(self, environment: str, *without: str) -> None:
        for kind in self.policy["rungs"][environment]["proofs"]:
            if kind not in ("promotion", *without):
                assert self.prove(kind, environment)["ok"]

    def promote(self, environment: str, to: str, **options: Any) -> dict[str, Any]:
        return self.run(promotion, environment, to=to, destination="/nowhere", **options)

    def later(self, **how: float) -> None:
        self.now += datetime.timedelta(**how)


@pytest.fixture
def world(aws: Any, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, capsys, monkeypatch)


def states(result: dict[str, Any]) -> dict[str, str]:
    return {row["proof"]: row["state"] for row in result["report"]["rows"] if row["state"] != "ok"}


# -- up the ladder


def test_from_lab_to_prod_rung_by_rung(world: World) -> None:
    """Offline in lab, S3 and KMS above; twice is the same as once; check mode changes nothing."""
    for environment, to in (("lab", "dev"), ("dev", "preprod"), ("preprod", "prod")):
        refused = world.promote(environment, to)["report"]
        demanded = world.policy["rungs"][environment]["proofs"]
        assert {row["proof"]: row["state"] for row in refused["rows"]} == dict.fromkeys(demanded, "missing") | (
            {"promotion": "ok"} if environment == "preprod" else {}
        )
        message = _promotion_judge.refusal(refused)
        assert all(f"-e proof={kind}" in message for kind in demanded if kind != "promotion")
        for kind in demanded:
            if kind != "promotion":
                if kind == "rules":
                    assert world.prove(kind, environment, _ansible_check_mode=True)["changed"]
                    assert states(world.promote(environment, to))["rules"] == "missing"
                assert world.prove(kind, environment)["changed"]
                assert not world.prove(kind, environment)["changed"]
        planned = world.promote(environment, to, _ansible_check_mode=True)
        assert (planned["changed"], planned["report"]["verdict"]) == (True, "would be promoted")
        done = world.promote(environment, to)
        assert (done["changed"], done["report"]["verdict"]) == (True, "promoted")
        assert done["report"]["record"] == planned["report"]["record"]
        world.later(seconds=30)
        again = world.promote(environment, to)
        assert (again["changed"], again["report"]["verdict"]) == (False, "promoted already")
    assert [line.split()[0:2] for line in _promotion_judge.table(again["report"])[1:3]] == [
        ["promotion", "ok"], ["converge", "ok"],
    ]  # fmt: skip


def test_without_the_record_below_prod_is_out_of_reach(world: World) -> None:
    world.prove_all("preprod")
    assert states(world.promote("preprod", "prod")) == {"promotion": "missing"}


@pytest.mark.parametrize(("environment", "to"), [("lab", "prod"), ("lab", "preprod"), ("prod", "dev"), ("dev", "dev")])
def test_no_rung_is_left_out(world: World, environment: str, to: str) -> None:
    refused = world.promote(environment, to)
    assert refused["failed"]
    assert f"{to} is reached from" in refused["msg"]


# -- the checkout


def test_a_dirty_checkout_is_refused_with_its_files(world: World) -> None:
    world.write("new.txt", "x")
    world.write("roles/x/files/x.cfn.yml", f"{TEMPLATE}# more\n")
    for refused in (world.promote("lab", "dev"), world.prove("converge", "lab")):
        assert refused["failed"]
        assert "new.txt" in refused["msg"]
        assert "roles/x/files/x.cfn.yml" in refused["msg"]


def test_proofs_of_another_commit_image_or_lock_do_not_count(world: World) -> None:
    world.prove_all("lab")
    for options in ({"images": {"debian-12": "ami-2"}}, {"locks": str(world.root / "none")}):
        assert set(states(world.promote("lab", "dev", **options)).values()) == {"wrong_artefact"}
    world.commit()
    assert set(states(world.promote("lab", "dev")).values()) == {"wrong_artefact"}


def test_the_artefact_says_what_it_is_of(world: World) -> None:
    first = world.prove("converge", "lab")["artefact"]
    assert (first["commit"], list(first["locks"]), list(first["templates"])) == (
        git(world.root, "rev-parse", "HEAD"), ["lab/locks/hub.lock"], ["roles/x/files/x.cfn.yml"],
    )  # fmt: skip
    world.write("roles/x/files/x.cfn.yml", f"# a comment\n{TEMPLATE}")
    world.commit()
    second = world.prove("converge", "lab")["artefact"]
    assert second["templates"] == first["templates"]
    assert second["digest"] != first["digest"]


def test_evidence_from_before_the_commit_is_none(world: World) -> None:
    path = world.evidence("converge", "lab")
    os.utime(path, (0, 0))
    refused = world.run(proof, "lab", proof="converge", evidence=str(path))
    assert "older than the commit" in refused["msg"]
    os.utime(path, (world.now.timestamp() + 3600,) * 2)
    assert "which is not yet" in world.run(proof, "lab", proof="converge", evidence=str(path))["msg"]


def test_what_is_no_checkout_or_no_evidence(world: World, tmp_path: Path) -> None:
    assert "no usable checkout" in world.promote("lab", "dev", checkout=str(tmp_path))["msg"]
    assert "No such file" in world.run(proof, "lab", proof="rules", evidence=str(tmp_path / "none"))["msg"]
    world.policy["rungs"].pop("dev")
    assert "promotion.rungs.dev: is missing" in world.promote("lab", "dev")["msg"]


def test_bad_evidence_is_recorded_and_refuses(world: World) -> None:
    world.prove_all("lab")
    world.later(minutes=1)
    path = world.write("reports/x", RECAP.replace("changed=0", "changed=1"))
    os.utime(path, (world.now.timestamp(),) * 2)
    done = world.run(proof, "lab", proof="idempotence", evidence=str(path))
    assert (done["changed"], done["ok"], done["detail"]) == (True, False, "changed: localhost 1")
    assert states(world.promote("lab", "dev")) == {"idempotence": "failed"}


# -- keys and stores


def test_a_key_that_is_not_the_environments(world: World) -> None:
    assert "not the one that belongs" in world.prove("converge", "lab", private_key=PAIRS["dev"][1])["msg"]
    world.prove_all("lab")
    world.policy["rungs"]["lab"]["key"]["public_key"] = PAIRS["dev"][0]
    assert set(states(world.promote("lab", "dev")).values()) == {"tampered"}


def test_a_folder_is_never_written_over(world: World) -> None:
    name = world.prove("converge", "lab")["name"]
    file = world.store / name
    assert [one.name for one in file.parent.iterdir()] == [file.name], "no scratch file is left"
    path = world.write("reports/lab-converge", f"{RECAP}\n")
    os.utime(path, (world.now.timestamp(),) * 2)
    before = file.read_text()
    assert "take newer evidence" in world.run(proof, "lab", proof="converge", evidence=str(path))["msg"]
    with pytest.raises(_promotion_run.ERRORS, match="never written over"):
        _promotion_store.Folder(str(world.store)).put(name, "x")
    assert file.read_text() == before
    file.write_text(before[:-9])
    assert states(world.promote("lab", "dev"))["converge"] == "tampered"


def test_the_bucket_keeps_and_tells(world: World) -> None:
    s3 = boto3.client("s3")
    name = world.prove("converge", "dev")["name"]
    head = s3.head_object(Bucket="records", Key=name)
    assert head["ObjectLockMode"] == "COMPLIANCE"
    left = head["ObjectLockRetainUntilDate"] - world.now
    assert abs(left - datetime.timedelta(days=30)) < datetime.timedelta(seconds=1)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket="records", Key=name, VersionId=head["VersionId"])
    ledger = _promotion_run.ledgers(_Module(world), world.now)("dev")
    document, _ = ledger.open(name)
    with pytest.raises(_promotion_run.ERRORS, match="never written over"):
        ledger.write(document)
    text = s3.get_object(Bucket="records", Key=name)["Body"].read()
    world.prove_all("dev", "converge")
    assert not states(world.promote("dev", "preprod", _ansible_check_mode=True))
    s3.put_object(Bucket="records", Key=name, Body=text)
    row = world.promote("dev", "preprod")["report"]["rows"][0]
    assert (row["proof"], row["state"]) == ("converge", "tampered")
    assert "written over or deleted" in row["why"]
    other = next(row["name"] for row in world.promote("dev", "preprod")["report"]["rows"] if row["proof"] == "verify")
    s3.delete_object(Bucket="records", Key=other)
    assert states(world.promote("dev", "preprod")) == {"converge": "tampered", "verify": "tampered"}


class _Module:
    """As the code under test sees an AnsibleAWSModule."""

    def __init__(self, world: World) -> None:
        self.params = {"policy": world.policy, "members": MEMBERS, "environment": "dev", "private_key": None}

    def client(self, service: str, **_: Any) -> Any:
        return boto3.client(service)


def test_kms_tells_another_key_and_a_changed_text(world: World) -> None:
    world.prove_all("dev")
    rungs, s3 = world.policy["rungs"], boto3.client("s3")
    own = rungs["dev"]["key"]
    rungs["dev"]["key"] = rungs["prod"]["key"]
    assert set(states(world.promote("dev", "preprod")).values()) == {"tampered"}
    rungs["dev"]["key"] = own
    name = next(row["name"] for row in world.promote("dev", "preprod", _ansible_check_mode=True)["report"]["rows"])
    text = s3.get_object(Bucket="records", Key=name)["Body"].read().decode()
    s3.put_object(Bucket="records", Key=name.replace("Z.json", "Z0.json"), Body=text.replace("hosts", "Hosts").encode())
    rows = world.promote("dev", "preprod")["report"]["rows"]
    assert [row["why"].rpartition(": ")[2] for row in rows if row["state"] == "tampered"] == [
        "it was changed after it was signed"
    ]


def test_aws_that_says_no_is_one_sentence(world: World) -> None:
    world.policy["rungs"]["dev"]["store"] = {"bucket": "elsewhere"}
    refused = world.promote("dev", "preprod")
    assert refused["msg"].startswith("Proofs and records cannot be read or stored: ListObjectVersions: NoSuchBucket")


# -- emergencies

EMERGENCY = {"names": ["alice", "dave"], "reason": "Logins fail", "ticket": "OPS-7", "hours": 24}


def test_an_emergency_and_its_end(world: World) -> None:
    world.prove_all("lab", "verify")
    same = world.promote("lab", "dev", emergency=EMERGENCY | {"names": ["dave", "dave"]})
    assert same["failed"]
    assert "names: write two, of two people" in same["msg"]
    done = world.promote("lab", "dev", emergency=EMERGENCY)
    assert done["changed"]
    assert done["report"]["verdict"].startswith("promoted as an emergency until ")
    assert [one["proof"] for one in done["report"]["emergency"]["without"]] == ["verify"]
    world.later(hours=1)
    again = world.promote("lab", "dev", emergency=EMERGENCY)
    assert not again["changed"]
    assert states(again) == {"verify": "missing", "emergency": "emergency"}
    # Another artefact, wholly proved, goes up meanwhile; after the end nothing does.
    first = git(world.root, "rev-parse", "HEAD")
    git(world.root, "branch", "first")
    world.commit()
    world.prove_all("lab")
    assert world.promote("lab", "dev", _ansible_check_mode=True)["report"]["verdict"] == "would be promoted"
    world.later(hours=24)
    for options in ({}, {"emergency": EMERGENCY | {"ticket": "OPS-8"}}):
        refused = world.promote("lab", "dev", **options)
        assert not refused["changed"]
        assert refused["report"]["refused"]
        assert states(refused) == {"emergency": "overdue"}
        assert f"git checkout {first[:12]}" in _promotion_judge.refusal(refused["report"])
    git(world.root, "checkout", "--quiet", "first")
    assert world.prove("verify", "lab")["changed"]
    git(world.root, "checkout", "--quiet", "-")
    assert world.promote("lab", "dev")["report"]["verdict"] == "promoted"


def test_with_every_proof_there_is_no_emergency(world: World) -> None:
    world.prove_all("lab")
    done = world.promote("lab", "dev", emergency=EMERGENCY)["report"]
    assert (done["verdict"], done["emergency"]) == ("promoted", None)


# -- documentation


@pytest.mark.parametrize("module", [proof, promotion])
def test_the_documentation_says_what_the_code_takes(module: Any) -> None:
    told = yaml.safe_load(module.DOCUMENTATION)["options"] | yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    compare(told, module.ARGUMENTS)


def compare(told: dict[str, Any], taken: dict[str, Any]) -> None:
    assert set(told) == set(taken)
    for name, option in taken.items():
        for part in ("type", "required", "default", "choices", "elements"):
            assert told[name].get(part) == option.get(part), f"{name}: {part}"
        if "options" in option:
            compare(told[name]["suboptions"], option["options"])
