"""The envelope: robust accuracy against radius, attacked from above and certified from below.

Robust accuracy can only fall as the radius grows. So a number found by attack at one radius is an
upper bound for all larger ones, and a number proved at one radius is a lower bound for all smaller
ones: between the measured radii both curves are steps, and the truth lies between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from holdfast.report.document import Document, figures, mappings, number, text

_LEFT, _TOP, _WIDTH, _HEIGHT = 44.0, 12.0, 580.0, 250.0


@dataclass(frozen=True)
class Point:
    """One measured radius: accuracy with its interval."""

    radius: float
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """The envelope of one norm; `steps` holds (radius, proved, attacked), `before` the baseline."""

    norm: str
    upper: tuple[Point, ...]
    lower: tuple[Point, ...]
    before: tuple[Point, ...] = ()

    @property
    def end(self) -> float:
        """The largest measured radius."""
        return max((p.radius for p in (*self.upper, *self.lower)), default=1.0) or 1.0

    @property
    def steps(self) -> list[tuple[float, float, float]]:
        """Corners (radius, proved, attacked) of both step curves, left to right."""
        radii = sorted({0.0, *(p.radius for p in (*self.upper, *self.lower))})
        corners: list[tuple[float, float, float]] = []
        for here, after in zip(radii, [*radii[1:], None], strict=True):
            corners.append((here, _proved(self.lower, here), _attacked(self.upper, here, True)))
            corners.append((here, _proved(self.lower, here, True), _attacked(self.upper, here)))
            if after is not None:
                corners.append(
                    (after, _proved(self.lower, after), _attacked(self.upper, here))
                )
        return list(dict.fromkeys(corners))


def _attacked(points: tuple[Point, ...], radius: float, before: bool = False) -> float:
    """The least accuracy found at a radius up to this one (before: strictly below it)."""
    known = [p.accuracy for p in points if p.radius < radius or (p.radius == radius and not before)]
    return min(known, default=1.0)


def _proved(points: tuple[Point, ...], radius: float, beyond: bool = False) -> float:
    """The largest accuracy proved at this radius or a larger one (beyond: strictly larger)."""
    known = [p.accuracy for p in points if p.radius > radius or (p.radius == radius and not beyond)]
    return max(known, default=0.0)


def _points(rows: Iterable[Document], norm: str, bound: str) -> tuple[Point, ...]:
    """The rows of one curve that carry numbers, by radius."""
    found = []
    for row in rows:
        radius, accuracy = number(row.get("radius")), number(row.get("accuracy"))
        if radius is None or accuracy is None:
            continue
        if text(row.get("norm")) == norm and text(row.get("bound")) == bound:
            low, high = number(row.get("low")), number(row.get("high"))
            low, high = accuracy if low is None else low, accuracy if high is None else high
            found.append(Point(radius, accuracy, low, high))
    return tuple(sorted(found, key=lambda p: p.radius))


def panels(results: Document, baseline: Document | None = None) -> list[Panel]:
    """One panel per norm, in order of appearance."""
    rows = [r for _, f in figures(results, "envelope") for r in mappings(f.get("rows"))]
    old = [r for _, f in figures(baseline or {}, "envelope") for r in mappings(f.get("rows"))]
    norms = dict.fromkeys(text(r.get("norm")) for r in rows)
    made = [
        Panel(n, _points(rows, n, "upper"), _points(rows, n, "lower"), _points(old, n, "upper"))
        for n in norms
    ]
    return [p for p in made if p.upper or p.lower]


def _path(corners: Iterable[tuple[float, float]], end: float) -> str:
    """Coordinates of a polyline in the frame of the drawing."""
    return " ".join(
        f"{_LEFT + _WIDTH * x / end:.1f},{_TOP + _HEIGHT * (1 - y):.1f}" for x, y in corners
    )


def _whiskers(points: tuple[Point, ...], kind: str, end: float) -> Markup:
    """Interval and dot of each measured radius."""
    one = Markup(
        '<line class="{k}" x1="{x}" x2="{x}" y1="{a}" y2="{b}"/><circle class="{k}" cx="{x}" '
        'cy="{y}" r="3"/>'
    )
    return Markup("").join(
        one.format(
            k=kind,
            x=f"{_LEFT + _WIDTH * p.radius / end:.1f}",
            a=f"{_TOP + _HEIGHT * (1 - p.low):.1f}",
            b=f"{_TOP + _HEIGHT * (1 - p.high):.1f}",
            y=f"{_TOP + _HEIGHT * (1 - p.accuracy):.1f}",
        )
        for p in points
    )


def _axes(end: float, x: str) -> Markup:
    """Grid lines and labels of both axes."""
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _TOP + _HEIGHT * (1 - share)
        line = Markup('<line class="grid" x1="{}" x2="{}" y1="{y}" y2="{y}"/>')
        parts.append(line.format(_LEFT, _LEFT + _WIDTH, y=f"{y:.1f}"))
        tick = Markup('<text x="{}" y="{}" text-anchor="end">{}%</text>')
        parts.append(tick.format(_LEFT - 8, f"{y + 4:.1f}", round(100 * share)))
        tick = Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>')
        parts.append(tick.format(_LEFT + _WIDTH * share, _TOP + _HEIGHT + 20, f"{end * share:.3g}"))
    title = Markup('<text class="title" x="{}" y="{}" text-anchor="middle">{}</text>')
    parts.append(title.format(_LEFT + _WIDTH / 2, _TOP + _HEIGHT + 42, x))
    return Markup("").join(parts)


def drawing(panel: Panel, x: str, says: str) -> Markup:
    """The panel as inline SVG; colours come from the style sheet, so it works without scripts."""
    end, steps = panel.end, panel.steps
    up = [(r, high) for r, _, high in steps]
    low = [(r, proved) for r, proved, _ in steps]
    shape = Markup('<polygon class="{}" points="{}"/>')
    line = Markup('<polyline class="{}" points="{}"/>')
    head = Markup(
        '<svg class="drawing envelope" viewBox="0 0 640 312" role="img" aria-label="{}">'
    ).format(says)
    parts = [head, shape.format("gap", _path([*up, *reversed(low)], end))]
    if panel.lower:
        parts.append(shape.format("proved", _path([(0, 0), *low, (end, 0)], end)))
    parts.append(_axes(end, x or f"radius ({panel.norm})"))
    if panel.before:
        old = [(p.radius, p.accuracy) for p in panel.before if p.radius <= end]
        parts.append(line.format("before", _path(old, end)))
    if panel.lower:
        parts += [line.format("lower", _path(low, end)), _whiskers(panel.lower, "lower", end)]
    if panel.upper:
        parts += [line.format("upper", _path(up, end)), _whiskers(panel.upper, "upper", end)]
    return Markup("").join(parts) + Markup("</svg>")
