"""Vega-Lite specifications of the charts: plain data, so that tests can read them.

Colours are CSS variables (the charts are drawn as SVG), so light, dark and print need no redraw.
Text of users stands only in data values and titles, never in an expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from holdfast.report.document import Document, mappings, number, text

Spec = dict[str, Any]
_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_SERIES = [f"var(--s{i})" for i in range(1, 7)]
_ROWS, _BAR, _SMALL = 400, 26, 0.5

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
        "columns": 3, "labelLimit": 160, "symbolOpacity": 1,
    },
    "range": {"category": _SERIES},
    "text": {"color": "var(--ink-2)", "fontSize": 12},
}  # fmt: skip


def spec(layers: list[Spec], height: int, data: list[Spec] | None = None) -> Spec:
    """Layers that fill the width of their box."""
    spec: Spec = {
        "$schema": _SCHEMA,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "layer": layers,
    }
    return spec if data is None else {**spec, "data": {"values": data}}


def clean(rows: Iterable[Document], texts: str, numbers: str, needs: str) -> list[Spec]:
    """Only the named columns, with plain values; rows that lack a needed number are left out."""
    made = []
    for row in list(rows)[:_ROWS]:
        one: Spec = {k: text(row.get(k), 80) for k in texts.split() if k in row}
        one |= {k: v for k in numbers.split() if (v := number(row.get(k))) is not None}
        if all(k in one for k in needs.split()):
            made.append(one)
    return made


def shares_only(values: Iterable[float]) -> bool:
    """Whether all values are shares."""
    return all(0.0 <= v <= 1.0 for v in values)


def axis(field: str, title: str, shares: bool, top: float = 1.0) -> Spec:
    """A quantitative axis; shares in percent, up to 100 unless all of them are small."""
    axis: Spec = {"field": field, "type": "quantitative", "title": title or None}
    if shares:
        axis["title"] = re.sub(r" *\(share[^)]*\)$", "", title) or None
        axis["axis"] = {"format": "~%", "tickCount": 5}
        axis["scale"] = {"domain": [0, 1 if top > _SMALL else top or 1], "nice": top <= _SMALL}
    return axis


def bars(figure: Document) -> Spec | None:
    """Horizontal bars with intervals, in the order given."""
    rows = clean(mappings(figure.get("rows")), "label", "value low high n", "value")[:40]
    if not rows:
        return None
    shares = shares_only([r[k] for r in rows for k in ("value", "low", "high") if k in r])
    y: Spec = {
        "field": "label", "type": "nominal", "sort": None, "title": None,
        "axis": {"labelLimit": 150},
        "scale": {"paddingInner": 0.45},
    }  # fmt: skip
    mark: Spec = {"type": "bar", "color": "var(--bar)", "cornerRadiusEnd": 3}
    layers: list[Spec] = [
        {"mark": mark, "encoding": {"y": y, "x": axis("value", text(figure.get("x")), shares)}},
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
    return spec(layers, _BAR * len({r.get("label") for r in rows}) + 8, rows)


def lines(figure: Document) -> Spec | None:
    """One line per series, its interval as a soft band."""
    rows = clean(mappings(figure.get("rows")), "series", "x y low high", "x y")
    if not rows:
        return None
    values = [r[k] for r in rows for k in ("y", "low", "high") if k in r]
    shares, top = shares_only(values), max(values)
    x: Spec = {
        "field": "x", "type": "quantitative", "title": text(figure.get("x")) or None,
        "scale": {"zero": False, "nice": False}, "axis": {"tickCount": 6},
    }  # fmt: skip
    length = text(figure.get("x")).startswith("radius")
    if not length and shares_only([r["x"] for r in rows]) and max(r["x"] for r in rows) > _SMALL:
        x["axis"] = {"format": ".0%", "tickCount": 6}
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
                "x": x, "y": axis("low", title, shares, top), "y2": {"field": "high"},
                "color": colour,
            },
        },
        {
            "mark": {"type": "line", "strokeWidth": 2.25},
            "encoding": {"x": x, "y": axis("y", title, shares, top), "color": colour},
        },
    ]  # fmt: skip
    return spec(layers, 240, rows)


def reliability(figure: Document) -> Spec | None:
    """Accuracy against confidence; the area of a point is the number of rows behind it."""
    needs = "confidence accuracy count"
    rows = [
        r for r in clean(mappings(figure.get("rows")), "", needs, needs) if r["count"] > 0
    ]  # an empty bin says nothing
    if not rows:
        return None
    x = axis("confidence", "confidence", True)
    y = axis("accuracy", "accuracy", True)
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
    return spec(layers, 260, rows)


def histogram(figure: Document) -> Spec | None:
    """Counts between two ends, one colour per series."""
    rows = clean(mappings(figure.get("rows")), "series", "left right count", "left right count")
    if not rows:
        return None
    named = len({r.get("series") for r in rows}) > 1
    colour: Spec = (
        {"field": "series", "type": "nominal", "sort": None} if named else {"value": "var(--s1)"}
    )
    title = text(figure.get("x")) or None
    encoding: Spec = {
        "x": {
            "field": "left", "type": "quantitative", "title": title, "scale": {"zero": False},
            "axis": {"tickCount": 6},
        },
        "x2": {"field": "right"},
        "y": {
            "field": "count", "type": "quantitative", "title": text(figure.get("y")) or "rows",
            "stack": None,
        },
        "y2": {"datum": 0},
        "color": colour,
    }  # fmt: skip
    mark: Spec = {"type": "bar", "opacity": 0.34 if named else 0.9, "binSpacing": 1}
    layers: list[Spec] = [{"mark": mark, "encoding": encoding}]
    if named:
        tops = {k: encoding[k] for k in ("x", "x2", "y", "color")}
        layers += [{"mark": {"type": "rule", "strokeWidth": 2.5}, "encoding": tops}]
    return spec(layers, 220, rows)


DRAW = {"bars": bars, "lines": lines, "reliability": reliability, "histogram": histogram}
