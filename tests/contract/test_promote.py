"""The playbooks of the promotion, as a person types them: refused, proved, promoted, nothing more to do."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lab import images, landing_zone  # noqa: E402
from tests.emulator import REGION, emulator, playbook  # noqa: E402
from tests.promotion_world import PAIRS  # noqa: E402

pytestmark = pytest.mark.slow
PROOFS = ("converge", "idempotence", "verify", "rules")
Play = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work tree with the inventories and templates of this one, where lab is signed for with a key of this test."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("inventories", "roles"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True)
    file = folder / "inventories/shared/promotion.yml"
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    data["promotion"]["rungs"]["lab"]["key"] = {"public_key": PAIRS["lab"][0]}
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    (folder / ".gitignore").write_text("/reports/\n/.state/\n", encoding="utf-8")
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for step in (["init", "-q"], ["add", "--all"], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", folder, *step], check=True)
    return folder


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Iterator[Play]:
    state = tmp_path_factory.mktemp("emulator")
    with emulator(state, "127.201.15.0/24", landing_zone.image_list()) as endpoint:
        boto3.Session("testing", "testing", region_name=REGION).client("ssm", endpoint_url=endpoint).put_parameter(
            Name="/atelier/lab/promotion/private_key", Value=PAIRS["lab"][1], Type="SecureString"
        )

        def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
            place = checkout / "inventories/lab/hosts.yml"
            done = playbook(endpoint, name, place, "-e", f"promotion_checkout={checkout}", "-vvv", *arguments)
            said = done.stdout + done.stderr
            assert "Traceback" not in said
            assert PAIRS["lab"][1].splitlines()[1] not in said, "the private key is in the output"
            return done

        yield run


def evidence(checkout: Path) -> None:
    recap = "PLAY RECAP ***\nlocalhost : ok=3 changed=0 unreachable=0 failed=0 skipped=0\n"
    taken = datetime.datetime.now(tz=datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    rules = {"environment": "lab", "day": taken[:10], "taken": taken, "counts": {"refuse": 0}}
    texts = {
        "proofs/lab/converge.log": recap, "proofs/lab/idempotence.log": recap,
        "proofs/lab/verify.xml": '<testsuites><testsuite><testcase name="x"/></testsuite></testsuites>',
        "rules/lab.json": json.dumps(rules),
    }  # fmt: skip
    for name, text in texts.items():
        path = checkout / "reports" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def changes(done: subprocess.CompletedProcess[str]) -> int:
    found = re.search(r"changed=(\d+)", done.stdout.rpartition("PLAY RECAP")[2])
    assert done.returncode == 0
    assert found
    return int(found[1])


def test_refused_proved_promoted_nothing_more_to_do(play: Play, checkout: Path) -> None:
    refused = play("promote", "-e", "promotion_to=dev")
    assert refused.returncode
    for kind in PROOFS:
        assert f"{kind} (missing): there is none. To do: " in refused.stdout + refused.stderr
    file = checkout / "reports/promotion/lab-dev.json"
    assert json.loads(file.read_text(encoding="utf-8"))["verdict"] == "refused"
    evidence(checkout)
    for kind in PROOFS:
        assert changes(play("proof", "-e", f"proof={kind}")) == 1
    assert changes(play("proof", "-e", "proof=rules")) == 0
    assert changes(play("promote", "-e", "promotion_to=dev")) == 1
    again = play("promote", "-e", "promotion_to=dev")
    assert changes(again) == 0
    assert re.search(r"^proof +state +age +why +what to do$", again.stdout, re.MULTILINE)
    made: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    assert made["verdict"] == "promoted already"
    assert made["artefact"]["images"] == {name: images.ami_id(name) for name in ("debian-12", "debian-13")}
    far = play("promote", "-e", "promotion_to=prod")
    assert "prod is reached from preprod only" in far.stdout + far.stderr
