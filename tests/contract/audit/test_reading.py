"""How the account is read: which calls, page by page, through throttling, past what refuses."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.module_utils import _audit_api, _aws
from ansible_collections.atelier.datalab.plugins.module_utils._audit_store import Store
from ansible_collections.atelier.datalab.plugins.modules import audit_gather
from botocore.config import Config

from tests.audit import seed, wire

# Operation -> IAM action where they are not called alike; the Service Authorization Reference has them.
ACTIONS = {"s3:ListBuckets": "s3:ListAllMyBuckets"}
# No permission is needed for it.
FREE = {"sts:GetCallerIdentity"}
# DescribeDBInstances gives tags only to who may list them.
BESIDE = {"rds:ListTagsForResource"}


def gather(
    capsys: pytest.CaptureFixture[str], folder: Path, *accounts: dict[str, Any], **options: Any
) -> dict[str, Any]:
    arguments = {"accounts": list(accounts), "folder": str(folder), "region": seed.REGION, **options}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        audit_gather.main()
    return json.loads(capsys.readouterr().out)


ONE = {"account": seed.ACCOUNT, "environment": "prod", "regions": [seed.REGION]}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Every call to AWS, as service:Operation."""
    counter: Counter[str] = Counter()
    made = _aws.client

    def counting(module: Any, service: str, **where: Any) -> Any:
        client = made(module, service, **where)

        def count(model: Any, **_: Any) -> None:
            counter.update([f"{model.service_model.endpoint_prefix.replace('monitoring', 'cloudwatch')}:{model.name}"])

        client.meta.events.register("before-call.*", count)
        return client

    monkeypatch.setattr(_aws, "client", counting)
    return counter


def test_the_policy_allows_what_is_called_and_nothing_more(
    account: seed.Account,
    cloud: dict[str, str],
    calls: Counter[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    found = gather(capsys, tmp_path / "data", ONE)
    assert found["gaps"] == []
    statements = json.loads((seed.ROOT / "playbooks/files/audit-policy.json").read_text())["Statement"]
    allowed = {action for statement in statements for action in statement["Action"]}
    assert {ACTIONS.get(call, call) for call in calls} - FREE == allowed - BESIDE


def test_the_policy_only_reads() -> None:
    statements = json.loads((seed.ROOT / "playbooks/files/audit-policy.json").read_text())["Statement"]
    verbs = {action.split(":")[1] for statement in statements for action in statement["Action"]}
    assert all(verb.startswith(("Describe", "List", "Get", "Lookup")) for verb in verbs)


def test_another_account_than_the_credentials_is_a_gap_and_the_rest_goes_on(
    account: seed.Account, cloud: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = {"account": "999999999999", "environment": "dev", "regions": [seed.REGION]}
    found = gather(capsys, tmp_path / "data", other, ONE)
    assert [(gap["account"], gap["kind"]) for gap in found["gaps"]] == [("999999999999", "all")]
    assert "these credentials are of account 123456789012" in found["gaps"][0]["reason"]
    assert found["counts"]["instance"] == 100


def test_a_role_is_assumed_in_its_own_account(
    account: seed.Account,
    cloud: dict[str, str],
    calls: Counter[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    role = ONE | {"role_arn": f"arn:aws:iam::{seed.ACCOUNT}:role/datalab-audit", "external_id": "audit-1"}
    found = gather(capsys, tmp_path / "data", role, cloudtrail=False)
    assert calls["sts:AssumeRole"] == 1
    assert "cloudtrail:LookupEvents" not in calls
    assert found["counts"]["instance"] == 100


class Fake:
    """A gatherer over the wire."""

    def __init__(self, folder: Path, *over: wire.Wire, **config: Any) -> None:
        regions = ("eu-west-1", "eu-west-3")[: len(over)]
        self.store = Store(folder)
        self.store.begin()
        self.gatherer = _audit_api.Gatherer(self.store)
        session = boto3.Session("testing", "testing", region_name="eu-west-1")
        settings = Config(**(config or {"retries": {"max_attempts": 1}}))
        made: dict[tuple[str, str], Any] = {}

        def client(service: str, region: str) -> Any:
            if (service, region) not in made:
                new = session.client(service, config=settings, endpoint_url=f"http://{service}.test")
                made[(service, region)] = over[regions.index(region)].hook(new)
            return made[(service, region)]

        self.gatherer.account(_audit_api.Scope(wire.ACCOUNT, "prod", regions), client)
        self.store.close()


def test_pages_are_small_and_all_are_read(tmp_path: Path) -> None:
    over = wire.Wire(450)
    fake = Fake(tmp_path, over)
    assert over.asked["DescribeInstances"] == 3
    assert fake.store.counts["instance"] == 450
    assert len({one["id"] for one in fake.store.read("instance")}) == 450


def test_throttling_is_waited_out(tmp_path: Path) -> None:
    over = wire.Wire(10, throttled="DescribeInstances")
    fake = Fake(tmp_path, over, retries={"mode": "adaptive", "max_attempts": 10})
    assert fake.store.counts["instance"] == 10
    assert over.asked["DescribeInstances"] == 3
    assert fake.gatherer.gaps == []


def test_what_refuses_is_a_gap_and_nothing_else_is_lost(tmp_path: Path) -> None:
    over = wire.Wire(10, refused=frozenset({"DescribeVolumes", "DescribeStacks", "cloudtrail"}))
    fake = Fake(tmp_path, over)
    assert {(gap["region"], gap["kind"]) for gap in fake.gatherer.gaps} == {
        ("eu-west-1", "volume"), ("eu-west-1", "stack"), ("eu-west-1", "creation"),
    }  # fmt: skip
    reasons = {gap["kind"]: gap["reason"] for gap in fake.gatherer.gaps}
    assert reasons["volume"] == "DescribeVolumes: UnauthorizedOperation: no"
    assert reasons["creation"].startswith("CloudTrail not available: LookupEvents")
    assert fake.store.counts["instance"] == 10


def test_a_region_that_refuses_everything_takes_nothing_from_the_others(tmp_path: Path) -> None:
    closed = frozenset(
        {
            "DescribeInstances", "DescribeVolumes", "DescribeSnapshots", "DescribeAddresses", "DescribeNatGateways",
            "DescribeNetworkInterfaces", "DescribeSecurityGroups", "DescribeSubnets", "DescribeDBInstances",
            "DescribeStacks", "cloudtrail",
        }
    )  # fmt: skip
    fake = Fake(tmp_path, wire.Wire(10), wire.Wire(10, refused=closed))
    assert {gap["region"] for gap in fake.gatherer.gaps} == {"eu-west-3"}
    assert len(fake.gatherer.gaps) == len(closed), "one gap for each refusal"
    assert {one["region"] for one in fake.store.read("instance")} == {"eu-west-1"}
    assert fake.store.counts["instance"] == 10


@pytest.mark.slow
def test_a_page_takes_the_same_memory_wherever_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = wire.page_memory(monkeypatch)
    tracemalloc.start()
    Fake(tmp_path, wire.Wire(2400))
    tracemalloc.stop()
    assert len(held) == 12
    # After the first pages, in which things are loaded once: nothing of a page stays when the next one is read.
    growth = held[-1] - held[2]
    assert growth < 50_000, held
