"""CloudFormation template text as plain data: short forms spelled out, conditions and imports evaluated.

For internal use of this collection; nothing here talks to AWS.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import yaml

MAX_BODY = 51_200  # bytes of TemplateBody that CloudFormation accepts


class TemplateError(Exception):
    """The text is not a usable CloudFormation template."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as CloudFormation reads it: dates stay text, !Ref and its kin become their long form."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, expression) for tag, expression in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _construct_short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    return {name: value}


_Loader.add_multi_constructor("!", _construct_short_form)


def parse(body: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return the template as plain data, from YAML or JSON text or from what GetTemplate gave.

    The same text gives the same object (a hundred machines share one template), so it must not be changed.
    Raises TemplateError when the text cannot be read or holds no resources.
    """
    return _parse_text(body) if isinstance(body, str) else _checked(body)


@lru_cache(maxsize=256)
def _parse_text(text: str) -> dict[str, Any]:
    try:
        return _checked(yaml.load(text, Loader=_Loader))  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        raise TemplateError(f"not readable as YAML: {' '.join(str(error).split())}") from error


def _checked(data: Any) -> dict[str, Any]:
    if not isinstance(data, Mapping) or not isinstance(data.get("Resources"), Mapping):
        raise TemplateError("not a CloudFormation template: no Resources")
    plain: dict[str, Any] = json.loads(json.dumps(data, default=str))
    return _canonical(plain)


def _canonical(node: Any) -> Any:
    """One spelling for what CloudFormation reads alike: 'Fn::GetAtt: A.B' is a list."""
    if isinstance(node, dict):
        if set(node) == {"Fn::GetAtt"} and isinstance(node["Fn::GetAtt"], str):
            return {"Fn::GetAtt": node["Fn::GetAtt"].split(".", 1)}
        return {str(key): _canonical(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_canonical(value) for value in node]
    return node


def digest(template: Mapping[str, Any]) -> str:
    """SHA-256 over the parsed template; comments, order of keys and spelling do not count."""
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()


def body_for_api(text: str, template: Mapping[str, Any]) -> str:
    """The text to send: as written, or as compact JSON when it is over CloudFormation's limit.

    Raises TemplateError when even that is too long.
    """
    if len(text.encode()) <= MAX_BODY:
        return text
    compact = json.dumps(template, separators=(",", ":"))
    if len(compact.encode()) <= MAX_BODY:
        return compact
    raise TemplateError(f"{len(compact.encode())} bytes, CloudFormation takes {MAX_BODY}; split it")


def parameters(template: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The declared parameters, name -> declaration."""
    return dict(template.get("Parameters") or {})


_SUB = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")


def resolve(node: Any, values: Mapping[str, str]) -> str | None:
    """The text of a value made of strings, Ref and Fn::Sub of parameters; None when it needs more."""
    if isinstance(node, bool):
        return str(node).lower()
    if isinstance(node, (str, int, float)):
        return str(node)
    if not isinstance(node, Mapping):
        return None
    if "Ref" in node:
        return values.get(node["Ref"])
    text = node.get("Fn::Sub")
    if not isinstance(text, str) or any(name not in values for name in _SUB.findall(text)):
        return None
    return _SUB.sub(lambda match: values[match.group(1)], text)


def holds(template: Mapping[str, Any], condition: str, values: Mapping[str, str]) -> bool:
    """Whether a named condition holds; True when it cannot be told without AWS."""
    result = _evaluate(template, {"Condition": condition}, values, 0)
    return result is None or result


def _evaluate(template: Mapping[str, Any], node: Any, values: Mapping[str, str], depth: int) -> bool | None:
    if not isinstance(node, Mapping) or len(node) != 1 or depth > 50:
        return None
    ((name, args),) = node.items()
    if name == "Condition":
        return _evaluate(template, (template.get("Conditions") or {}).get(args), values, depth + 1)
    if name == "Fn::Equals":
        left, right = (resolve(arg, values) for arg in args)
        return None if left is None or right is None else left == right
    parts = [_evaluate(template, arg, values, depth + 1) for arg in args] if name in _LOGIC else [None]
    return None if None in parts else _LOGIC[name](parts)


_LOGIC: dict[str, Callable[[list[Any]], bool]] = {
    "Fn::Not": lambda parts: not parts[0],
    "Fn::And": all,
    "Fn::Or": any,
}


def resources(template: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, str]:
    """Logical id -> type of what the template would create with these parameter values."""
    return {
        logical_id: str(resource.get("Type", "?"))
        for logical_id, resource in template["Resources"].items()
        if "Condition" not in resource or holds(template, resource["Condition"], values)
    }


def imports(template: Mapping[str, Any], values: Mapping[str, str]) -> set[str]:
    """Names of the exports that the template needs from other stacks, as far as they can be told."""
    found = set()
    for section in ("Resources", "Outputs"):
        for entry in (template.get(section) or {}).values():
            if "Condition" in entry and not holds(template, entry["Condition"], values):
                continue
            found |= {name for arg in _import_arguments(entry) if (name := resolve(arg, values)) is not None}
    return found


def _import_arguments(node: Any) -> Iterator[Any]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "Fn::ImportValue":
                yield value
            else:
                yield from _import_arguments(value)
    elif isinstance(node, list):
        for value in node:
            yield from _import_arguments(value)
