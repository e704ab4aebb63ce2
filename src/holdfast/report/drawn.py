"""Figures made ready for the page: caption, chart, heat cells, pictures, and always a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.report.charts import DRAW, Spec
from holdfast.report.document import Document, mapping, mappings, number, text
from holdfast.report.numbers import plain
from holdfast.report.risk import level, low_is_bad

_PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")
_ORDER = (
    "title", "caption", "method", "check", "label", "result", "series", "row", "column", "norm",
    "bound", "radius", "x", "y", "confidence", "accuracy", "left", "right", "count", "value", "low",
    "high", "n", "tried on", "rows proved", "of", "broken", "forwards", "backwards",
)  # fmt: skip
_HEAT = 24


@dataclass(frozen=True)
class Thrift:
    """How much a page may carry; tightened step by step where it grows beyond its limit.

    Args:
        pictures: bytes of all pictures together.
        rows: rows of one data table.
    """

    pictures: int = 380_000
    rows: int = 200


@dataclass(frozen=True)
class HeatCell:
    """One cell of a heat map: its number and its colour class."""

    text: str
    shade: str


@dataclass(frozen=True)
class Table:
    """A data table and how many of its rows are not shown."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    hidden: int = 0


@dataclass(frozen=True)
class Picture:
    """One failure: what it is and its images (already checked to be PNG data)."""

    title: str
    caption: str
    images: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Drawn:
    """One figure of the page."""

    id: str
    kind: str
    title: str
    says: str
    table: Table
    heat: tuple[tuple[str, ...], tuple[tuple[str, tuple[HeatCell, ...]], ...]] | None = None
    pictures: tuple[Picture, ...] = ()
    note: str = ""
    svg: Any = ""
    chart: bool = False
    marked: Any = None  # the finding that it shows, where its sentence is the caption


@dataclass
class Desk:
    """Where one page is put together: charts so far, anchors in use, picture bytes left."""

    thrift: Thrift
    charts: dict[str, Spec] = field(default_factory=dict)
    anchors: set[str] = field(default_factory=set)
    spent: int = 0

    def anchor(self, name: str) -> str:
        """An id of its own made of plain letters."""
        stem = "fig-" + (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "chart")
        made, count = stem, 1
        while made in self.anchors:
            count += 1
            made = f"{stem}-{count}"
        self.anchors.add(made)
        return made


def entry(value: object) -> str:
    """One cell of a table as text."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int | float):
        known = number(value)
        return "not determined" if known is None else plain(known)
    return text(value, 160)


def table(rows: list[Document], most: int) -> Table:
    """All columns that occur, known ones first; pictures are never columns."""
    seen = dict.fromkeys(text(k, 60) for row in rows for k in row)
    hidden = {"image", "changed", "difference"}
    names = [k for k in _ORDER if k in seen] + [k for k in seen if k not in _ORDER]
    columns = [k for k in names if k not in hidden][:12]
    body = tuple(tuple(entry(row.get(k)) for k in columns) for row in rows[:most])
    return Table(tuple(columns), body, max(0, len(rows) - most))


def _heat(figure: Document) -> Any:
    """Columns and rows of shaded cells: darker is worse for accuracies, more for the rest."""
    rows = mappings(figure.get("rows"))
    columns = list(dict.fromkeys(entry(r.get("column")) for r in rows))[:_HEAT]
    names = list(dict.fromkeys(entry(r.get("row")) for r in rows))[:_HEAT]
    cells = {(entry(r.get("row")), entry(r.get("column"))): number(r.get("value")) for r in rows}
    known = [v for v in cells.values() if v is not None]
    if not known:
        return None
    shares = all(0 <= v <= 1 for v in known)
    low, high = (0.0, 1.0) if shares else (min(known), max(known))
    risky = (
        low_is_bad(figure)
        and "accura" in " ".join(text(figure.get(k)) for k in ("title", "x", "y", "says")).lower()
    )

    def cell(value: float | None) -> HeatCell:
        if value is None:
            return HeatCell("–", "none")
        part = (value - low) / (high - low) if high > low else 0.0
        shade = f"h{level(1 - part)}" if risky else f"b{level(part)}"
        return HeatCell(f"{100 * value:.0f}" if shares else plain(value), shade)

    return tuple(columns), tuple(
        (r, tuple(cell(cells.get((r, c))) for c in columns)) for r in names
    )


def _pictures(desk: Desk, rows: list[Document]) -> tuple[tuple[Picture, ...], str]:
    """Pictures while bytes are left, and a note on what was left out."""
    made, refused = [], 0
    for row in rows:
        images = []
        names = (("image", "original"), ("changed", "changed"), ("difference", "difference"))
        for key, word in names:
            source = row.get(key)
            if isinstance(source, str) and _PICTURE.fullmatch(source):
                images.append((word, source))
        size = sum(len(s) for _, s in images)
        if not images or desk.spent + size > desk.thrift.pictures:
            refused += 1
            continue
        desk.spent += size
        made.append(
            Picture(text(row.get("title"), 120), text(row.get("caption"), 200), tuple(images))
        )
    note = f"{refused} more without a picture here; all are listed in the table." if refused else ""
    return tuple(made), note


def drawn(desk: Desk, figure: Mapping[str, Any]) -> Drawn | None:
    """The figure made ready; None where it holds no rows."""
    rows, kind = mappings(figure.get("rows")), text(figure.get("kind"))
    if not rows:
        return None
    anchor = desk.anchor(text(figure.get("name")) or kind)
    spec = DRAW[kind](mapping(figure)) if kind in DRAW else None
    if spec is not None:
        desk.charts[anchor] = spec
    pictures, note = _pictures(desk, rows) if kind == "gallery" else ((), "")
    return Drawn(
        id=anchor,
        kind=kind,
        title=text(figure.get("title"), 120),
        says=text(figure.get("says"), 400),
        table=table(rows, desk.thrift.rows),
        heat=_heat(figure) if kind == "heat" else None,
        pictures=pictures,
        note=note,
        chart=spec is not None,
    )
