"""The verdict on the screen: the word, each gate that does not pass, the cheapest next steps."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TextIO

from holdfast.report.numbers import amount, interval, limit

_COLOURS = {"READY": "32", "NOT READY": "31", "UNDECIDED": "33", "INCOMPLETE": "33"}
_MARKS = {
    "fail": "✗", "undecided": "?", "missing": "-", "accepted": "≈", "pass": "✓",
    "not applicable": " ",
}  # fmt: skip


def gate_line(gate: Mapping[str, Any]) -> str:
    """One gate: name, value, interval, kind of bound, limit."""
    mark, unit = _MARKS.get(gate["verdict"], "-"), gate["unit"]
    wants = f"needs {limit(gate['limit'], gate['relation'], unit or 'share')}"
    if gate["limit"] is None:  # relative to a baseline that is not there
        return f"   {mark} {gate['name']:<30} {gate['says']}"
    if gate["verdict"] == "not applicable":
        return f"   {mark} {gate['name']:<30} not applicable: {gate['says']}"
    if gate["value"] is None:
        return f"   {mark} {gate['name']:<30} {gate['says'] or 'not measured'}; {wants}"
    bound = {"upper": "upper bound", "lower": "lower bound"}.get(gate["bound"], "")
    value = f"{amount(gate['value'], unit)} {interval(gate['low'], gate['high'], unit)}"
    doubt = f"  ({'; '.join(gate['flags'])})" if gate["flags"] else ""
    why = f"\n     {gate['says']}" if gate.get("says") else ""
    return f"   {mark} {gate['name']:<30} {value:<22} {wants}  {bound}".rstrip() + doubt + why


def _place(order: list[str], gate: Mapping[str, Any]) -> int:
    return order.index(gate["verdict"]) if gate["verdict"] in order else 0


def show(
    results: Mapping[str, Any], *, seconds: float, report: str, stream: TextIO | None = None
) -> None:
    """Print the verdict of an audit.

    Args:
        results: the document.
        seconds: how long the audit took.
        report: where its report lies.
        stream: where to; standard output unless given.
    """
    out = stream or sys.stdout
    verdict, data = results["verdict"], results["subject"].get("data", {})
    word = verdict["word"]
    if out.isatty():
        word = f"\033[1;{_COLOURS.get(word, '0')}m{word}\033[0m"
    facts = f"{seconds:.0f} s · seed {results['seed']} · n={data.get('n', 0)}"
    lines = ["─" * 80, f"  {word}   {verdict['says']}", f"  {facts}"]
    order = list(_MARKS)
    lines += [gate_line(g) for g in sorted(results["gates"], key=lambda g: _place(order, g))]
    if results["gates_from"] == "default":
        lines.append("   (default gates; `holdfast init` writes your own)")
    commands = [a for a in results["actions"] if a["command"]][:2]
    if commands:
        lines.append("  Next")
        for number, action in enumerate(commands, 1):
            effect = f"    {action['effect']}" if action["effect"] else ""
            lines.append(f"   {number}. {action['command']}{effect}")
    left_out = len(results["not_tested"])
    if left_out:
        lines.append(f"  Not tested: {left_out} (the report says why)")
    lines.append(f"  Report  {report}")
    print("\n".join(lines), file=out, flush=True)
