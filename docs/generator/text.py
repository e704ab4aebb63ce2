"""Docstrings and tables as Markdown: what is code stays code, nothing else is taken for markup."""

from __future__ import annotations

import inspect
import re
from typing import Any

SECTIONS = ("Args", "Returns", "Raises", "Cost", "Yields", "Unlike the paper")
_HEAD = re.compile(rf"^({'|'.join(SECTIONS)}):[ \t]*(.*)$")
_MARKS = re.compile(r"([\\*_\[\]<>|#$~^{}])")


def escaped(text: str) -> str:
    """Plain text with code in backticks, safe in Markdown and in a cell of a table."""
    parts = re.split(r"(`[^`\n]+`)", text)
    return "".join(
        p.replace("|", "\\|") if p.startswith("`") and len(p) > 1
        else _MARKS.sub(r"\\\1", p.replace("`", "'"))
        for p in parts
    )  # fmt: skip


def paragraph(text: str) -> str:
    """One paragraph on one line; a line that would begin a list or a rule does not."""
    line = escaped(" ".join(text.split()))
    return re.sub(r"^([-+=]|\d+[.)])", r"\\\1", line)


def sections(thing: Any) -> dict[str, str]:
    """The parts of a docstring by their heading; what stands before the first is under ''."""
    found: dict[str, list[str]] = {"": []}
    heading = ""
    open_ = False  # whether the lines of a section may still go on unindented
    for line in (inspect.getdoc(thing) or "").splitlines():
        head = _HEAD.match(line)
        if head:
            heading, open_ = head[1], bool(head[2])
            found[heading] = [head[2]] if head[2] else []
        elif heading and line and not line.startswith(" ") and not open_:
            heading = ""
            found[""] += ["", line]
        else:
            found[heading].append(line)
            open_ = open_ and bool(line)
    return {name: inspect.cleandoc("\n".join(lines)) for name, lines in found.items()}


def arguments(thing: Any) -> dict[str, str]:
    """What the docstring says of each argument."""
    found: dict[str, str] = {}
    name = ""
    for line in sections(thing).get("Args", "").splitlines():
        start = re.match(r"^\*{0,2}(\w+)(?: \([^)]*\))?:\s*(.*)$", line)
        if start:
            name = start[1]
            found[name] = start[2]
        elif name:
            found[name] += " " + line.strip()
    return found


def body(text: str) -> list[str]:
    """Paragraphs of a docstring; indented ones, formulas and sketches, as they are."""
    told: list[str] = []
    for part in re.split(r"\n\s*\n", text.strip()):
        if not part.strip():
            continue
        lines = part.splitlines()
        if all(line.startswith("    ") for line in lines):
            told += ["```text", inspect.cleandoc(part), "```", ""]
        elif all(re.match(r"\s*[-*] |\s{2,}", line) for line in lines):
            items = re.split(r"\n(?=[-*] )", part)
            told += [f"- {paragraph(re.sub(r'^[-*] ', '', i.strip()))}" for i in items] + [""]
        else:
            told += [paragraph(part), ""]
    return told


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A table whose cells are Markdown already."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def code(text: str, language: str = "python") -> list[str]:
    """A block of code."""
    return [f"```{language}", text.rstrip(), "```", ""]
