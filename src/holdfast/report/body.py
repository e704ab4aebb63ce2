"""The sections below the first screen, in their fixed order; one without content is absent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from holdfast.report import charts, envelope, risk
from holdfast.report.change import Change, changes
from holdfast.report.document import Document, figures, mapping, mappings, number, outcomes, text
from holdfast.report.drawn import Desk, Drawn, Table, drawn, entry, table
from holdfast.report.numbers import Shown, shown
from holdfast.report.screen import Fix, actions, gates
from holdfast.report.whisker import whisker
from holdfast.report.words import SECTIONS, severity

_APART = {"envelope", "gallery"}
_CHECKS = [
    "clean", "attacks", "certificates", "corruptions", "slices", "calibration", "ood", "privacy",
    "explanations", "geometry",
]  # fmt: skip


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


def _section(key: str, title: str = "", **parts: Any) -> Section:
    """A section with its usual title and question."""
    name, question = SECTIONS.get(key, (title, ""))
    return Section(key, name, question, **parts)


def _blocks(desk: Desk, results: Document, key: str) -> tuple[Block, ...]:
    """All outcomes of one section that have something to say."""
    made = [block(desk, o) for o in outcomes(results) if text(o.get("section")) == key]
    return tuple(b for b in made if b.said or b.figures or b.numbers)


def _envelope(desk: Desk, results: Document, baseline: Document) -> Section | None:
    """One chart per norm; the drawing of our own stands until (or unless) scripts replace it."""
    source = [f for _, f in figures(results, "envelope")]
    made = []
    for panel in envelope.panels(results, baseline):
        own = [f for f in source if panel.norm in {text(r.get("norm")) for r in mappings(f.get("rows"))}]
        figure = own[0] if own else {}
        x, says = text(figure.get("x"), 80), text(figure.get("says"), 400)
        anchor = desk.anchor(f"envelope {panel.norm}")
        desk.charts[anchor] = charts.envelope(panel, x)
        rows = [r for f in own for r in mappings(f.get("rows")) if text(r.get("norm")) == panel.norm]
        title = f"Accuracy against radius, {panel.norm}" if panel.norm else "Accuracy against radius"
        made.append(
            Drawn(
                anchor, "envelope", title, says, table(rows, desk.thrift.rows),
                svg=envelope.drawing(panel, x, says or title), chart=True,
                note="before" if panel.before else "",
            )
        )  # fmt: skip
    blocks = _blocks(desk, results, "envelope")
    return _section("envelope", figures=tuple(made), blocks=blocks) if made or blocks else None


def _risk(results: Document) -> Section | None:
    """The risk map, where at least one family is known."""
    strips = risk.strips(results)
    if not strips:
        return None
    worst = strips[0]
    says = f"The weakest spot is {worst.family}: up to {100 * worst.worst:.0f}% of inputs go wrong."
    head = ("family", *(f"level {i + 1}" for i in range(risk.LEVELS)))
    rows = tuple(
        (s.family, *("–" if c is None else f"{100 * c:.1f}%" for c in s.cells)) for s in strips
    )
    padded = tuple((*r, *[""] * (len(head) - len(r))) for r in rows)
    svg = risk.drawing(strips)
    one = Drawn("fig-risk", "risk", "Error share by family", says, Table(head, padded), svg=svg)
    return _section("risk", figures=(one,))


def _failures(desk: Desk, results: Document) -> Section | None:
    """All galleries together."""
    found = (drawn(desk, f) for _, f in figures(results, "gallery"))
    made = tuple(d for d in found if d is not None)
    return _section("failures", figures=made) if made else None


def _clean(desk: Desk, results: Document) -> Section | None:
    """Preflight and clean accuracy."""
    first = block(desk, {"question": "Preflight", "findings": results.get("preflight")})
    blocks = ((first,) if first.said else ()) + _blocks(desk, results, "clean")
    return _section("clean", blocks=blocks) if blocks else None


def _cost(run: Document) -> Section | None:
    """Seconds by check and whatever else the run tells in plain values."""
    spent = mapping(run.get("seconds")) or mapping(run.get("checks"))
    by_check = [(text(k, 80), number(v)) for k, v in spent.items()]
    longest = max((s for _, s in by_check if s is not None), default=0.0)
    rows = [
        (name, f"{s:.1f} s", Markup('<svg class="cost" width="100%" height="8" aria-hidden="true">'
         '<rect width="{:.1f}%" height="8" rx="2"/></svg>').format(100 * s / longest))
        for name, s in sorted(by_check, key=lambda p: -(p[1] or 0)) if s is not None and longest > 0
    ]  # fmt: skip
    facts = [
        (text(k, 60).replace("_", " "), entry(v))
        for k, v in run.items()
        if isinstance(v, str | int | float | bool) and k != "schema_version"
    ]
    return _section("cost", more={"rows": rows, "facts": facts}) if rows or facts else None


def _listed(key: str, rows: Iterable[Any]) -> Section | None:
    """A section that is a list."""
    made = list(rows)
    return _section(key, more={"rows": made}) if made else None


def not_tested(results: Document) -> list[tuple[str, str, str]]:
    """Name, reason and remedy of each check that did not run: declared ones, then outcomes."""
    declared = mappings(results.get("not_tested"))
    made = [(_check(d), text(d.get("reason"), 400), text(d.get("enable"), 300)) for d in declared]
    known = {c for c, _, _ in made}
    for outcome in outcomes(results):
        why = text(outcome.get("skipped"), 400) or text(outcome.get("error"), 400)
        if why and _check(outcome) not in known:
            made.append((_check(outcome), why, ""))
    return made


def _check(value: Document) -> str:
    """A check's name without its kind."""
    return text(value.get("check"), 80).removeprefix("check:").replace("-", " ").capitalize()


