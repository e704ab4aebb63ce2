"""The envelope drawn as inline SVG, which needs no script; colours come from the style sheet."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from markupsafe import Markup

from holdfast.report.envelope import Panel, Point

_LEFT, _TOP, _WIDTH, _HEIGHT = 44.0, 12.0, 580.0, 250.0


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


def _axes(panel: Panel, x: str) -> Markup:
    """Grid lines and labels of both axes."""
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _TOP + _HEIGHT * (1 - share)
        line = Markup('<line class="grid" x1="{}" x2="{}" y1="{y}" y2="{y}"/>')
        parts.append(line.format(_LEFT, _LEFT + _WIDTH, y=f"{y:.1f}"))
        tick = Markup('<text x="{}" y="{}" text-anchor="end">{}%</text>')
        parts.append(tick.format(_LEFT - 8, f"{y + 4:.1f}", round(100 * share)))
    for radius in panel.ticks:
        tick = Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>')
        at = f"{_LEFT + _WIDTH * radius / panel.end:.1f}"
        parts.append(tick.format(at, _TOP + _HEIGHT + 20, panel.tick(radius)))
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
        '<svg class="drawing envelope" viewBox="0 0 660 312" role="img" aria-label="{}">'
    ).format(says)
    parts = [head, shape.format("gap", _path([*up, *reversed(low)], end))]
    if panel.lower:
        parts.append(shape.format("proved", _path([(0, 0), *low, (end, 0)], end)))
    parts.append(_axes(panel, x or f"radius ({panel.norm})"))
    if panel.before:
        known = [p for p in panel.before if p.radius <= end]
        after = [(p.radius, before.accuracy) for before, p in pairwise(known)]
        own = [(p.radius, p.accuracy) for p in known]
        old = [*own[:1], *(c for pair in zip(after, own[1:], strict=True) for c in pair)]
        parts.append(line.format("before", _path(old, end)))
    if panel.lower:
        parts += [line.format("lower", _path(low, end)), _whiskers(panel.lower, "lower", end)]
    if panel.upper:
        parts += [line.format("upper", _path(up, end)), _whiskers(panel.upper, "upper", end)]
    return Markup("").join(parts) + Markup("</svg>")
