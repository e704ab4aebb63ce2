"""Accuracy before and after, line by line: a hollow point, a filled one, and their intervals.

Each line is a table row whose drawing stretches with its box, so that text keeps its size and the
same numbers stand beside it for those who do not see the drawing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

from markupsafe import Markup

from holdfast.report.document import Document, mappings, number, text
from holdfast.report.vega import shares_only

_MOST, _HEIGHT, _MIDDLE = 40, 26, 13
_WIDE = 0.5  # of the axis: wider spans get ticks twice as far apart


@dataclass(frozen=True)
class Line:
    """One comparison: its drawing, its numbers in words, and whether it is surely worse."""

    label: str
    drawing: Markup
    value: str
    interval: str
    change: str
    n: str
    worse: bool


@dataclass(frozen=True)
class Dumbbells:
    """All comparisons of a figure, its axis, and what the two points are."""

    lines: tuple[Line, ...]
    axis: Markup
    x: str
    before: str
    after: str
    reference: str

    @property
    def worse(self) -> bool:
        """Whether any line is surely worse."""
        return any(line.worse for line in self.lines)


def _ends(rows: list[Document]) -> tuple[float, tuple[float, ...]]:
    """Where the axis begins, and its ticks; it ends at one."""
    keys = ("value", "low", "before", "before low")
    least = min(v for r in rows for k in keys if (v := number(r.get(k))) is not None)
    start = max(0, floor(10 * least)) / 10
    start = min(start, 0.8)
    step = 0.2 if 1 - start > _WIDE - 1e-9 else 0.1
    count = floor((1 - start) / step + 1e-9)
    return start, tuple(round(1 - step * i, 1) for i in range(count, -1, -1))


def dumbbells(figure: Document) -> Dumbbells | None:
    """The comparisons; None unless each line has shares before and after."""
    rows = mappings(figure.get("rows"))[:_MOST]
    found = [r for r in rows if None not in (number(r.get("value")), number(r.get("before")))]
    if not found or not shares_only(
        v for r in found for k in ("value", "before") if (v := number(r.get(k))) is not None
    ):
        return None
    start, ticks = _ends(found)
    one = found[0]
    value, low, high = (number(one.get(k)) for k in ("before", "before low", "before high"))
    return Dumbbells(
        tuple(_line(r, start, ticks) for r in found),
        _axis(start, ticks), text(figure.get("x"), 240),
        text(one.get("against"), 60) or "before", text(figure.get("y"), 60) or "after",
        _percent(value) + (f" {_interval(low, high)}" if low is not None else ""),
    )  # fmt: skip


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}%"


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def _at(value: float, start: float) -> float:
    """Percent of the width; a little room is left for points at both ends."""
    return 2.0 + 96.0 * min(1.0, max(0.0, (value - start) / (1 - start)))


def _axis(start: float, ticks: tuple[float, ...]) -> Markup:
    """The numbers above the drawings."""
    one = Markup('<text{} x="{:.2f}%" y="12" text-anchor="{}">{}%</text>')
    parts = [
        one.format(
            Markup(' class="odd"') if 0 < i < len(ticks) - 1 else "",  # left out on phones
            100.0 if t == ticks[-1] else _at(t, start),
            "end" if t == ticks[-1] else "start" if _at(t, start) < 4 else "middle",
            round(100 * t),
        )
        for i, t in enumerate(ticks)
    ]
    head = Markup('<svg class="dumbbell" width="100%" height="16" aria-hidden="true">')
    return head + Markup("").join(parts) + Markup("</svg>")


def _line(row: Document, start: float, ticks: tuple[float, ...]) -> Line:
    value, before = number(row.get("value")) or 0.0, number(row.get("before")) or 0.0
    low, high = number(row.get("low")), number(row.get("high"))
    least, most = number(row.get("before low")), number(row.get("before high"))
    floor_of = before if least is None else least
    worse = (value if high is None else high) < floor_of
    parts = [_box("band", least, most, start, 0, _HEIGHT)]
    grid = Markup('<line class="grid" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>')
    parts += [grid.format(_at(t, start), _HEIGHT) for t in ticks]
    bar = Markup('<line class="fall" x1="{:.2f}%" x2="{:.2f}%" y1="{y}" y2="{y}"/>')
    parts.append(bar.format(_at(before, start), _at(value, start), y=_MIDDLE))
    parts.append(_box("range", low, high, start, _MIDDLE - 4, 8))
    dot = Markup('<circle class="{}" cx="{:.2f}%" cy="{}" r="{}"/>')
    parts.append(dot.format("before", _at(before, start), _MIDDLE, 4))
    parts.append(dot.format("after", _at(value, start), _MIDDLE, 5))
    head = Markup('<svg class="dumbbell{}" width="100%" height="{}" aria-hidden="true">')
    change = round(100 * (value - before), 1)
    sign = "−" if change < 0 else "+" if change > 0 else "±"
    rows = number(row.get("n"))
    return Line(
        text(row.get("label"), 80),
        head.format(" worse" if worse else "", _HEIGHT) + Markup("").join(parts) + Markup("</svg>"),
        _percent(value), _interval(low, high), f"{sign}{abs(change):.1f}",
        "" if rows is None else f"{rows:,.0f}", worse,
    )  # fmt: skip


def _box(
    kind: str, low: float | None, high: float | None, start: float, y: int, height: int
) -> Markup:
    """An interval as a box; nothing where an end is unknown."""
    if low is None or high is None:
        return Markup("")
    a, b = _at(low, start), _at(high, start)
    box = Markup('<rect class="{}" x="{:.2f}%" y="{}" width="{:.2f}%" height="{}"{}/>')
    rounded = Markup(' rx="4"') if kind == "range" else ""
    return box.format(kind, a, y, max(0.4, b - a), height, rounded)
