"""What the audit's modules document is what they take."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.action import audit_report as action
from ansible_collections.atelier.datalab.plugins.modules import (
    adopt,
    audit_evidence,
    audit_gather,
    audit_report,
    normalise,
)


class Caught(Exception):  # noqa: N818  carries the spec out
    """Raised in place of making the module."""


def spec_of(module: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    if module is audit_report:
        return action.ARGUMENTS
    caught: dict[str, Any] = {}

    def catch(*_: Any, argument_spec: dict[str, Any], **__: Any) -> None:
        caught.update(argument_spec)
        raise Caught

    name = "AnsibleAWSModule" if hasattr(module, "AnsibleAWSModule") else "AnsibleModule"
    monkeypatch.setattr(module, name, catch)
    with patch_module_args({}), pytest.raises(Caught):
        module.main()
    return caught


def plain(options: dict[str, Any], inner: str) -> dict[str, Any]:
    """Names, types, defaults; of suboptions too."""
    return {
        name: (
            option.get("type", "str"), option.get("elements"), option.get("default"), bool(option.get("required")),
            plain(option[inner], inner) if option.get(inner) else None,
        )
        for name, option in options.items()
    }  # fmt: skip


@pytest.mark.parametrize("module", [adopt, audit_evidence, audit_gather, audit_report, normalise])
def test_options(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert plain(documented, "suboptions") == plain(spec_of(module, monkeypatch), "options")


@pytest.mark.parametrize("module", [adopt, audit_evidence, audit_gather, audit_report, normalise])
def test_examples_and_returns_can_be_read(module: Any) -> None:
    assert yaml.safe_load(module.EXAMPLES)
    assert all("description" in one for one in yaml.safe_load(module.RETURN).values())
