"""Heat maps: cells with their number, darker where things are worse, rows gathered in families."""

from __future__ import annotations

import re
from dataclasses import dataclass

from holdfast.report.document import Document, mappings, number, text
from holdfast.report.numbers import plain
from holdfast.report.risk import level, low_is_bad, numeric
from holdfast.report.tables import entry

_MOST, _STEPS = 24, 10
_HELD = {"row", "column", "value", "low", "high", "n", "group"}


@dataclass(frozen=True)
class HeatCell:
    """One cell: its number, its colour class, and whether it is the worst of the map."""

    text: str
    shade: str
    worst: bool = False


@dataclass(frozen=True)
class Heat:
    """The map.

    Args:
        columns: heads of the columns.
        groups: families of rows: name (empty without families), then rows of cells.
        x: what the columns are.
        y: what the rows are.
        key: colour classes from good to bad, with the numbers at both ends; empty without a scale.
        mean: whether the last column is the mean of the others.
    """

    columns: tuple[str, ...]
    groups: tuple[tuple[str, tuple[tuple[str, tuple[HeatCell, ...]], ...]], ...]
    x: str = ""
    y: str = ""
    key: tuple[str, tuple[str, ...], str] | None = None
    mean: bool = False

    @property
    def rows(self) -> tuple[tuple[str, tuple[HeatCell, ...]], ...]:
        """All rows, whatever their family."""
        return tuple(row for _, rows in self.groups for row in rows)

    @property
    def ringed(self) -> bool:
        """Whether a cell is marked as the worst."""
        return any(cell.worst for _, cells in self.rows for cell in cells)


def _title(figure: Document, axis: str) -> str:
    """The title of an axis without what stands in brackets."""
    return re.sub(r" *\([^)]*\)$", "", text(figure.get(axis), 60))


def listed(figure: Document) -> list[Document]:
    """The cells as lines of a table whose columns are named by the axes."""
    names = {"row": _title(figure, "y") or "row", "column": _title(figure, "x") or "column"}
    rows = mappings(figure.get("rows"))
    known = [v for r in rows if (v := number(r.get("value"))) is not None]
    if known and "accura" in text(figure.get("title")).lower() and all(0 <= v <= 1 for v in known):
        names |= {"value": "accuracy (share)", "low": "low (share)", "high": "high (share)"}
    return [{names.get(k, k): v for k, v in r.items() if k in _HELD} for r in rows]


def heat(figure: Document) -> Heat | None:
    """The map; accuracies and areas under a curve are shaded by how much they fall short.

    Where the columns are levels of severity, a mean over them closes each row.
    """
    rows = mappings(figure.get("rows"))
    columns = list(dict.fromkeys(entry(r.get("column")) for r in rows))[:_MOST]
    family = {entry(r.get("row")): text(r.get("group"), 40) for r in rows}
    cells = {(entry(r.get("row")), entry(r.get("column"))): number(r.get("value")) for r in rows}
    known = [v for v in cells.values() if v is not None]
    if not known:
        return None
    shares = all(0 <= v <= 1 for v in known)
    low, high = (0.0, 1.0) if shares else (min(known), max(known))
    words = " ".join(text(figure.get(k)) for k in ("title", "x", "y", "says")).lower()
    area = shares and "auroc" in words
    risky = area or (low_is_bad(figure) and "accura" in words)
    mean = shares and not area and len(columns) > 1 and all(
        isinstance(numeric(c), float) for c in columns
    )  # fmt: skip

    def cell(value: float | None, mark: bool = True) -> HeatCell:
        if value is None:
            return HeatCell("–", "none")
        part = (value - low) / (high - low) if high > low else 0.0
        worst = mark and risky and value == min(known) < max(known)
        if area:  # one half is guessing
            return HeatCell(f"{value:.2f}", f"h{level(2 * (1 - part))}", worst)
        shade = f"h{level(1 - part)}" if risky else f"b{level(part)}"
        return HeatCell(f"{100 * value:.0f}%" if shares else plain(value), shade, worst)

    def line(name: str) -> tuple[HeatCell, ...]:
        own = [cells.get((name, c)) for c in columns]
        there = [v for v in own if v is not None]
        every = cell(sum(there) / len(there) if there else None, False)
        return (*map(cell, own), *([every] if mean else []))

    names = list(family)[:_MOST]
    return Heat(
        (*columns, *(["mean"] if mean else [])),
        tuple((g, tuple((n, line(n)) for n in names if family[n] == g))
              for g in dict.fromkeys(family[n] for n in names)),
        _title(figure, "x"), _title(figure, "y"), _key(area) if risky else None, mean,
    )  # fmt: skip


def _key(area: bool) -> tuple[str, tuple[str, ...], str]:
    """The scale of colours, good to the left."""
    steps = tuple(f"h{i}" for i in range(_STEPS))
    return ("1.00", steps, "0.50, guessing") if area else ("100%", steps, "0%")
