"""One value at a time: what AWS, OpenSSH and the package engine take, and what they do not."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.atelier.datalab.plugins.module_utils import _model_fields as fields
from ansible_collections.atelier.datalab.plugins.module_utils._model_cron import cron_problem
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from rattler import MatchSpec

settings.register_profile("steady", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("steady")


@settings(max_examples=50)
@given(st.from_regex(fields.PACKAGE, fullmatch=True))
def test_what_passes_as_a_package_the_engine_can_read(text: str) -> None:
    MatchSpec(text, strict=True)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("numpy", True),
        ("python=3.12", True),
        ("pandas >=2.2, <3", True),
        ("conda-forge::numpy", True),
        ("numpy 1.26.*", True),
        ("blas * openblas", True),
        ("_openmp_mutex", True),
        ("foo!=1.2.*|>3", True),
        ("numpy=1.26.*", False),  # the engine does not guess which of two things is meant
        ("NumPy", False),
        ("numpy and pandas", False),
        ("numpy>", False),
        ("-e .", False),
        ("", False),
    ],
)
def test_packages(text: str, fits: bool) -> None:
    assert bool(fields.PACKAGE.fullmatch(text)) == fits


def public(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    openssh = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return key.public_key().public_bytes(*openssh).decode()


ED25519 = public(ed25519.Ed25519PrivateKey.generate())


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (ED25519, None),
        (f"{ED25519} somebody at work", None),
        (public(ec.generate_private_key(ec.SECP256R1())), None),
        (public(rsa.generate_private_key(65537, 3072)), None),
        (public(rsa.generate_private_key(65537, 2048)), "2048 bits"),
        (ED25519[:-8], "cut off"),
        (ED25519.replace("ssh-ed25519", "ssh-rsa"), "another type"),
        (f'command="sh" {ED25519}', "cut off"),
        ("ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519").decode(), "cut off"),
        ("ssh-new " + base64.b64encode(b"\0\0\0\x07ssh-new").decode(), "unknown type"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
    ],
    # The keys are new in each process; workers must agree on the names of the tests.
    ids=[*(f"good-{kind}" for kind in ("plain", "comment", "ecdsa", "rsa")), *(f"bad-{n}" for n in range(7))],
)
def test_ssh_keys(key: str, problem: str | None) -> None:
    found = fields.ssh_key_problem(key)
    assert found is None if problem is None else problem in found[0]


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda blob: f"ssh-rsa {base64.b64encode(blob).decode()}"))
def test_no_text_is_taken_for_a_key_nor_breaks_the_check(text: str) -> None:
    assert fields.ssh_key_problem(text) is not None


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ("cron(0 2 * * ? *)", True),
        ("cron(0/15 8-18 ? * MON-FRI *)", True),
        ("cron(0 0 L * ? 2027-2030)", True),
        ("cron(0 0 ? JAN,jul 2#1 *)", True),
        ("cron(0 0 15W * ? *)", True),
        ("cron(0 2 * * * *)", False),  # one of the two days must be ?
        ("cron(0 2 ? * ? *)", False),
        ("cron(60 2 * * ? *)", False),
        ("cron(0 2 0 * ? *)", False),
        ("cron(0 2 * * ?)", False),
        ("cron(0/0 2 * * ? *)", False),
        ("cron(1-2-3 2 * * ? *)", False),
        ("0 2 * * *", False),
        ("rate(1 day)", False),
    ],
)
def test_cron(expression: str, fits: bool) -> None:
    assert (cron_problem(expression) is None) == fits


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        (fields.InstanceType, "m6i.large", True),
        (fields.InstanceType, "u-6tb1.112xlarge", True),
        (fields.InstanceType, "g5.metal", True),
        (fields.InstanceType, "large", False),
        (fields.InstanceType, "m6i.huge", False),
        (fields.Domain, "localhost", True),
        (fields.Domain, "lab.datalab.example.com", True),
        (fields.Domain, "-lab.example.com", False),
        (fields.Domain, "lab..com", False),
        (fields.Login, "a" * 31, True),
        (fields.Login, "a" * 32, False),
        (fields.ProjectName, "p" * 24, True),
        (fields.ProjectName, "p" * 25, False),
        (fields.ProjectName, "a--b", False),
        (fields.Requirement, "polars", True),
        (fields.Requirement, "polars[pandas]>=1.0,<2; python_version >= '3.12'", True),
        (fields.Requirement, "--index-url=x", False),
        (fields.Requirement, "polars @ https://example.com/polars.whl", False),
        (fields.Requirement, "./polars", False),
        (fields.Module, "sklearn.svm", True),
        (fields.Module, "sklearn; import os", False),
        (fields.Module, "scikit-learn", False),
        (fields.Variable, "SPARK_REMOTE", True),
        (fields.Variable, "PATH", False),
        (fields.Variable, "PATH_TO_DATA", True),
        (fields.Variable, "LD_PRELOAD", False),
        (fields.Variable, "PYTHONPATH", False),
        (fields.Variable, "lower", False),
        (fields.Region, "eu-west-1", True),
        (fields.Region, "us-gov-west-1", True),
        (fields.Region, "eu-west-1a", False),
        (fields.Network, "10.0.0.0/8", True),
        (fields.Network, "10.0.0.0", False),
        (fields.Network, "10.0.0.0/255.0.0.0", False),
        (fields.Network, "::/0", False),
        (fields.Timezone, "UTC", True),
        (fields.Timezone, "../UTC", False),
        (fields.Timezone, "Europe", False),
        (fields.Clock, "24:00", True),
        (fields.Clock, "24:01", False),
        (fields.Clock, "9:00", False),
    ],
)
def test_shapes(kind: object, value: str, fits: bool) -> None:
    if fits:
        assert TypeAdapter(kind).validate_python(value) == value
    else:
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python(value)
