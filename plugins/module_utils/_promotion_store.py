"""Where promotion's documents are kept, what signs them, and the checkout: folder, S3, Ed25519, KMS, git.

For internal use of this collection.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.atelier.datalab.plugins.module_utils import _aws, _stacks_template
from ansible_collections.atelier.datalab.plugins.module_utils._promotion import Key, PromotionError, artefact, sha256

KMS_ALGORITHM, ED25519 = "ECDSA_SHA_256", "Ed25519"


class Store(Protocol):
    """Documents by name; none is ever written over."""

    def names(self, prefix: str) -> list[str]:
        """Names that begin with the prefix, sorted."""

    def get(self, name: str) -> str:
        """The text; raises PromotionError when it was written over, deleted or is no text."""

    def put(self, name: str, text: str) -> None:
        """Write; raises PromotionError when the name is taken."""


def _taken(name: str, where: str) -> PromotionError:
    return PromotionError(f"{where}/{name} is there already and is never written over; take newer evidence")


class Folder:
    """A folder on the controller."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def names(self, prefix: str) -> list[str]:
        found = (self._folder / prefix).rglob("*.json")
        return sorted(str(path.relative_to(self._folder)) for path in found)

    def get(self, name: str) -> str:
        return _text((self._folder / name).read_bytes())

    def put(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                out.write(text)
            os.link(scratch, path)  # whole or not at all, and never over another
        except FileExistsError as error:
            raise _taken(name, str(self._folder)) from error
        finally:
            Path(scratch).unlink()


class Bucket:
    """A versioned bucket, with object lock where the data says so."""

    def __init__(self, s3: Any, bucket: str, lock: Mapping[str, Any] | None, now: datetime.datetime) -> None:
        self._s3, self._bucket, self._now, self._lock = s3, bucket, now, lock
        self._versions: dict[str, int] = {}

    def names(self, prefix: str) -> list[str]:
        # By version: one that was deleted or written over is still seen.
        pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=f"{prefix}/")
        found = Counter(
            one["Key"] for page in pages for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        )
        self._versions |= found
        return sorted(name for name in found if name.endswith(".json"))

    def get(self, name: str) -> str:
        if self._versions.get(name, 1) > 1:
            raise PromotionError("it was written over or deleted after it was stored; the bucket has every version")
        return _text(self._s3.get_object(Bucket=self._bucket, Key=name)["Body"].read())

    def put(self, name: str, text: str) -> None:
        lock = {}
        if self._lock:
            until = self._now + datetime.timedelta(days=self._lock["days"])
            lock = {"ObjectLockMode": self._lock["mode"], "ObjectLockRetainUntilDate": until}
        try:
            self._s3.put_object(
                Bucket=self._bucket, Key=name, Body=text.encode(), ContentType="application/json", IfNoneMatch="*",
                ChecksumAlgorithm="SHA256", **lock,
            )  # fmt: skip
        except _aws.AWS_ERRORS as error:
            if _aws.code(error) in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise _taken(name, f"s3://{self._bucket}") from error
            raise


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise PromotionError("it is no text") from error


def store(rung: Mapping[str, Any], client: Callable[..., Any], now: datetime.datetime) -> Store:
    """The store of a rung of the data. client: makes a boto3 client of a service."""
    if "folder" in rung["store"]:
        return Folder(rung["store"]["folder"])
    return Bucket(client("s3"), rung["store"]["bucket"], rung["store"].get("object_lock"), now)


def key(rung: Mapping[str, Any], client: Callable[..., Any], private_key: str | None = None) -> Key:
    """The key of a rung of the data; `private_key` (PEM) is needed to sign where it is no key of KMS."""
    if "kms_key" in rung["key"]:
        return _kms(client("kms"), rung["key"]["kms_key"])
    return _ed25519(rung["key"]["public_key"], private_key)


def _kms(kms: Any, name: str) -> Key:
    how = {"KeyId": name, "MessageType": "DIGEST", "SigningAlgorithm": KMS_ALGORITHM}

    def check(digest: bytes, signature: str) -> bool:
        try:
            signed = base64.b64decode(signature, validate=True)
            return bool(signed) and bool(kms.verify(**how, Message=digest, Signature=signed)["SignatureValid"])
        except ValueError:
            return False
        except _aws.AWS_ERRORS as error:
            if _aws.code(error) == "KMSInvalidSignatureException":
                return False
            raise

    def sign(digest: bytes) -> str:
        return base64.b64encode(kms.sign(**how, Message=digest)["Signature"]).decode()

    return Key(name, KMS_ALGORITHM, sign, check)


def _ed25519(public_key: str, private_key: str | None) -> Key:
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 Ansible imports modules to document them
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError as error:
        raise PromotionError(f"{error}. Install the controller's requirements: make setup") from error
    try:
        public = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
    except ValueError as error:
        raise PromotionError("key.public_key is not 32 bytes in base64; docs/howto/promote.md tells how to") from error

    def sign(digest: bytes) -> str:
        if not private_key:
            raise PromotionError("There is no private key to sign with; docs/howto/promote.md tells where it lies")
        private = None
        with contextlib.suppress(ValueError, TypeError):
            private = serialization.load_pem_private_key(private_key.encode(), password=None)
        if not isinstance(private, ed25519.Ed25519PrivateKey):
            raise PromotionError("The private key is no Ed25519 key in PEM without a password")
        if private.public_key() != public:
            raise PromotionError("The private key is not the one that belongs to key.public_key of the data")
        return base64.b64encode(private.sign(digest)).decode()

    def check(digest: bytes, signature: str) -> bool:
        try:
            public.verify(base64.b64decode(signature, validate=True), digest)
        except (InvalidSignature, ValueError):
            return False
        return True

    return Key(public_key, ED25519, sign, check)


# -- the checkout


def read_artefact(root: str, images: Mapping[str, str], locks: str | None) -> tuple[dict[str, Any], datetime.datetime]:
    """The artefact that a checkout is, and when its commit was made.

    Args:
        root: folder of the work tree.
        images: image id by key.
        locks: folder with a folder of locks per environment, where they are not beside the inventories.

    Raises:
        PromotionError: it is no checkout, or holds what is in no commit.
    """
    top = Path(_git(root, "rev-parse", "--show-toplevel").strip())
    if dirty := _git(str(top), "status", "--porcelain=v1", "--untracked-files=all").splitlines():
        raise PromotionError(
            "The checkout holds what is in no commit, so nobody could promote it again. Commit or remove:\n  "
            + "\n  ".join(line[3:] for line in dirty)
        )
    commit, _, made = _git(str(top), "show", "--no-patch", "--format=%H %ct", "HEAD").strip().partition(" ")
    base, pattern = (Path(locks), "*/*") if locks else (top / "inventories", "*/locks/*")
    found = {str(path.relative_to(base)): sha256(path.read_bytes()) for path in base.glob(pattern) if path.is_file()}
    templates = {
        str(path.relative_to(top)): _stacks_template.digest(_template(path))
        for path in top.glob("roles/*/files/*.cfn.yml")
    }
    moment = datetime.datetime.fromtimestamp(int(made), tz=datetime.UTC)
    return artefact(commit, images, found, templates), moment


def _template(path: Path) -> dict[str, Any]:
    try:
        return _stacks_template.parse(path.read_text(encoding="utf-8"))
    except _stacks_template.TemplateError as error:
        raise PromotionError(f"{path}: {error}") from error


def _git(root: str, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PromotionError(f"{root} is no usable checkout: {' '.join(done.stderr.split())}")
    return done.stdout
