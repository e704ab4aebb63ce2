"""Failed gates and serious findings as SARIF 2.1.0, which code hosts show beside the code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from holdfast.report.document import Document, findings, mapping, sentence, text
from holdfast.report.github import rule as line_of
from holdfast.report.screen import Gate, gates
from holdfast.report.words import BESIDE, label, severity

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"failure": "warning", "warning": "note"}  # an error is a failed gate, nothing else
_GATES = {"fail": "error", "accepted": "note"}
_MOST = 5_000  # what code hosts show of one run


def _result(
    rule: str, level: str, words: str, name: str, file: str, line: int = 1
) -> dict[str, Any]:
    """One result: placed at the file of the gates, about the audited model, with an identity."""
    place = {
        "physicalLocation": {"artifactLocation": {"uri": file}, "region": {"startLine": line}},
        "logicalLocations": [{"name": name, "kind": "module"}],
    }
    mark = hashlib.sha256(f"{rule}\n{name}".encode()).hexdigest()[:32]
    return {
        "ruleId": rule, "level": level, "message": {"text": words}, "locations": [place],
        "partialFingerprints": {"holdfast/v1": mark},
    }  # fmt: skip


def _rule(rule: str) -> dict[str, Any]:
    """A rule with its name in words."""
    kind, _, name = rule.partition("/")
    words = f"Gate: {label(name)}" if kind == "gate" else rule.partition(":")[2] or rule
    return {"id": rule, "shortDescription": {"text": words}}


def _gate(gate: Gate, name: str, file: str, line: int) -> dict[str, Any]:
    """A gate that does not pass; an accepted one is suppressed, with its reason."""
    words = f"{gate.shown.label}: {gate.shown.full}; needs {gate.wants}"
    words += f"; {gate.why}" if gate.why else ""
    level, rule = _GATES.get(gate.state, "warning"), f"gate/{gate.shown.name}"
    one = _result(rule, level, words, name, file, line)
    if gate.state == "accepted":
        held = {"kind": "external", "status": "accepted", "justification": gate.why or "accepted"}
        one["suppressions"] = [held]
    return one


def render_sarif(
    results: Document, *, file: str = "", lines: Mapping[str, int] | None = None
) -> str:
    """One run with a rule per gate or check; gates that pass are not listed.

    Only a failed gate is an error: what is open, crashed or found by a check is a warning or a
    note. Results stand at the line of their gate, since a model is no text file; code hosts
    recognise a result from one run to the next by its rule and model.

    Args:
        results: the document `results.json`.
        file: the file of the gates, seen from the root of the repository; else by its name.
        lines: where each gate stands in it.
    """
    results = mapping(results)
    name = text(mapping(results.get("subject")).get("name"), 200) or "model"
    source = text(results.get("gates_from"), 200)
    file = file or (source if source and source != "default" else "holdfast.toml")
    listed: list[dict[str, Any]] = []
    for gate in gates(results):
        if gate.state != "pass" and gate.word != BESIDE:
            listed.append(_gate(gate, name, file, line_of(gate, lines or {}) or 1))
    said = mapping(results.get("verdict"))
    if said.get("code") and all(
        "suppressions" in one for one in listed
    ):  # stopped, or a check crashed: not silently nothing
        listed.append(_result("verdict", "warning", text(said.get("says"), 400), name, file))
    for outcome, finding in findings(results):
        state, words = severity(finding.get("severity"))[0], sentence(finding)
        if state in _LEVELS and words:
            rule = text(outcome.get("check"), 80) or "check"
            listed.append(_result(rule, _LEVELS[state], words, name, file))
    listed = listed[:_MOST]
    order = list(dict.fromkeys(one["ruleId"] for one in listed))
    for one in listed:
        one["ruleIndex"] = order.index(one["ruleId"])
    driver = {"name": "Holdfast", "rules": [_rule(r) for r in order]}
    run = {"tool": {"driver": driver}, "results": listed, "columnKind": "unicodeCodePoints"}
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True) + "\n"