def _methods(results: Document) -> list[dict[str, str]]:
    """One card per method; a link is kept only if it is an https address."""
    made = []
    for method in mappings(results.get("methods")):
        one = {k: text(method.get(k), 300) for k in ("key", "says", "title", "year", "link", "claim")}
        settings = method.get("settings")
        one["settings"] = (
            text(json.dumps(settings, default=str, sort_keys=True), 300)
            if isinstance(settings, dict | list)
            else text(settings, 300)
        )
        one["link"] = one["link"] if one["link"].startswith("https://") else ""
        made.append(one)
    return made


def _reproduce(results: Document) -> Section | None:
    """The command and what identifies model, data and draws."""
    subject = mapping(results.get("subject"))
    model, data = mapping(subject.get("model")), mapping(subject.get("data"))
    rows = [
        ("Model", text(model.get("digest"), 200)),
        ("Parameters", entry(model.get("parameters"))),
        ("Kind", text(model.get("kind"), 80)),
        ("Data", text(data.get("digest"), 200)),
        ("Shape", text(data.get("shape"), 80)),
        ("Reference rows", entry(data.get("n_reference"))),
        ("Threats", ", ".join(text(t, 80) for t in subject.get("threats") or ())),
        ("Suite", text(results.get("suite"), 80)),
        ("Seed", text(results.get("seed"), 40)),
    ]
    command = text(results.get("command"), 600)
    kept = [(k, v) for k, v in rows if v and v != "–"]
    more = {"command": command, "rows": kept}
    return _section("reproduce", more=more) if command or kept else None


def sections(
    desk: Desk, results: Document, run: Document, baseline: Document
) -> list[Section]:
    """All sections that have content, in the order of the report."""
    checks: list[Section | None] = [
        _section(k, blocks=b) if (b := _blocks(desk, results, k)) else None for k in _CHECKS[1:]
    ]
    placed = {*_CHECKS, "envelope", "risk", "failures"}
    other = dict.fromkeys(text(o.get("section"), 60) for o in outcomes(results))
    for name in other:
        if name not in placed and (b := _blocks(desk, results, name)):
            title = (name or "other").replace("-", " ").capitalize()
            key = f"more-{desk.anchor(name).removeprefix('fig-')}"
            checks.append(_section(key, title, blocks=b))
    fixes: list[Fix] = actions(results)
    diff: list[Change] = changes(results, baseline) if baseline else []
    every: list[Section | None] = [
        _envelope(desk, results, baseline),
        _risk(results),
        _failures(desk, results),
        _clean(desk, results),
        *checks,
        _cost(run),
        _listed("change", diff),
        _listed("gates", gates(results)),
        _listed("actions", fixes),
        _listed("not-tested", not_tested(results)),
        _listed("methods", _methods(results)),
        _reproduce(results),
    ]
    return [s for s in every if s is not None]

