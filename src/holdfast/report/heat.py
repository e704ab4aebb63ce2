"""Heat maps: cells with their number, darker where things are worse."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.report.document import Document, mappings, number, text
from holdfast.report.numbers import plain
from holdfast.report.risk import level, low_is_bad
from holdfast.report.tables import entry

_MOST = 24


@dataclass(frozen=True)
class HeatCell:
    """One cell: its number and its colour class."""

    text: str
    shade: str


@dataclass(frozen=True)
class Heat:
    """Columns, and rows of cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[HeatCell, ...]], ...]


def heat(figure: Document) -> Heat | None:
    """The map; accuracies and areas under a curve are shaded by how much they fall short."""
    rows = mappings(figure.get("rows"))
    columns = list(dict.fromkeys(entry(r.get("column")) for r in rows))[:_MOST]
    names = list(dict.fromkeys(entry(r.get("row")) for r in rows))[:_MOST]
    cells = {(entry(r.get("row")), entry(r.get("column"))): number(r.get("value")) for r in rows}
    known = [v for v in cells.values() if v is not None]
    if not known:
        return None
    shares = all(0 <= v <= 1 for v in known)
    low, high = (0.0, 1.0) if shares else (min(known), max(known))
    words = " ".join(text(figure.get(k)) for k in ("title", "x", "y", "says")).lower()
    area = shares and "auroc" in words
    risky = area or (low_is_bad(figure) and "accura" in words)

    def cell(value: float | None) -> HeatCell:
        if value is None:
            return HeatCell("–", "none")
        part = (value - low) / (high - low) if high > low else 0.0
        if area:  # one half is guessing
            return HeatCell(f"{value:.2f}", f"h{level(2 * (1 - part))}")
        shade = f"h{level(1 - part)}" if risky else f"b{level(part)}"
        return HeatCell(f"{100 * value:.0f}%" if shares else plain(value), shade)

    return Heat(
        tuple(columns), tuple((r, tuple(cell(cells.get((r, c))) for c in columns)) for r in names)
    )
