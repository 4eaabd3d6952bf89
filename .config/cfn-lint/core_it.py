"""Core IT's absolute rules for cfn-lint, which loads this folder (append_rules in .cfnlintrc).

The checks are in `plugins/module_utils/_rules_template.py`; here each becomes a rule of cfn-lint.
"""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader
from cfnlint.rules import CloudFormationLintRule, RuleMatch
from cfnlint.template import Template

init_plugin_loader([str(Path(__file__).resolve().parents[2] / "collections")])

from ansible_collections.atelier.datalab.plugins.module_utils import _rules_template, _stacks_template  # noqa: E402


def _match(self: CloudFormationLintRule, cfn: Template) -> list[RuleMatch]:
    """Every place where the template breaks the rule."""
    _, find, remedy = _rules_template.CHECKS[self.rule]
    problems = find(_stacks_template.parse(dict(cfn.template)), str(cfn.filename or ""))
    return [RuleMatch(list(path), f"{problem} (core IT's rule {self.rule}); {remedy}") for path, problem in problems]


# cfn-lint takes every class of this module that descends from its own; so no base class of ours stands beside them.
globals().update(
    {
        number: type(
            number,
            (CloudFormationLintRule,),
            {
                "id": number,
                "rule": rule,
                "shortdesc": f"Core IT's rule {rule}",
                "description": f"Core IT's rule {rule}, which no environment may break",
                "source_url": "https://example.com/atelier/datalab/docs/howto/rules.md",
                "tags": ["core-it"],
                "match": _match,
            },
        )
        for rule, (number, _, _) in _rules_template.CHECKS.items()
    }
)
