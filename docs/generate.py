"""Writes the argument table of every role's README from its argument specs: `make docs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- BEGIN ARGUMENTS -->", "<!-- END ARGUMENTS -->"


def _cell(value: Any) -> str:
    text = " ".join(value) if isinstance(value, list) else str(value)
    return " ".join(text.split()).replace("|", "\\|")


def _row(name: str, option: dict[str, Any]) -> str:
    kind = option["type"] + (f" of {option['elements']}" if "elements" in option else "")
    default = "required" if option.get("required") else f"`{json.dumps(option.get('default'))}`"
    choices = f" One of {', '.join(map(str, option['choices']))}." if "choices" in option else ""
    return f"| `{name}` | {kind} | {_cell(default)} | {_cell(option['description'])}{choices} |"


def render_role(role: Path) -> str:
    """Return the role's README with its table renewed.

    Raises:
        ValueError: the README lacks the two markers.
    """
    readme = (role / "README.md").read_text()
    if BEGIN not in readme or END not in readme:
        raise ValueError(f"{role.name}/README.md lacks the markers {BEGIN} and {END}")
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    blocks = []
    for entry, spec in specs.items():
        title = [] if entry == "main" else [f"Entry point `{entry}`: {spec['short_description']}", ""]
        rows = [_row(name, option) for name, option in spec.get("options", {}).items()]
        blocks.append("\n".join([*title, "| argument | type | default | meaning |", "|---|---|---|---|", *rows]))
    head, tail = readme.split(BEGIN)[0], readme.split(END)[1]
    return head + BEGIN + "\n" + "\n\n".join(blocks) + "\n" + END + tail


def main() -> None:
    for tasks in sorted(ROOT.glob("roles/*/tasks/main.yml")):
        role = tasks.parent.parent
        text = render_role(role)
        if text != (role / "README.md").read_text():
            (role / "README.md").write_text(text)
            print(f"renewed {role.name}/README.md")  # noqa: T201 a command line reports


if __name__ == "__main__":
    main()
