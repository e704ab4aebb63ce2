"""Vega-Lite specifications of the charts: plain data, so that tests can read them.

Colours are CSS variables (the charts are drawn as SVG), so light, dark and print need no redraw.
Text of users stands only in data values and titles, never in an expression.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from holdfast.report.document import Document, mappings, number, text
from holdfast.report.envelope import Panel, Point

Spec = dict[str, Any]
_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_SERIES = [f"var(--s{i})" for i in range(1, 7)]
_ROWS, _BAR = 400, 26

CONFIG: Spec = {
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--ink-2)", "titleColor": "var(--ink-2)", "labelFontSize": 12,
        "titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 12,
        "gridColor": "var(--line)", "domain": False, "ticks": False, "labelPadding": 8,
    },
    "axisX": {"grid": False},
    "legend": {
        "labelColor": "var(--ink-2)", "titleColor": "var(--ink-2)", "labelFontSize": 12,
        "orient": "top", "title": None, "symbolType": "circle", "symbolStrokeWidth": 0,
        "columns": 3, "labelLimit": 160,
    },
    "range": {"category": _SERIES},
    "text": {"color": "var(--ink-2)", "fontSize": 12},
}  # fmt: skip


def _spec(layers: list[Spec], height: int, data: list[Spec] | None = None) -> Spec:
    """Layers that fill the width of their box."""
    spec: Spec = {
        "$schema": _SCHEMA,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "layer": layers,
    }
    return spec if data is None else {**spec, "data": {"values": data}}


def _clean(rows: Iterable[Document], texts: str, numbers: str, needs: str) -> list[Spec]:
    """Only the named columns, with plain values; rows that lack a needed number are left out."""
    made = []
    for row in list(rows)[:_ROWS]:
        one: Spec = {k: text(row.get(k), 80) for k in texts.split() if k in row}
        one |= {k: v for k in numbers.split() if (v := number(row.get(k))) is not None}
        if all(k in one for k in needs.split()):
            made.append(one)
    return made


def _share(values: Iterable[float]) -> bool:
    """Whether all values are shares."""
    return all(0.0 <= v <= 1.0 for v in values)


def _axis(field: str, title: str, shares: bool, **more: Any) -> Spec:
    """A quantitative axis; shares run from 0 to 100 %."""
    axis: Spec = {"field": field, "type": "quantitative", "title": title or None, **more}
    if shares:
        axis |= {"scale": {"domain": [0, 1]}, "axis": {"format": ".0%", "tickCount": 5}}
    return axis


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


def envelope(panel: Panel, x: str) -> Spec:
    """Both step curves, the unknown shaded between them, the baseline behind."""
    data = {"values": [{"x": r, "low": a, "high": b} for r, a, b in panel.steps]}
    across: Spec = {
        "field": "x", "type": "quantitative", "title": x or f"radius ({panel.norm})",
        "scale": {"domain": [0, panel.end], "nice": False}, "axis": {"tickCount": 6},
    }  # fmt: skip
    zero: Spec = {"datum": 0}

    def area(low: Spec, high: str, colour: str) -> Spec:
        y = _axis(high, "accuracy", True)
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
            "encoding": {"x": across, "y": _axis(field, "accuracy", True), "order": {"value": 1}},
        }

    layers = [area({"field": "low"}, "high", "var(--gap)")]
    if panel.lower:
        layers.append(area(zero, "low", "var(--proved)"))
    if panel.before:
        old = [{"x": p.radius, "high": p.accuracy} for p in panel.before]
        layers.append(
            {
                "data": {"values": old},
                "mark": {"type": "line", "color": "var(--ink-3)", "strokeDash": [3, 4]},
                "encoding": {"x": across, "y": _axis("high", "accuracy", True)},
            }
        )
    if panel.lower:
        layers += [line("low", "var(--accent)"), *_curve(panel.lower, "var(--accent)", "proved")]
    if panel.upper:
        layers += [line("high", "var(--fail)"), *_curve(panel.upper, "var(--fail)", "attacked")]
    return _spec(layers, 300)


def bars(figure: Document) -> Spec | None:
    """Horizontal bars with intervals, in the order given."""
    rows = _clean(mappings(figure.get("rows")), "label", "value low high n", "value")[:40]
    if not rows:
        return None
    shares = _share([r[k] for r in rows for k in ("value", "low", "high") if k in r])
    y: Spec = {
        "field": "label", "type": "nominal", "sort": None, "title": None,
        "axis": {"labelLimit": 150},
        "scale": {"paddingInner": 0.45},
    }  # fmt: skip
    mark: Spec = {"type": "bar", "color": "var(--bar)", "cornerRadiusEnd": 3}
    layers: list[Spec] = [
        {"mark": mark, "encoding": {"y": y, "x": _axis("value", text(figure.get("x")), shares)}},
        {
            "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
            "mark": {"type": "rule", "color": "var(--ink)", "strokeWidth": 1.5},
            "encoding": {
                "y": y,
                "x": {"field": "low", "type": "quantitative"},
                "x2": {"field": "high"},
            },
        },
    ]
    return _spec(layers, _BAR * len({r.get("label") for r in rows}) + 8, rows)


def lines(figure: Document) -> Spec | None:
    """One line per series, its interval as a soft band."""
    rows = _clean(mappings(figure.get("rows")), "series", "x y low high", "x y")
    if not rows:
        return None
    shares = _share([r[k] for r in rows for k in ("y", "low", "high") if k in r])
    x: Spec = {
        "field": "x", "type": "quantitative", "title": text(figure.get("x")) or None,
        "scale": {"zero": False, "nice": False},
    }  # fmt: skip
    if _share([r["x"] for r in rows]) and max(r["x"] for r in rows) > 0.5:  # noqa: PLR2004
        x["axis"] = {"format": ".0%"}
    named = len({r.get("series") for r in rows}) > 1
    colour: Spec = (
        {"field": "series", "type": "nominal", "sort": None} if named else {"value": "var(--s1)"}
    )
    title = text(figure.get("y"))
    layers: list[Spec] = [
        {
            "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
            "mark": {"type": "area", "opacity": 0.16},
            "encoding": {
                "x": x, "y": _axis("low", title, shares), "y2": {"field": "high"}, "color": colour,
            },
        },
        {
            "mark": {"type": "line", "strokeWidth": 2.25},
            "encoding": {"x": x, "y": _axis("y", title, shares), "color": colour},
        },
    ]  # fmt: skip
    return _spec(layers, 240, rows)


def reliability(figure: Document) -> Spec | None:
    """Accuracy against confidence; the area of a point is the number of rows behind it."""
    needs = "confidence accuracy count"
    rows = [
        r for r in _clean(mappings(figure.get("rows")), "", needs, needs) if r["count"] > 0
    ]  # an empty bin says nothing
    if not rows:
        return None
    x = _axis("confidence", "confidence", True)
    y = _axis("accuracy", "accuracy", True)
    ideal = {"values": [{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]}
    size: Spec = {
        "field": "count", "type": "quantitative", "scale": {"range": [30, 500]},
        "legend": {"title": "rows", "orient": "top", "symbolFillColor": "var(--s1)", "values":
                   sorted({min(r["count"] for r in rows), max(r["count"] for r in rows)})},
    }  # fmt: skip
    gap: Spec = {"type": "rule", "color": "var(--s1)", "opacity": 0.35, "strokeWidth": 2}
    layers: list[Spec] = [
        {
            "data": ideal,
            "mark": {"type": "line", "color": "var(--ink-3)", "strokeDash": [4, 4]},
            "encoding": {"x": x, "y": y},
        },
        {"mark": gap, "encoding": {"x": x, "y": y, "y2": {"field": "confidence"}}},
        {
            "mark": {"type": "point", "filled": True, "color": "var(--s1)", "opacity": 0.85},
            "encoding": {"x": x, "y": y, "size": size},
        },
    ]
    return _spec(layers, 260, rows)


def histogram(figure: Document) -> Spec | None:
    """Counts between two ends, one colour per series."""
    rows = _clean(mappings(figure.get("rows")), "series", "left right count", "left right count")
    if not rows:
        return None
    named = len({r.get("series") for r in rows}) > 1
    colour: Spec = (
        {"field": "series", "type": "nominal", "sort": None} if named else {"value": "var(--s1)"}
    )
    title = text(figure.get("x")) or None
    encoding: Spec = {
        "x": {"field": "left", "type": "quantitative", "title": title, "scale": {"zero": False}},
        "x2": {"field": "right"},
        "y": {
            "field": "count", "type": "quantitative", "title": text(figure.get("y")) or "rows",
            "stack": None,
        },
        "y2": {"datum": 0},
        "color": colour,
    }  # fmt: skip
    mark: Spec = {"type": "bar", "opacity": 0.6 if named else 0.9, "binSpacing": 1}
    return _spec([{"mark": mark, "encoding": encoding}], 220, rows)


DRAW = {"bars": bars, "lines": lines, "reliability": reliability, "histogram": histogram}
