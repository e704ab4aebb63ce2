"""Failed gates and serious findings as SARIF 2.1.0, which code hosts show beside the code."""

from __future__ import annotations

import json
from typing import Any

from holdfast.report.document import Document, findings, mapping, text
from holdfast.report.screen import gates
from holdfast.report.words import severity

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"failure": "error", "warning": "warning"}


def _result(rule: str, level: str, words: str, name: str) -> dict[str, Any]:
    """One result, located at the audited model."""
    place = {"logicalLocations": [{"name": name, "kind": "module"}]}
    return {"ruleId": rule, "level": level, "message": {"text": words}, "locations": [place]}


def render_sarif(results: Document) -> str:
    """One run with a rule per gate or check; gates that pass are not listed."""
    results = mapping(results)
    name = text(mapping(results.get("subject")).get("name"), 200) or "model"
    listed: list[dict[str, Any]] = []
    for gate in gates(results):
        if gate.state != "pass":
            level = "error" if gate.state == "fail" else "warning"
            words = f"{gate.shown.label}: {gate.shown.full}; needs {gate.wants}"
            listed.append(_result(f"gate/{gate.shown.name}", level, words, name))
    for outcome, finding in findings(results):
        state = severity(finding.get("severity"))[0]
        words = text(finding.get("says"))
        if state in _LEVELS and words:
            rule = text(outcome.get("check"), 80) or "check"
            listed.append(_result(rule, _LEVELS[state], words, name))
    rules = [{"id": r} for r in dict.fromkeys(one["ruleId"] for one in listed)]
    tool = {"driver": {"name": "Holdfast", "rules": rules}}
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": tool, "results": listed}]}
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True) + "\n"
