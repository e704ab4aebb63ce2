"""Gates that do not pass as workflow commands, which GitHub shows beside the lines of a file."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.report.document import Document, mapping, text
from holdfast.report.screen import Gate, gates
from holdfast.report.words import BESIDE

MOST = 10  # of each kind are shown of one step; the rest would be lost without a word
_KINDS = {"fail": "error", "accepted": "notice"}


def _message(value: object) -> str:
    """Text within a command: its end and its escapes cannot be forged."""
    return text(value, 1000).replace("%", "%25")


def _property(value: object) -> str:
    """Text within the properties of a command."""
    return _message(value).replace(":", "%3A").replace(",", "%2C")


def _command(kind: str, title: str, words: str, file: str = "", line: int = 0) -> str:
    place = f"file={_property(file)},line={line}," if file and line else ""
    return f"::{kind} {place}title={_property(title)}::{_message(words)}"


def rule(gate: Gate, rules: Mapping[str, int]) -> int:
    """The line of a gate: where its rule stands, or its own name; 0 where neither is known."""
    return rules.get(gate.rule) or rules.get(gate.shown.name) or 0


def render_github(
    results: Document, *, file: str = "", lines: Mapping[str, int] | None = None
) -> str:
    """One `::error` line for each gate that fails, `::warning` for each that stays open.

    Accepted gates are notices. Where the verdict is not 0 and no gate tells why, the verdict
    itself is a warning; a READY audit without accepted risks says nothing.

    Args:
        results: the document `results.json`.
        file: the file of the gates, seen from the root of the repository.
        lines: where each gate stands in it.
    """
    found: dict[str, list[str]] = {"error": [], "warning": [], "notice": []}
    for gate in gates(mapping(results)):
        if gate.state == "pass" or gate.word == BESIDE:
            continue
        kind = _KINDS.get(gate.state, "warning")
        title = f"Holdfast: {gate.word} {gate.shown.name}"
        words = f"{gate.shown.label}: {gate.shown.full}; needs {gate.wants}"
        words += f"; {gate.why}" if gate.why else ""
        found[kind].append(_command(kind, title, words, file, rule(gate, lines or {})))
    said = mapping(mapping(results).get("verdict"))
    if said.get("code") and not found["error"] and not found["warning"]:
        word = text(said.get("word"), 20)
        found["warning"].append(_command("warning", f"Holdfast: {word}", text(said.get("says"))))
    made = []
    for kind, every in found.items():
        shown = every if len(every) <= MOST else every[: MOST - 1]
        made += shown
        if left := len(every) - len(shown):
            made.append(_command(kind, "Holdfast", f"and {left} more gates; see the report"))
    return "".join(f"{one}\n" for one in made)
