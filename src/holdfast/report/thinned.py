"""Figures of any length made short before they are drawn, so that no chart walks a million rows.

Rows that stand in an order of weight (tables, bars, pictures, cells) keep their head; points of a
curve are taken at even steps from its first to its last, so that its form stays; bins cannot be
left out without lying about what is seen, so those charts become the head of a table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from holdfast.report.document import Document, mapping, mappings, text

MOST = 2_000  # rows of one figure that a page ever looks at
RADII = 240  # and of an envelope, whose steps are compared with one another
POINTS = 400  # and of a chart of lines, which draws no more
LEFT_OUT = "rows left out"
_CURVES = ("lines", "envelope")
_BINS = ("histogram", "reliability")


def _curve(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells one curve from another in the rows of a figure."""
    return tuple(text(row.get(k), 60) for k in ("panel", "series", "norm", "bound"))


def _steps(rows: list[Any], most: int) -> list[Any]:
    """Rows at even steps, the first and the last among them."""
    if len(rows) <= most:
        return rows
    if most < 2:
        return rows[:most]
    return [rows[i * (len(rows) - 1) // (most - 1)] for i in range(most)]


def _even(rows: list[Any], most: int) -> list[Any]:
    """At most so many rows in all, the same share of every curve, in their order."""
    curves: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        curves[_curve(row)].append(place)
    shown = list(curves.values())[:most]
    kept = [p for own in shown for p in _steps(own, max(2, most // len(shown)))]
    return [rows[place] for place in sorted(kept)]


def short(figure: Document, most: int = MOST) -> Document:
    """A figure of at most about `most` rows, with the number of those left out."""
    rows = figure.get("rows")
    if not isinstance(rows, list | tuple) or len(rows) <= most:
        return figure
    kind, every = text(figure.get("kind")), mappings(rows)
    kept = _even(every, most) if kind in _CURVES else every[:most]
    before = figure.get(LEFT_OUT)
    gone = len(every) - len(kept) + (before if isinstance(before, int) else 0)
    return {**figure, "rows": kept, LEFT_OUT: gone, "kind": "table" if kind in _BINS else kind}


def _most(figure: Document) -> int:
    """How many rows of a figure a page looks at."""
    rows, kind = mappings(figure.get("rows")), text(figure.get("kind"))
    one_chart = kind == "lines" and not (rows and "panel" in rows[0])
    return RADII if kind == "envelope" else POINTS if one_chart else MOST


def thinned(results: Document) -> Document:
    """The same document with short figures; whatever is short already is the same object."""

    def one(finding: object) -> object:
        figures = mapping(finding).get("figures")
        if not isinstance(figures, list | tuple):
            return finding
        return {**mapping(finding), "figures": [short(f, _most(f)) for f in mappings(figures)]}

    def told(outcome: object) -> object:
        found = mapping(outcome).get("findings")
        if not isinstance(found, list | tuple):
            return outcome
        return {**mapping(outcome), "findings": [one(f) for f in found]}

    every = results.get("outcomes")
    if not isinstance(every, list | tuple):
        return results
    return {**results, "outcomes": [told(o) for o in every]}
