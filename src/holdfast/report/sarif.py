"""Failed gates and serious findings as SARIF 2.1.0, which code hosts show beside the code."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from holdfast.report.document import Document, findings, mapping, sentence, text
from holdfast.report.screen import gates
from holdfast.report.words import BESIDE, label, severity

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"failure": "error", "warning": "warning"}
_MOST = 5_000  # what code hosts show of one run


def _result(rule: str, level: str, words: str, name: str, file: str) -> dict[str, Any]:
    """One result: placed at the file of the gates, about the audited model, with an identity."""
    place = {
        "physicalLocation": {"artifactLocation": {"uri": file}, "region": {"startLine": 1}},
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


def render_sarif(results: Document) -> str:
    """One run with a rule per gate or check; gates that pass are not listed.

    Results stand at the file that sets the gates, since a model is no text file; code hosts
    recognise a result from one run to the next by its rule and model.
    """
    results = mapping(results)
    name = text(mapping(results.get("subject")).get("name"), 200) or "model"
    source = text(results.get("gates_from"), 200)
    file = source if source and source != "default" else "holdfast.toml"
    listed: list[dict[str, Any]] = []
    for gate in gates(results):
        if gate.state != "pass" and gate.word != BESIDE:
            level = "error" if gate.state == "fail" else "warning"
            words = f"{gate.shown.label}: {gate.shown.full}; needs {gate.wants}"
            listed.append(_result(f"gate/{gate.shown.name}", level, words, name, file))
    said = mapping(results.get("verdict"))
    if said.get("code") and not listed:  # stopped, or a check crashed: not silently nothing
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
