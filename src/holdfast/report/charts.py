"""The charts: bars, lines, reliability and histograms as Vega-Lite specifications."""

from __future__ import annotations

from holdfast.report.document import Document, mappings, text
from holdfast.report.vega import SMALL, Spec, axis, clean, shares_only, spec, titled

_BAR = 26


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
        "field": "x", "type": "quantitative", "title": titled(text(figure.get("x"))),
        "scale": {"zero": False, "nice": False}, "axis": {"tickCount": 6},
    }  # fmt: skip
    length = text(figure.get("x")).startswith("radius")
    if not length and shares_only([r["x"] for r in rows]) and max(r["x"] for r in rows) > SMALL:
        x["axis"] = {"format": ".0%", "tickCount": 6}
    names = len({r.get("series") for r in rows})
    legend: Spec = {"legend": {"columns": 2}} if names == 3 else {}  # fits half of the width
    colour: Spec = (
        {"field": "series", "type": "nominal", "sort": None} | legend
        if names > 1
        else {"value": "var(--s1)"}
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
    """Accuracy against confidence; the area of a point is the number of rows behind it.

    A point bears its interval where it has one, else the line of its distance from the diagonal.
    """
    needs = "confidence accuracy count"
    rows = [
        r for r in clean(mappings(figure.get("rows")), "series", f"{needs} low high", needs)
        if r["count"] > 0
    ]  # fmt: skip
    if not rows:
        return None
    x = axis("confidence", "confidence", True)
    y = axis("accuracy", "accuracy", True)
    ideal = {"values": [{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]}
    named, colour, size = _points(rows)
    if named:
        x["title"] = "confidence (area of a point: rows)"
    known = "isValid(datum.low) && isValid(datum.high)"
    gap: Spec = {"type": "rule", "opacity": 0.3, "strokeWidth": 2}
    range_: Spec = {"type": "rule", "opacity": 0.4, "strokeWidth": 2}
    end: Spec = {"type": "quantitative"}
    layers: list[Spec] = [
        {
            "data": ideal,
            "mark": {"type": "line", "color": "var(--ink-3)", "strokeDash": [4, 4]},
            "encoding": {"x": x, "y": y},
        },
        {
            "transform": [{"filter": f"!({known})" if not named else "false"}],
            "mark": gap,
            "encoding": {"x": x, "y": y, "y2": {"field": "confidence"}, "color": colour},
        },
        {
            "transform": [{"filter": known}],
            "mark": range_,
            "encoding": {"x": x, "y": end | {"field": "low"}, "y2": {"field": "high"},
                         "color": colour},
        },
        {
            "mark": {"type": "point", "filled": True, "opacity": 0.85},
            "encoding": {"x": x, "y": y, "size": size, "color": colour},
        },
    ]  # fmt: skip
    return spec(layers, 300 if named else 260, rows)


def _points(rows: list[Spec]) -> tuple[bool, Spec, Spec]:
    """Whether there are several series; colour and area of the points of a reliability chart."""
    names = list(dict.fromkeys(str(r.get("series")) for r in rows))
    named = len(names) > 1
    colour: Spec = (
        {"field": "series", "type": "nominal", "scale": {"domain": names}}
        if named
        else {"value": "var(--s1)"}
    )
    counts = sorted({min(r["count"] for r in rows), max(r["count"] for r in rows)})
    legend: Spec = {
        "title": "rows", "orient": "top", "symbolFillColor": "var(--s1)", "values": counts,
    }  # fmt: skip
    size: Spec = {
        "field": "count", "type": "quantitative", "scale": {"range": [30, 420]},
        "legend": None if named else legend,
    }  # fmt: skip
    return named, colour, size


def histogram(figure: Document) -> Spec | None:
    """Counts between two ends, one colour per series."""
    rows = clean(mappings(figure.get("rows")), "series", "left right count", "left right count")
    if not rows:
        return None
    named = len({r.get("series") for r in rows}) > 1
    colour: Spec = (
        {"field": "series", "type": "nominal", "sort": None} if named else {"value": "var(--s1)"}
    )
    title = titled(text(figure.get("x")))
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
