"""The envelope as a Vega-Lite chart: the same corners as the drawing of our own."""

from __future__ import annotations

from holdfast.report.envelope import LEVELS, Panel, Point
from holdfast.report.vega import Spec, axis, spec

_LEVEL = f"datum.value ? round(datum.value * {LEVELS}) + '/{LEVELS}' : '0'"


def _curve(points: tuple[Point, ...], colour: str, name: str) -> list[Spec]:
    """Interval and dot of each measured radius."""
    data = {
        "values": [
            {"x": p.radius, "y": p.accuracy, "low": p.low, "high": p.high, "curve": name}
            for p in points
        ]
    }
    x: Spec = {"field": "x", "type": "quantitative"}
    rule: Spec = {
        "data": data,
        "mark": {"type": "rule", "color": colour, "strokeWidth": 1.5},
        "encoding": {
            "x": x, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"},
        },
    }  # fmt: skip
    dot: Spec = {
        "data": data,
        "mark": {"type": "point", "filled": True, "color": colour, "size": 44, "opacity": 1},
        "encoding": {"x": x, "y": {"field": "y", "type": "quantitative"}},
    }
    return [rule, dot]


def chart(panel: Panel, x: str) -> Spec:
    """Both step curves, the unknown shaded between them, the baseline behind."""
    data = {"values": [{"x": r, "low": a, "high": b} for r, a, b in panel.steps]}
    across: Spec = {
        "field": "x", "type": "quantitative", "title": x or f"radius ({panel.norm})",
        "scale": {"domain": [0, panel.end], "nice": False}, "axis": {"tickCount": 6},
    }  # fmt: skip
    if panel.levels:
        across["axis"] = {"values": panel.ticks, "labelExpr": _LEVEL}
    zero: Spec = {"datum": 0}

    def area(low: Spec, high: str, colour: str) -> Spec:
        y = axis(high, "accuracy", True)
        return {
            "data": data,
            "mark": {"type": "area", "color": colour, "opacity": 1},
            "encoding": {"x": across, "y": y, "y2": low},
        }

    def line(field: str, colour: str) -> Spec:
        mark = {"type": "line", "color": colour, "strokeWidth": 2.5, "strokeJoin": "round"}
        return {
            "data": data,
            "mark": mark,
            "encoding": {"x": across, "y": axis(field, "accuracy", True), "order": {"value": 1}},
        }

    layers = [area({"field": "low"}, "high", "var(--gap)")]
    if panel.lower:
        layers.append(area(zero, "low", "var(--proved)"))
    if panel.before:
        old = [{"x": p.radius, "high": p.accuracy} for p in panel.before if p.radius <= panel.end]
        dashed = {
            "type": "line", "color": "var(--ink-3)", "strokeDash": [3, 4], "strokeWidth": 1.75,
            "interpolate": "step-after",
        }  # fmt: skip
        y = axis("high", "accuracy", True)
        layers.append({"data": {"values": old}, "mark": dashed, "encoding": {"x": across, "y": y}})
    if panel.lower:
        layers += [line("low", "var(--accent)"), *_curve(panel.lower, "var(--accent)", "proved")]
    if panel.upper:
        layers += [line("high", "var(--fail)"), *_curve(panel.upper, "var(--fail)", "attacked")]
    return spec(layers, 300)
