"""Action of `atelier.datalab.audit_report`; documentation in plugins/modules/audit_report.py."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.atelier.datalab.plugins.action.model import plain
from ansible_collections.atelier.datalab.plugins.module_utils import (
    _audit_clues,
    _audit_costs,
    _audit_output,
    _audit_page,
    _audit_proposal,
    _audit_rules,
    _images,
    _names,
)
from ansible_collections.atelier.datalab.plugins.module_utils._audit_analysis import Analysis, Settings
from ansible_collections.atelier.datalab.plugins.module_utils._audit_store import Store
from ansible_collections.atelier.datalab.plugins.plugin_utils.reports import html

TEMPLATE = Path(__file__).resolve().parents[2] / "playbooks" / "templates" / "audit.html.j2"
ARGUMENTS = {
    "folder": {"type": "path", "required": True},
    "title": {"type": "str", "default": "What exists"},
    "now": {"type": "str"},
    "corporate": {"type": "dict", "required": True},
    "members": {"type": "list", "elements": "dict", "default": []},
    "projects": {"type": "list", "elements": "dict", "default": []},
    "roles": {"type": "list", "elements": "str", "required": True},
    "clues": {"type": "list", "elements": "dict", "required": True},
    "families": {"type": "dict", "default": {}},
    "enough": {
        "type": "dict",
        "default": {},
        "options": {
            "threshold": {"type": "int", "default": 75},
            "contradiction": {"type": "int", "default": 40},
            "families": {"type": "int", "default": 2},
        },
        "apply_defaults": True,
    },
    "weights": {"type": "dict", "required": True},
    "prices": {"type": "dict", "required": True},
    "stopped_days": {"type": "int", "default": 30},
    "environments": {"type": "list", "elements": "str", "default": ["lab", "dev", "preprod", "prod"]},
}


class ActionModule(ActionBase):
    """Reads the gathered files on the controller and writes the report beside them."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """See plugins/modules/audit_report.py."""
        result = super().run(tmp, task_vars)
        del tmp
        _, given = self.validate_argument_spec(argument_spec=ARGUMENTS)
        options = plain(given)
        try:
            now = moment(options["now"])
            found = Analysis(
                Store(Path(options["folder"]) / "data"), evidence(options["folder"]), settings(options, now)
            )
            files = write(found, options, now)
        except (_audit_clues.CluesError, _images.ImagesError) as error:
            return result | {"failed": True, "msg": str(error)}
        except KeyError as error:
            return result | {"failed": True, "msg": f"corporate, members or projects: an entry has no {error}"}
        except (OSError, ValueError) as error:
            return result | {"failed": True, "msg": f"The report cannot be made from {options['folder']}: {error}"}
        return result | {"changed": False, "files": files, "summary": summary(found), "scores": found.scores()}


def moment(text: str | None) -> datetime.datetime:
    """The moment of the audit, with a zone. Raises ValueError for what is none."""
    if not text:
        return datetime.datetime.now(tz=datetime.UTC).replace(microsecond=0)
    now = datetime.datetime.fromisoformat(text)
    if now.tzinfo is None:
        raise ValueError(f"now: {text} has no offset; write it as 2027-03-06T12:00:00+00:00")
    return now


def evidence(folder: str) -> dict[str, Any]:
    """What hosts said, by instance id."""
    files = sorted((Path(folder) / "evidence").glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def settings(options: dict[str, Any], now: datetime.datetime) -> Settings:
    """The options as the analysis takes them. Raises CluesError, ImagesError or ValueError."""
    known = [rule.id for rule in _audit_rules.RULES]
    if strange := sorted(set(options["weights"]) - set(known)):
        raise ValueError(f"weights: no such rule: {', '.join(strange)}; rules are {', '.join(known)}")
    corporate, roles = options["corporate"], "|".join(map(re.escape, options["roles"]))
    environments = "|".join(map(re.escape, options["environments"]))
    judge = _audit_clues.Judge(
        clues=_audit_clues.read_clues([*options["clues"], *_people(options)], options["families"]),
        vocabulary={
            "Project": frozenset([_names.PLATFORM, *(one["name"] for one in options["projects"])]),
            "Owner": frozenset(one["login"] for one in options["members"]),
            "Role": frozenset(options["roles"]),
        },
        **options["enough"],
    )
    facts = _audit_rules.Facts(
        now=now,
        mandatory=_names.MANDATORY_TAGS,
        # Too old is another matter than not approved; a machine keeps its image while it lives.
        criteria=tuple(_images.read_criteria(corporate["images"], 36500, on_old="off")),
        name_pattern=re.compile(rf"(?:{environments})-[a-z][a-z0-9-]*-(?:{roles})-\d{{2}}"),
        stopped_days=options["stopped_days"],
    )
    prices = _audit_costs.Prices(options["prices"], corporate["schedules"])
    return Settings(judge, facts, prices, {rule: int(weight) for rule, weight in options["weights"].items()})


def _people(options: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Clues that follow from the data: who somebody is, and whose project it is when they are in one only."""
    for person in options["members"]:
        login, mail = re.escape(person["login"]), re.escape(person.get("email") or person["login"])
        own = [one["name"] for one in options["projects"] if person["login"] in one["members"]]
        proposes = {"Owner": person["login"]} | ({"Project": own[0]} if len(own) == 1 else {})
        for attribute, match, weight in (
            ("creator", f"{login}|{mail}", 60),
            ("login", f"{login}|{mail}", 55),
            ("cron_user", login, 50),
            ("key_name", rf"(?:.*[-_.])?{login}(?:[-_.].*)?", 40),
            ("home", login, 40),
        ):
            yield {"attribute": attribute, "match": match, "proposes": proposes, "weight": weight}


def write(found: Analysis, options: dict[str, Any], now: datetime.datetime) -> list[str]:
    """Write every file, each whole or not at all; returns their paths."""
    folder, audited = Path(options["folder"]), now.isoformat()
    prices = options["prices"]
    context = _audit_page.context(
        found,
        audited=audited,
        title=options["title"],
        currency=str(prices.get("currency") or "USD"),
        source=str(prices.get("source") or "not said"),
    )
    centers = {one["name"]: one["cost_center"] for one in options["projects"]}
    pieces: dict[str, Iterable[str]] = {
        "report.html": html(context, TEMPLATE),
        "machines.csv": [_audit_output.machines_csv(found)],
        "findings.csv": [_audit_output.findings_csv(found)],
        "costs.csv": [_audit_output.costs_csv(found)],
        "audit.json": _audit_output.everything(found, audited),
        "proposal.yml": [_audit_proposal.proposal(found, audited, centers)],
    }
    for name, text in pieces.items():
        part = folder / f".{name}.part"
        with part.open("w", encoding="utf-8") as file:
            file.writelines(text)
        part.replace(folder / name)
    return [str(folder / name) for name in pieces]


def summary(found: Analysis) -> list[str]:
    """The audit in a few lines for the terminal."""
    rows = [
        f"{row['name']}: "
        + ("nothing could be read" if row["score"] is None else f"score {row['score']}, {row['findings']} findings")
        for row in found.scores()
    ]
    machines = found.resources["instance"]
    unknown = sum(not one["proposals"]["Owner"].value for one in machines)
    return [f"{len(machines)} machines, {unknown} of them with an unknown owner, {len(found.gaps)} gaps", *rows]
