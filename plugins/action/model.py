"""Action of `atelier.datalab.model`; documentation in plugins/modules/model.py."""

from __future__ import annotations

import datetime
import traceback
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase, VariableLayer

try:
    from ansible_collections.atelier.datalab.plugins.module_utils import _model, _model_output, _model_source
except ImportError:
    _MISSING = traceback.format_exc().strip().rpartition("\n")[2]
else:
    _MISSING = ""

ROOT = Path(__file__).resolve().parents[2]


class ActionModule(ActionBase):
    """Reads the variables of group_vars/all as they are written: no template is rendered, so nothing calls AWS."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """See plugins/modules/model.py."""
        task_vars = task_vars or {}
        result = super().run(tmp, task_vars)
        del tmp
        _, arguments = self.validate_argument_spec(argument_spec={"today": {"type": "str"}})
        result["changed"] = False
        if _MISSING:
            return result | _failed(f"{_MISSING}. Install the controller's requirements: make setup")
        try:
            today = datetime.date.fromisoformat(arguments["today"]) if arguments["today"] else _today()
        except ValueError:
            return result | _failed(f"today: {arguments['today']!r} is not a date, write it as 2027-03-31")
        folder = _folder(task_vars)
        data = {name: plain(task_vars[name]) for name in _model.VARIABLES if name in task_vars}
        model = _model.validate(data, today, folder.name if folder and folder.parent.name == "inventories" else None)
        source = _model_source.Source((folder or Path()) / "group_vars" / "all", Path.cwd())
        if isinstance(model, _model.Offences):
            return result | _failed(model.message(source.locate))
        datalab = _model_output.derive(model, today, ROOT, task_vars.get("inventory_hostname"))
        # As a variable of its own too: from ansible-core 2.24 on it is no longer made from the fact.
        self.register_host_variables({"datalab": datalab}, VariableLayer.EPHEMERAL_FACT)
        return result | {
            "msg": summary(datalab, model),
            "warnings": [one.line(source.locate) for one in model.warnings],
            "ansible_facts": {"datalab": datalab},
        }


def summary(datalab: dict[str, Any], model: _model.Model) -> str:
    """`42 machines, 3 projects, 7 flows: valid`."""
    counts = (
        (len(datalab["machines"]), "machine"),
        (len(datalab["projects"]), "project"),
        (len(model.data.flows), "flow"),
    )
    return ", ".join(f"{count} {word if count == 1 else word + 's'}" for count, word in counts) + ": valid"


def plain(value: Any) -> Any:
    """Ansible's tagged values as Python's own; what is neither (an encrypted text) stays and is reported by type."""
    if isinstance(value, dict):
        return {str(key): plain(inside) for key, inside in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inside) for inside in value]
    for kind in (str, bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, datetime.datetime):
        return datetime.datetime.fromisoformat(value.isoformat())
    if isinstance(value, datetime.date):
        return datetime.date(value.year, value.month, value.day)
    return value


def _failed(message: str) -> dict[str, Any]:
    return {"failed": True, "msg": message}


def _today() -> datetime.date:
    return datetime.datetime.now(tz=datetime.UTC).date()


def _folder(task_vars: dict[str, Any]) -> Path | None:
    """The inventory's folder; localhost, when Ansible makes it up itself, has none of its own."""
    places = [task_vars.get("inventory_dir"), *(task_vars.get("ansible_inventory_sources") or [])]
    for place in places:
        path = Path(str(place)).resolve() if place else None
        folder = path.parent if path and path.is_file() else path
        if folder and (folder / "group_vars" / "all").is_dir():
            return folder
    return None
