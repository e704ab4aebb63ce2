"""Gates and broken checks as JUnit XML, which every CI system reads."""

from __future__ import annotations

from xml.etree import ElementTree as Tree

from holdfast.report.document import Document, mapping, outcomes, text
from holdfast.report.screen import gates
from holdfast.report.words import BESIDE


def render_junit(results: Document) -> str:
    """One test case per gate and per check that did not finish.

    A gate that fails is a failure, one that cannot be decided an error, since neither may pass
    silently; a check that was skipped is skipped, and so is a gate whose risk is accepted.
    """
    results = mapping(results)
    suite = Tree.Element("testsuite", name="holdfast")
    counts = {"failure": 0, "error": 0, "skipped": 0}

    def case(group: str, name: str, kind: str, message: str) -> None:
        one = Tree.SubElement(suite, "testcase", classname=group, name=name, time="0")
        if kind:
            counts[kind] += 1
            told = {"message": message} | ({} if kind == "skipped" else {"type": group})
            Tree.SubElement(one, kind, told).text = message
        elif message:
            Tree.SubElement(one, "system-out").text = message

    for gate in gates(results):
        kind = {"pass": "", "fail": "failure"}.get(gate.state, "error")
        kind = "skipped" if gate.word == BESIDE or gate.state == "accepted" else kind
        why = f"; {gate.why}" if gate.why else ""
        case("holdfast.gate", gate.shown.name, kind, f"{gate.shown.full}; needs {gate.wants}{why}")
    for outcome in outcomes(results):
        name = text(outcome.get("check"), 80)
        if outcome.get("error"):
            case("holdfast.check", name, "error", text(outcome.get("error")))
        elif outcome.get("skipped"):
            case("holdfast.check", name, "skipped", text(outcome.get("skipped")))
    said = mapping(results.get("verdict"))
    if said.get("code") and not counts["failure"] and not counts["error"]:
        case("holdfast.verdict", text(said.get("word"), 20), "error", text(said.get("says"), 400))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(counts["failure"]))
    suite.set("errors", str(counts["error"]))
    suite.set("skipped", str(counts["skipped"]))
    suite.set("time", "0")
    root = Tree.Element(
        "testsuites", {k: v for k, v in suite.items() if k not in ("name", "skipped")}
    )
    root.set("name", "holdfast")
    root.append(suite)
    Tree.indent(root)
    body = Tree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'
