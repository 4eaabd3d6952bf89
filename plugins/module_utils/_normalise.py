"""What people said yes to after an audit, checked and turned into a plan. Pure: nothing here talks to AWS.

For internal use of this collection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from ansible_collections.atelier.datalab.plugins.module_utils import _names

_KEYS = {"id": str, "account": str, "region": str, "apply": bool, "tags": dict, "seen": dict}
_OPTIONAL = {"adopt": bool, "rename": str, "why": dict}
_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")
# Written by stacks alone: with it a machine would be taken for one of the platform's own.
_NOT_BY_HAND = ("ManagedBy", "Name")

Tags = Mapping[str, str]


class NormaliseError(Exception):
    """The review cannot be applied; the message names every offender."""


@dataclass(frozen=True)
class Entry:
    """One machine of the reviewed file."""

    number: int
    id: str
    account: str
    region: str
    apply: bool
    adopt: bool
    tags: dict[str, str]
    seen: dict[str, str]
    rename: str = ""

    @property
    def wanted(self) -> dict[str, str]:
        """Tags as they should be, the name among them."""
        return self.tags | ({"Name": self.rename} if self.rename else {})


@dataclass(frozen=True)
class Vocabulary:
    """What tags may say; a key that is not here may not be set."""

    values: Mapping[str, frozenset[str]]
    name: re.Pattern[str]


@dataclass(frozen=True)
class Change:
    """What to write on one machine: key -> (what is there, what comes)."""

    entry: Entry
    tags: dict[str, tuple[str | None, str]]


def read(text: str, file: str) -> list[Entry]:
    """The entries of a reviewed file. Raises NormaliseError with every fault of its form."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise NormaliseError(f"{file}: not readable as YAML: {' '.join(str(error).split())}") from error
    entries = data.get("entries") if isinstance(data, Mapping) else None
    if not isinstance(entries, list):
        raise NormaliseError(f"{file}: there is no list entries; take the proposal.yml that playbooks/audit.yml writes")
    faults = [line for number, entry in enumerate(entries) for line in _form(number, entry)]
    ids = [str(entry.get("id")) for entry in entries if isinstance(entry, Mapping)]
    faults += [f"{one}: there {ids.count(one)} times; keep one" for one in sorted(set(ids)) if ids.count(one) > 1]
    if faults:
        raise refusal(file, faults)
    return [_entry(number, entry) for number, entry in enumerate(entries)]


def _entry(number: int, entry: Mapping[str, Any]) -> Entry:
    return Entry(
        number=number,
        id=entry["id"],
        account=entry["account"],
        region=entry["region"],
        apply=entry["apply"],
        adopt=entry.get("adopt", False),
        tags=dict(entry["tags"]),
        seen=dict(entry["seen"]),
        rename=entry.get("rename") or "",
    )


def _form(number: int, entry: Any) -> list[str]:
    where = f"entries[{number}]"
    if not isinstance(entry, Mapping):
        return [f"{where}: is not a mapping; write it as the audit does"]
    faults = []
    for key, kind in {**_KEYS, **_OPTIONAL}.items():
        if key not in entry and key in _KEYS:
            faults.append(f"{where}.{key}: is missing; write it as the audit does")
        elif key in entry and not isinstance(entry[key], kind):
            faults.append(f"{where}.{key} = {entry[key]!r}: is no {_WORDS[kind]}; write {_EXAMPLES[kind]}")
    faults += [f"{where}.{key}: is not known; remove it" for key in sorted(set(entry) - set(_KEYS) - set(_OPTIONAL))]
    for key in ("tags", "seen"):
        pairs = entry.get(key)
        for tag, value in pairs.items() if isinstance(pairs, Mapping) else ():
            if not isinstance(value, str):
                faults.append(f"{where}.{key}.{tag} = {value!r}: is no text; put it in quotes")
    if isinstance(entry.get("id"), str) and not _INSTANCE.fullmatch(entry["id"]):
        faults.append(f"{where}.id = {entry['id']}: is no id of an instance; write it as the audit does")
    return faults


