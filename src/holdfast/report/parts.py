"""The pieces of a section: findings, numbers and figures of one check, made ready to print."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from holdfast.report.document import Document, mappings, text
from holdfast.report.drawn import Desk, Drawn, drawn, entry
from holdfast.report.numbers import Shown, shown
from holdfast.report.whisker import whisker
from holdfast.report.words import SECTIONS, severity

_APART = {"envelope", "gallery"}


@dataclass(frozen=True)
class Said:
    """One finding: severity class, mark and word, sentence, advice, rows that show it."""

    state: str
    mark: str
    word: str
    says: str
    advice: str
    rows: str


@dataclass(frozen=True)
class Block:
    """One check within a section: its question, findings, figures and numbers."""

    question: str
    said: tuple[Said, ...]
    figures: tuple[Drawn, ...]
    numbers: tuple[tuple[Shown, Markup], ...]


@dataclass(frozen=True)
class Section:
    """One section of the page."""

    id: str
    title: str
    question: str
    blocks: tuple[Block, ...] = ()
    figures: tuple[Drawn, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)


def said(finding: Document) -> Said:
    """A finding made ready."""
    state, mark, word = severity(finding.get("severity"))
    rows = finding.get("rows")
    shown_rows = [entry(r) for r in rows[:8]] if isinstance(rows, list | tuple) else []
    return Said(
        state, mark, word, text(finding.get("says"), 600), text(finding.get("advice"), 400),
        ", ".join(shown_rows),
    )  # fmt: skip


def block(desk: Desk, outcome: Document) -> Block:
    """An outcome made ready; envelopes and galleries have sections of their own."""
    found = mappings(outcome.get("findings"))
    figs = [f for one in found for f in mappings(one.get("figures")) if f.get("kind") not in _APART]
    numbers = [shown(r) for one in found for r in mappings(one.get("readings"))]
    return Block(
        question=text(outcome.get("question"), 200),
        said=tuple(said(f) for f in found if text(f.get("says"))),
        figures=tuple(d for f in figs if (d := drawn(desk, f)) is not None),
        numbers=tuple((s, whisker(s)) for s in numbers),
    )


def section(key: str, title: str = "", **parts: Any) -> Section:
    """A section with its usual title and question."""
    name, question = SECTIONS.get(key, (title, ""))
    return Section(key, name, question, **parts)
