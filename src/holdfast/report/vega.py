"""What all charts share: Vega-Lite specifications as plain data, so that tests can read them.

Colours are CSS variables (the charts are drawn as SVG), so light, dark and print need no redraw.
Text of users stands only in data values and titles, never in an expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from textwrap import wrap
from typing import Any

from holdfast.report.document import Document, number, text

Spec = dict[str, Any]
_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_SERIES = [f"var(--s{i})" for i in range(1, 7)]
_ROWS, SMALL = 400, 0.5
_LINE = 40  # letters of a title that stand beneath a chart on a phone

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


def titled(title: str) -> str | list[str] | None:
    """The title of an axis, in two lines where one would not fit a narrow screen."""
    if len(title) <= _LINE:
        return title or None
    return wrap(title, max(_LINE, len(title) // 2 + 8), break_long_words=False)


def shares_only(values: Iterable[float]) -> bool:
    """Whether all values are shares."""
    return all(0.0 <= v <= 1.0 for v in values)


def axis(field: str, title: str, shares: bool, top: float = 1.0) -> Spec:
    """A quantitative axis; shares in percent, up to 100 unless all of them are small."""
    axis: Spec = {"field": field, "type": "quantitative", "title": title or None}
    if shares:
        axis["title"] = re.sub(r" *\(share[^)]*\)$", "", title) or None
        axis["axis"] = {"format": "~%", "tickCount": 5}
        axis["scale"] = {"domain": [0, 1 if top > SMALL else top or 1], "nice": top <= SMALL}
    return axis