_WORDS = {str: "text", bool: "yes or no", dict: "mapping"}
_EXAMPLES = {str: 'a text in quotes, such as "123456789012"', bool: "true or false", dict: "{} or key: value"}


def refusal(file: str, faults: Sequence[str]) -> NormaliseError:
    """One message for all faults."""
    head = f"{file} has {len(faults)} fault{'s' if len(faults) != 1 else ''}; nothing was changed."
    return NormaliseError("\n".join([head, *(f"  {file}: {fault}" for fault in faults)]))


def plan(
    entries: Iterable[Entry],
    current: Mapping[str, Tags],
    names: Mapping[str, str],
    vocabulary: Vocabulary,
    file: str,
) -> list[Change]:
    """What to write, of the entries that somebody said yes to.

    current: tags by instance id, as they are now. names: name -> id of whoever has it already.
    Raises NormaliseError with every offender: nothing is written while one is wrong.
    """
    chosen = [entry for entry in entries if entry.apply]
    faults = [line for entry in chosen for line in _faults(entry, current, names, vocabulary)]
    for name in sorted({entry.rename for entry in chosen if entry.rename}):
        same = [entry.id for entry in chosen if entry.rename == name]
        if len(same) > 1:
            faults.append(f"{', '.join(same)}: all are to be named {name}; give each its own")
    if faults:
        raise refusal(file, faults)
    return [
        Change(entry, {key: (now.get(key), value) for key, value in entry.wanted.items() if now.get(key) != value})
        for entry in chosen
        for now in [current[entry.id]]
    ]


def _faults(entry: Entry, current: Mapping[str, Tags], names: Mapping[str, str], vocabulary: Vocabulary) -> list[str]:
    where = f"entries[{entry.number}] ({entry.id})"
    if entry.id not in current:
        place = f"{entry.account} {entry.region}"
        return [f"{where}: there is no such instance in {place}; audit again, or remove the entry"]
    faults = [f"{where}.tags.{fault}" for key, value in entry.tags.items() if (fault := _tag(key, value, vocabulary))]
    if entry.rename and not vocabulary.name.fullmatch(entry.rename):
        faults.append(f"{where}.rename = {entry.rename}: does not follow <environment>-<project>-<role>-<nn>; write so")
    if entry.rename and names.get(entry.rename, entry.id) != entry.id:
        faults.append(f"{where}.rename = {entry.rename}: {names[entry.rename]} has that name; take another number")
    return faults + [f"{where}: {change}" for change in _since(entry, current[entry.id])]


def _tag(key: str, value: str, vocabulary: Vocabulary) -> str:
    if key in _NOT_BY_HAND:
        return f"{key}: " + ("only stacks write it" if key == "ManagedBy" else "use rename") + "; remove it"
    if key not in vocabulary.values:
        return f"{key}: is not a tag that is set here; use {', '.join(sorted(vocabulary.values))}"
    if problem := _names.tag_problem(key, value):
        return f"{key} = {value!r}: {problem}; correct it"
    if value not in vocabulary.values[key]:
        return f"{key} = {value}: is not in the vocabulary; write one of {', '.join(sorted(vocabulary.values[key]))}"
    return ""


def _since(entry: Entry, now: Tags) -> list[str]:
    """Tags that somebody changed since the audit, otherwise than this entry would."""
    wanted = entry.wanted
    changed = [
        f"{key} was {entry.seen.get(key, 'not there')}, is {now.get(key, 'not there')}"
        for key in sorted({*entry.seen, *now})
        if not key.startswith("aws:")
        and now.get(key) != entry.seen.get(key)
        and not (key in wanted and now.get(key) == wanted[key])
    ]
    return [f"was changed since the audit ({'; '.join(changed)}); audit again and review it anew"] if changed else []


def diff(change: Change) -> dict[str, str]:
    """Before and after of one machine, for Ansible's diff."""
    before = "".join(f"{key}: {old}\n" for key, (old, _) in sorted(change.tags.items()) if old is not None)
    after = "".join(f"{key}: {new}\n" for key, (_, new) in sorted(change.tags.items()))
    return {"before_header": change.entry.id, "after_header": change.entry.id, "before": before, "after": after}
