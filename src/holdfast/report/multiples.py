"""Small multiples: one square per panel, shares on both axes, one curve per series."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from holdfast.report.document import Document, mappings, number, text
from holdfast.report.vega import shares_only

_PANELS, _SERIES = 12, 6
_SIDE = 100.0


@dataclass(frozen=True)
class Panel:
    """One square, and the area under each of its curves with the colour of the curve."""

    name: str
    drawing: Markup
    areas: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Multiples:
    """All squares of a figure, and the colours of the series."""

    panels: tuple[Panel, ...]
    series: tuple[tuple[str, str], ...]
    x: str
    y: str


def multiples(figure: Document) -> Multiples | None:
    """The squares; None where rows name no panel or are no shares."""
    rows = [
        (text(r.get("panel"), 60), text(r.get("series"), 60), x, y, number(r.get("area")))
        for r in mappings(figure.get("rows"))
        if (x := number(r.get("x"))) is not None and (y := number(r.get("y"))) is not None
    ]
    if not rows or not all(r[0] for r in rows) or not shares_only(v for r in rows for v in r[2:4]):
        return None
    names = list(dict.fromkeys(r[1] for r in rows))[:_SERIES]
    colours = {name: f"s{i + 1}" for i, name in enumerate(names)}
    made = []
    for panel in list(dict.fromkeys(r[0] for r in rows))[:_PANELS]:
        own = [r for r in rows if r[0] == panel and r[1] in colours]
        curves = {n: [(r[2], r[3]) for r in own if r[1] == n] for n in names}
        area = {r[1]: r[4] for r in own if r[4] is not None}
        made.append(Panel(
            panel, _drawing({colours[n]: c for n, c in curves.items() if c}),
            tuple((colours[n], n, f"{area[n]:.2f}") for n in names if n in area),
        ))  # fmt: skip
    return Multiples(
        tuple(made), tuple((colours[n], n) for n in names), text(figure.get("x"), 80),
        text(figure.get("y"), 80),
    )  # fmt: skip


def _drawing(curves: dict[str, list[tuple[float, float]]]) -> Markup:
    """A square of which both sides are shares; the first series lies on top."""
    half = _SIDE / 2
    head = Markup('<svg class="square" viewBox="0 0 100 100" aria-hidden="true">')
    frame = Markup(
        '<rect width="100" height="100"/><path class="grid" d="M{h} 0V100M0 {h}H100"/>'
        '<path class="guess" d="M0 100L100 0"/>'
    ).format(h=f"{half:.0f}")
    line = Markup('<polyline class="{}" points="{}"/>')
    parts = [
        line.format(kind, " ".join(f"{_SIDE * x:.1f},{_SIDE * (1 - y):.1f}" for x, y in points))
        for kind, points in reversed(curves.items())
    ]
    return head + frame + Markup("").join(parts) + Markup("</svg>")
