"""What was found, as one plain mapping, and that mapping as a table for people and as JUnit XML for CI. Pure."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as Xml

from ansible_collections.atelier.datalab.plugins.module_utils import _rules_running
from ansible_collections.atelier.datalab.plugins.module_utils._model_node import Node
from ansible_collections.atelier.datalab.plugins.module_utils._rules import (
    LADDER,
    OF_EXCEPTIONS,
    hardenings,
    severity_at,
)
from ansible_collections.atelier.datalab.plugins.module_utils._rules_world import World
from ansible_collections.atelier.datalab.plugins.module_utils._tables import columns, printable

_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2
Report = dict[str, Any]


def make(world: World, gaps: Iterable[Mapping[str, str]]) -> Report:
    """Judges the world; the findings on the data come with what it expects."""
    breaches, asked = _rules_running.judge(world)
    findings = [one.plain() for one in world.policy.settle(breaches)]
    # Exceptions are judged again here, where AWS's ids are known too.
    findings += [one for one in world.expected["findings"] if one["rule"] != OF_EXCEPTIONS]
    findings.sort(
        key=lambda one: (one["severity"] != "refuse", one["exception"] is not None, one["rule"], one["subject"])
    )
    rules = [_rule(world, name, findings, asked) for name in world.expected["rules"]]
    today = world.policy.today
    ahead = [
        {**change, "rule": rule["id"], "now": rule["warned"]}
        for rule in rules
        for change in rule["hardens"]
        if change["from"] > today.isoformat()
    ]
    return {
        "environment": world.policy.environment,
        "day": today.isoformat(),
        "taken": world.now.strftime("%Y-%m-%d %H:%M UTC"),
        "ladder": list(LADDER),
        "counts": {
            "refuse": sum(one["severity"] == "refuse" for one in findings),
            "warn": sum(one["severity"] == "warn" and not one["exception"] for one in findings),
            "excepted": sum(one["severity"] == "warn" and bool(one["exception"]) for one in findings),
            "rules": sum(rule["here"] != "off" for rule in rules),
            "resources": len(list(world.owned)),
            "hosts": len(world.inside),
        },
        "rules": rules,
        "findings": findings,
        "exceptions": [_exception(world, one, findings) for one in world.expected["exceptions"]],
        "ahead": sorted(ahead, key=lambda one: (one["from"], one["rule"])),
        "gaps": [*gaps, *_unseen(world)],
    }


def _rule(world: World, name: str, findings: Sequence[Mapping[str, Any]], asked: Counter[str]) -> dict[str, Any]:
    rule, today, here = Node(world.expected["rules"])[name], world.policy.today, world.policy.severity(name)
    mine = [one for one in findings if one["rule"] == name]
    refused = sum(one["severity"] == "refuse" for one in mine)
    checked = world.expected["checked"][name]
    if here == "off":
        state = "off"
    elif mine:
        state = "refuse" if refused else "warn"
    else:
        # What is checked on what runs alone, where nothing of the kind was seen, was not found to be good.
        state = "ok" if asked[name] or checked != ["running"] else "unseen"
    return {
        "id": name,
        "text": rule["text"].text or "",
        "source": rule["source"].text or "",
        "checked": checked,
        "severity": {environment: severity_at(rule, environment, today) for environment in LADDER},
        "parameters": world.policy.parameters(name),
        "hardens": [
            {"from": day.isoformat(), "environment": environment, "severity": word.text}
            for day, changes in hardenings(rule)
            for environment, word in changes.entries()
        ],
        "here": here,
        "state": state,
        "asked": asked[name],
        "refused": refused,
        "warned": len(mine) - refused,
    }


def _exception(world: World, one: Mapping[str, str], findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    left = (datetime.date.fromisoformat(one["expires"]) - world.policy.today).days
    state = "expired" if left < 0 else "live" if one["subject"] in world.subjects else "unknown"
    used = [found["exception"]["subject"] for found in findings if found["rule"] == one["rule"] and found["exception"]]
    return {**one, "days_left": left, "state": state, "covers": used.count(one["subject"])}


def _unseen(world: World) -> Iterable[dict[str, str]]:
    """Instances whose inside nobody looked into."""
    by_hand = 0
    for one in world.instances:
        state = one.about.get("State", {}).get("Name", "?")
        if one.stack not in world.expected["stacks"]:
            by_hand += 1
        elif one.name in world.tried:
            continue
        elif state != "running":
            yield {"what": f"the inside of {one.name}", "why": f"it is {state}"}
        else:
            yield {"what": f"the inside of {one.name}", "why": "it was not asked"}
    if by_hand:
        instances = f"{by_hand} instance{'s' if by_hand != 1 else ''}"
        yield {"what": f"the inside of {instances}", "why": "made by hand, or of another environment"}


# -- for people

_SHOWN = 200  # rows; more are in the files


def table(report: Report, width: int = 150) -> list[str]:
    """Lines with every finding (rule, severity, subject, what is wrong, what to do), gaps and counts."""
    head = ("rule", "severity", "subject", "what is wrong", "what to do")
    rows = [
        (one["rule"], _word(one), one["subject"], _wrong(one), one["remedy"]) for one in report["findings"][:_SHOWN]
    ]
    lines = columns([head, *rows], width) if rows else []
    if len(report["findings"]) > _SHOWN:
        lines.append(f"... and {len(report['findings']) - _SHOWN} more, in the report")
    lines += [f"not looked at: {one['what']}: {one['why']}" for one in report["gaps"]]
    return [printable(line) for line in [*lines, summary(report)]]


def summary(report: Report) -> str:
    """`prod on 2027-01-15: 2 refused, 1 warning, 0 excepted; 18 rules on 12 resources and 2 hosts`."""
    counts = report["counts"]
    warnings = f"{counts['warn']} warning{'s' if counts['warn'] != 1 else ''}"
    return (
        f"{report['environment']} on {report['day']}: {counts['refuse']} refused, {warnings}, {counts['excepted']} "
        f"excepted; {counts['rules']} rules "
        f"on {counts['resources']} resources and the inside of {counts['hosts']} hosts"
    )


def refusal(report: Report, files: Sequence[str]) -> str:
    """The message of a run that something refused; the table above it names every offender."""
    by_rule = ", ".join(f"{rule['id']} {rule['refused']}" for rule in report["rules"] if rule["refused"])
    where = f"and {files[-1]} name each with its remedy" if files else "names each with its remedy"
    return f"{summary(report)}. Refused by {by_rule}: the table above {where}. Exceptions: docs/howto/rules.md"


def _word(one: Mapping[str, Any]) -> str:
    return "excepted" if one["exception"] else str(one["severity"])


def _wrong(one: Mapping[str, Any]) -> str:
    granted = one["exception"]
    until = f" (exception {granted['ticket']} of {granted['owner']} until {granted['expires']})" if granted else ""
    where = f"{one['place']} " if one["place"] else ""
    return f"{where}{one['wrong']}{until}"


# -- for CI


def junit(report: Report) -> str:
    """A case per finding, one per rule that found nothing; what is refused fails, what is off or unseen is skipped."""
    name = f"rules of {report['environment']}"
    suite = Xml.Element("testsuite", name=name, timestamp=f"{report['taken'][:10]}T{report['taken'][11:16]}:00")
    for one in report["findings"]:
        case = _case(suite, one["rule"], f"{one['subject']}: {_wrong(one)}")
        text = _clean(f"{one['wrong']}\n{one['remedy']}\n{one['id'] or one['place']}")
        if one["severity"] == "refuse":
            Xml.SubElement(case, "failure", message=_clean(one["wrong"]), type="refuse").text = text
        else:
            Xml.SubElement(case, "system-out").text = f"{_word(one)}: {text}"
    for rule in report["rules"]:
        if rule["state"] in ("ok", "off", "unseen"):
            case = _case(suite, rule["id"], f"{rule['text'] or rule['id']} ({rule['asked']} asked)")
            if rule["state"] != "ok":
                why = "off here" if rule["state"] == "off" else "there was nothing to look at"
                Xml.SubElement(case, "skipped", message=why)
    for one in report["gaps"]:
        case = _case(suite, "gaps", f"not looked at: {one['what']}")
        Xml.SubElement(case, "skipped", message=_clean(one["why"]))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    suite.set("errors", "0")
    root = Xml.Element("testsuites", name=name)
    root.append(suite)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: Xml.Element, rule: str, name: str) -> Xml.Element:
    return Xml.SubElement(suite, "testcase", classname=f"rules.{rule}", name=_clean(name), time="0")


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("?", text)
