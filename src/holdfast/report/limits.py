"""Distances against the limit from which on one counts, line by line, the largest first."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from holdfast.report.document import Document, mappings, number, text
from holdfast.report.numbers import plain

_MOST, _HEIGHT, _MIDDLE = 40, 24, 12
_WIDTH, _ROOM = 96.0, 1.08  # percent of the box; the axis ends a little beyond the largest value


@dataclass(frozen=True)
class Line:
    """One distance: its drawing, its number and p-value in words, and whether it is beyond."""

    label: str
    drawing: Markup
    value: str
    p: str
    beyond: bool


@dataclass(frozen=True)
class Limits:
    """All distances of a figure, the limit in words, and what they are."""

    lines: tuple[Line, ...]
    limit: str
    x: str
    y: str


def limits(figure: Document) -> Limits | None:
    """The distances; None unless each line has a value and a limit."""
    rows = mappings(figure.get("rows"))[:_MOST]
    found = [
        (row, value, limit)
        for row in rows
        if (value := number(row.get("value"))) is not None
        and (limit := number(row.get("limit"))) is not None
    ]
    if not found or len(found) < len(rows) or min(v for _, *pair in found for v in pair) < 0:
        return None
    end = _ROOM * (max(v for _, *pair in found for v in pair) or 1.0)
    return Limits(
        tuple(_line(row, value, limit, end) for row, value, limit in found),
        plain(found[0][2]), text(figure.get("x"), 200), text(figure.get("y"), 60),
    )  # fmt: skip


def _line(row: Document, value: float, limit: float, end: float) -> Line:
    """From zero to the distance, with the limit as a dashed line."""
    beyond = row.get("moved") is True
    p = number(row.get("p"))
    svg = Markup(
        '<svg class="dumbbell{worse}" width="100%" height="{h}" aria-hidden="true">'
        '<line class="grid" x1="0" x2="0" y1="0" y2="{h}"/>'
        '<line class="limit" x1="{l:.2f}%" x2="{l:.2f}%" y1="0" y2="{h}"/>'
        '<line class="fall" x1="0" x2="{v:.2f}%" y1="{m}" y2="{m}"/>'
        '<circle class="after" cx="{v:.2f}%" cy="{m}" r="5"/></svg>'
    ).format(
        worse=" worse" if beyond else "", h=_HEIGHT, m=_MIDDLE, l=_WIDTH * limit / end,
        v=_WIDTH * value / end,
    )  # fmt: skip
    return Line(
        text(row.get("label"), 80), svg, plain(value), "" if p is None else _chance(p), beyond
    )


def _chance(p: float) -> str:
    return "< 0.001" if p < 1e-3 else f"{p:.3f}"
