"""The module's documentation says what its code takes; its result is made for people too."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.atelier.datalab.plugins.module_utils import _stacks_run
from ansible_collections.atelier.datalab.plugins.module_utils._stacks_api import StacksError, require_account
from ansible_collections.atelier.datalab.plugins.modules import approved_images, stacks


def test_documented_options_are_the_options() -> None:
    documented = yaml.safe_load(stacks.DOCUMENTATION)["options"]
    assert documented.keys() == stacks._SPEC.keys()
    assert documented["stacks"]["suboptions"].keys() == stacks._STACK.keys()
    for name, option in documented.items():
        for key in ("type", "default", "required", "elements"):
            assert option.get(key) == stacks._SPEC[name].get(key), (name, key)


@pytest.mark.parametrize("module", [stacks, approved_images])
def test_examples_and_return_are_yaml(module: object) -> None:
    (task,) = yaml.safe_load(module.EXAMPLES)  # type: ignore[attr-defined]
    assert any(key.startswith("atelier.datalab.") for key in task)
    assert all(entry["description"] for entry in yaml.safe_load(module.RETURN).values())  # type: ignore[attr-defined]


def outcome(name: str, action: str = "none", **more: object) -> _stacks_run.Outcome:
    return _stacks_run.Outcome(name, action, changed=action != "none", **more)  # type: ignore[arg-type]


def test_the_summary_counts_and_names() -> None:
    kept = {"ImageId": {"current": "ami-1", "offered": "ami-2"}}
    outcomes = [outcome("a", "create", changes=["x", "y"]), outcome("b", kept=kept), outcome("c", "update", fault="no")]
    assert _stacks_run.summary(outcomes, ["old"]) == [
        "3 stacks: 1 as wanted, 1 created, 1 failed",
        "a: create, 2 resources, 0.0 s",
        "b keeps ImageId ami-1; ami-2 is newer",
        "old: no longer in the data; left as it is",
    ]
    assert "1 to create" in _stacks_run.summary(outcomes, [], check=True)[0]


def test_every_fault_is_in_the_message_and_later_waves_are_counted() -> None:
    result = _stacks_run.result([outcome("a", fault="a: broke"), outcome("b", fault="b: broke")], [], 3)
    assert result["failed"] is True
    assert result["msg"] == "a: broke\nb: broke\n3 stacks of later waves were not begun."


def test_progress_goes_to_a_file(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "provision.log"
    _stacks_run.progress_log(str(log))("lab-a: creating")
    assert log.read_text().endswith(" lab-a: creating\n")
    _stacks_run.progress_log(None)("nowhere")


class Caller:
    """STS of account 111122223333."""

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": "111122223333", "Arn": "arn:aws:iam::111122223333:user/x"}


def test_another_account_is_refused() -> None:
    require_account(Caller(), "111122223333", "lab")
    with pytest.raises(StacksError, match=r"are of account 1{4}2{4}3{4} .* platform\.account of prod is 9{4}8{4}7{4}"):
        require_account(Caller(), "999988887777", "prod")
