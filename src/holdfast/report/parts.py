"""The pieces of a section: findings, numbers and figures of one check, made ready to print."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from markupsafe import Markup

from holdfast.report.document import Document, doubts, mappings, text
from holdfast.report.drawn import Desk, Drawn, drawn
from holdfast.report.numbers import Shown, shown
from holdfast.report.tables import entry
from holdfast.report.whisker import whisker
from holdfast.report.words import SECTIONS, severity

APART = "attacks"  # the section whose galleries are shown as failures


@dataclass(frozen=True)
class Said:
    """One finding: severity class, mark and word, sentence, advice, rows that show it, doubts."""

    state: str
    mark: str
    word: str
    says: str
    advice: str
    rows: str
    flags: tuple[str, ...] = ()


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
        ", ".join(shown_rows), doubts(finding),
    )  # fmt: skip


def _finding(desk: Desk, finding: Document, apart: set[str]) -> tuple[Said | None, list[Drawn]]:
    """A finding and its figures; a figure that says the same bears the finding as its caption."""
    one: Said | None = said(finding) if text(finding.get("says")) else None
    made = []
    for figure in mappings(finding.get("figures")):
        if figure.get("kind") in apart:
            one = None if one is not None and text(figure.get("says"), 400) == one.says else one
            continue
        done = drawn(desk, figure)
        if done is None:
            continue
        if one is not None and done.says == one.says:
            done, one = replace(done, marked=one), None
        made.append(done)
    return one, made


def block(desk: Desk, outcome: Document) -> Block:
    """An outcome made ready; envelopes and galleries have sections of their own."""
    found = mappings(outcome.get("findings"))
    apart = {"envelope", "gallery"} if outcome.get("section") == APART else {"envelope"}
    pairs = [_finding(desk, f, apart) for f in found]
    numbers = [shown(r) for one in found for r in mappings(one.get("readings"))]
    return Block(
        question=text(outcome.get("question"), 200),
        said=tuple(one for one, _ in pairs if one is not None),
        figures=tuple(f for _, made in pairs for f in made),
        numbers=tuple((s, whisker(s)) for s in numbers),
    )


def section(key: str, title: str = "", **parts: Any) -> Section:
    """A section with its usual title and question."""
    name, question = SECTIONS.get(key, (title, ""))
    return Section(key, name, question, **parts)
