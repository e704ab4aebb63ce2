"""The sections below the first screen, in their fixed order; one without content is absent."""

from __future__ import annotations

from dataclasses import replace

from holdfast.report import added, envelope, envelope_chart, envelope_drawing, risk
from holdfast.report.change import Change, changes
from holdfast.report.closing import cost, listed, methods, not_tested, reproduce
from holdfast.report.document import Document, figures, mappings, outcomes, text
from holdfast.report.drawn import Desk, Drawn, drawn
from holdfast.report.history import over_time
from holdfast.report.parts import APART, Block, Section, block, section
from holdfast.report.screen import Fix, actions, gates
from holdfast.report.tables import Table, table
from holdfast.report.units import ranges

_CHECKS = [
    "clean", "attacks", "certificates", "corruptions", "slices", "calibration", "ood", "privacy",
    "explanations", "geometry",
]  # fmt: skip


def _blocks(desk: Desk, results: Document, key: str) -> tuple[Block, ...]:
    """All outcomes of one section that have something to say."""
    made = [block(desk, o) for o in outcomes(results) if text(o.get("section")) == key]
    return tuple(b for b in made if b.said or b.figures or b.numbers)


def _envelope(desk: Desk, results: Document, baseline: Document) -> Section | None:
    """One chart per norm; the drawing of our own stands until (or unless) scripts replace it."""
    source = [f for _, f in figures(results, "envelope")]
    made = []
    for panel in envelope.panels(results, baseline):
        every = [(f, r) for f in source for r in mappings(f.get("rows"))]
        own = [(f, r) for f, r in every if text(r.get("norm")) == panel.norm]
        figure = own[0][0] if own else {}
        x = text(figure.get("x"), 80) or f"radius ({panel.norm})"
        says = text(figure.get("says"), 400)
        if ranges(results) and x.endswith(")"):
            x = f"{x[:-1]}, share of each column's range)"
        anchor = desk.anchor(f"envelope {panel.norm}")
        desk.charts[anchor] = envelope_chart.chart(panel, x)
        title = "Accuracy against radius" + (f", {panel.norm}" if panel.norm else "")
        made.append(
            Drawn(
                anchor, "envelope", title, says, table([r for _, r in own], desk.thrift.rows),
                svg=envelope_drawing.drawing(panel, x, says or title), chart=True,
                note="before" if panel.before else "",
            )
        )  # fmt: skip
    told = {d.says for d in made}
    blocks = tuple(
        replace(b, said=tuple(s for s in b.said if s.says not in told))
        for b in _blocks(desk, results, "envelope")
    )
    return section("envelope", figures=tuple(made), blocks=blocks) if made or blocks else None


def _risk(desk: Desk, results: Document) -> Section | None:
    """The risk map, where at least one family is known."""
    strips = risk.strips(results)
    if not strips:
        return None
    worst = strips[0]
    part = f"{100 * worst.worst:.0f}%"
    family = worst.family[:1].lower() + worst.family[1:]
    says = f"Weakest spot: {family}, where up to {part} of inputs go wrong."
    head = ("family", *(f"level {i + 1}" for i in range(risk.LEVELS)))
    rows = tuple(
        (s.family, *("–" if c is None else f"{100 * c:.1f}%" for c in s.cells)) for s in strips
    )
    padded = tuple((*r, *[""] * (len(head) - len(r))) for r in rows)
    svg = risk.drawing(strips)
    one = Drawn(
        desk.anchor("risk"), "risk", "Error share by family", says, Table(head, padded), svg=svg
    )
    return section("risk", figures=(one,))


def _failures(desk: Desk, results: Document) -> Section | None:
    """All galleries together."""
    found = (drawn(desk, f) for s, f in figures(results, "gallery") if s == APART)
    made = tuple(d for d in found if d is not None)
    return section("failures", figures=made) if made else None


def _clean(desk: Desk, results: Document) -> Section | None:
    """Preflight and clean accuracy."""
    first = block(desk, {"question": "Preflight", "findings": results.get("preflight")})
    blocks = ((first,) if first.said else ()) + _blocks(desk, results, "clean")
    return section("clean", blocks=blocks) if blocks else None


def sections(desk: Desk, results: Document, run: Document, baseline: Document) -> list[Section]:
    """All sections that have content, in the order of the report."""
    checks: list[Section | None] = [
        section(k, blocks=b) if (b := _blocks(desk, results, k)) else None for k in _CHECKS[1:]
    ]
    placed = {*_CHECKS, "envelope", "risk", "failures"}
    other = dict.fromkeys(text(o.get("section"), 60) for o in outcomes(results))
    for name in other:
        if name not in placed and (b := _blocks(desk, results, name)):
            title = (name or "other").replace("-", " ").capitalize()
            key = f"more-{desk.anchor(name).removeprefix('fig-')}"
            checks.append(section(key, title, blocks=b))
    fixes: list[Fix] = actions(results)
    diff: list[Change] = changes(results, baseline, run) if baseline else []
    every: list[Section | None] = [
        _envelope(desk, results, baseline),
        _risk(desk, results),
        _failures(desk, results),
        _clean(desk, results),
        *checks,
        *added.sections(desk, results),
        cost(run),
        over_time(results, run, diff),
        listed("gates", gates(results)),
        listed("actions", fixes),
        listed("not-tested", not_tested(results)),
        listed("methods", methods(results)),
        reproduce(results),
    ]
    return [s for s in every if s is not None]
