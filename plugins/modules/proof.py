#!/usr/bin/python
"""Record a proof about an artefact in an environment."""

from __future__ import annotations

DOCUMENTATION = r"""
module: proof
short_description: Records a proof about an artefact in an environment
version_added: "0.3.0"
description:
  - Judges a file of evidence and stores what it says about the artefact that the checkout is, signed.
  - What is stored is never written over. The same evidence again changes nothing.
  - Evidence that is bad is recorded too; RV(ok) tells.
options:
  proof:
    description:
      - What is proved. V(converge) and V(idempotence) take the output of ansible-playbook, V(verify) a JUnit file,
        V(rules) the JSON report of M(atelier.datalab.rules_report), V(restore_drill) a JSON document.
    type: str
    required: true
    choices: [converge, idempotence, verify, rules, restore_drill]
  evidence:
    description: The file. Where its content says no moment, its time of change is the moment of the proof.
    type: path
    required: true
  state:
    description: Proofs are only ever added.
    type: str
    choices: [present]
    default: present
extends_documentation_fragment:
  - atelier.datalab.promotion
  - atelier.datalab.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author: [Atelier Datalab]
"""

EXAMPLES = r"""
- name: Record that nothing is refused by core IT's rules
  atelier.datalab.proof:
    environment: preprod
    proof: rules
    evidence: reports/rules/preprod.json
    policy: "{{ promotion }}"
    members: "{{ members | map(attribute='login') }}"
    images: {debian-12: ami-0123456789abcdef0}
    checkout: "{{ playbook_dir }}/.."
"""

RETURN = r"""
ok:
  description: Whether the evidence is good.
  type: bool
  returned: success
detail:
  description: What the evidence says, in words.
  type: str
  returned: success
  sample: 3 hosts converged
name:
  description: Name of the document in the store.
  type: str
  returned: success
artefact:
  description: C(commit), C(images), C(locks), C(templates) and the C(digest) over all.
  type: dict
  returned: success
"""

import datetime
from pathlib import Path
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.atelier.datalab.plugins.module_utils import _promotion, _promotion_evidence, _promotion_run

ARGUMENTS = {
    "proof": {"type": "str", "required": True, "choices": list(_promotion.KINDS)},
    "evidence": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["present"], "default": "present"},
    **_promotion_run.ARGUMENTS,
}


def document(module: AnsibleAWSModule, now: datetime.datetime) -> dict[str, Any]:
    """The proof; raises PromotionError when the evidence is none, or cannot be about this commit."""
    kind, path = module.params["proof"], Path(module.params["evidence"])
    what, made = _promotion_run.artefact(module)
    data = path.read_bytes()
    try:
        ok, detail, said = _promotion_evidence.read(kind, data.decode(), module.params["environment"])
    except (_promotion.PromotionError, UnicodeDecodeError) as error:
        raise _promotion.PromotionError(f"{path}: {error}") from error
    taken = said or datetime.datetime.fromtimestamp(int(path.stat().st_mtime), tz=datetime.UTC)
    # The rules' report tells minutes only. A drill restores data, of whatever commit.
    if kind != "restore_drill" and taken < made.replace(second=0):
        raise _promotion.PromotionError(f"{path}: it is of {taken}, older than the commit ({made}); run it again")
    if taken > now + _promotion.SKEW:
        raise _promotion.PromotionError(f"{path}: it is of {taken}, which is not yet; set this computer's clock")
    return {
        "kind": kind,
        "environment": module.params["environment"],
        "artefact": what,
        "taken": taken.isoformat(timespec="seconds"),
        "ok": ok,
        "detail": detail,
        "evidence": _promotion.sha256(data),
    }


def record(module: AnsibleAWSModule) -> dict[str, Any]:
    """Store what is not there; the module's result."""
    now = _promotion_run.now()
    ledger = _promotion_run.ledgers(module, now)(module.params["environment"])
    wanted = document(module, now)
    name = _promotion.name_of(wanted)
    there = name in ledger.names(f"proofs/{wanted['kind']}")
    if there and ledger.open(name)[0] != wanted:
        raise _promotion.PromotionError(f"{name} is there and says something else; take newer evidence")
    if not there and not module.check_mode:
        ledger.write(wanted)
    told = {"ok": wanted["ok"], "detail": wanted["detail"], "name": name, "artefact": wanted["artefact"]}
    diff = {"before": "" if not there else f"{name}\n", "after": f"{name}\n"}
    return {"changed": not there, "diff": diff, **told}


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = record(module)
    except _promotion_run.ERRORS as error:
        module.fail_json(msg=_promotion_run.words(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
