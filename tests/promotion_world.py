"""Keys, documents and a policy for the tests of the promotion."""

from __future__ import annotations

import base64
import datetime
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.atelier.datalab.plugins.module_utils import _promotion, _promotion_store
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime.datetime(2027, 1, 15, 12, tzinfo=datetime.UTC)
MEMBERS = ["alice", "bob", "carol", "dave"]
SHIPPED = yaml.safe_load((ROOT / "inventories/shared/promotion.yml").read_text(encoding="utf-8"))["promotion"]
THIS = _promotion.artefact("a" * 40, {"debian-12": "ami-1"}, {"lab/hub.lock": "b" * 64}, {"x.cfn.yml": "c" * 64})
OTHER = _promotion.artefact("d" * 40, {"debian-12": "ami-1"}, {"lab/hub.lock": "b" * 64}, {"x.cfn.yml": "c" * 64})
EVERY = [(rung, proof) for rung in ("lab", "dev", "preprod") for proof in SHIPPED["rungs"][rung]["proofs"]]


def pair() -> tuple[str, str]:
    """Public key in base64, private key in PEM."""
    private = ed25519.Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return base64.b64encode(private.public_key().public_bytes_raw()).decode(), pem.decode()


def key(public: str, private: str | None) -> _promotion.Key:
    return _promotion_store.key({"key": {"public_key": public}}, lambda _service: None, private)


PAIRS = {name: pair() for name in ("lab", "dev", "preprod", "prod")}
KEYS = {name: key(*one) for name, one in PAIRS.items()}


def proof(kind: str, environment: str, days: float = 0.5, artefact: dict[str, Any] | None = None, **more: Any) -> dict:
    """A proof; for `promotion`, the record by which the artefact came to the environment."""
    document = {
        "kind": kind, "environment": environment, "artefact": artefact or THIS,
        "taken": (NOW - datetime.timedelta(days=days)).isoformat(),
    }  # fmt: skip
    if kind == "promotion":
        return {
            **document, "environment": _promotion.below(environment), "to": environment, "proofs": [],
            "emergency": None, **more,
        }  # fmt: skip
    return {**document, "ok": True, "detail": "fine", "evidence": "e" * 64, **more}


class Memory:
    """A store."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self.texts if name.startswith(f"{prefix}/"))

    def get(self, name: str) -> str:
        return self.texts[name]

    def put(self, name: str, text: str) -> None:
        assert name not in self.texts
        self.texts[name] = text
