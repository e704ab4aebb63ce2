"""Figures made ready for the page: caption, chart, heat map, pictures, and always a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.report.charts import DRAW, Spec
from holdfast.report.document import Document, mapping, mappings, text
from holdfast.report.heat import Heat, heat
from holdfast.report.tables import Table, table

_PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")
_IMAGES = (
    ("image", "original"), ("changed", "changed"), ("difference", "change ×10"),
    ("reasons", "attribution"), ("control", "untrained"),
)  # fmt: skip


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
    heat: Heat | None = None
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


def _pictures(desk: Desk, rows: list[Document]) -> tuple[tuple[Picture, ...], str]:
    """Pictures while bytes are left, and a note on what was left out."""
    made, refused = [], 0
    for row in rows:
        images = []
        for key, word in _IMAGES:
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
    if kind == "gallery" and not pictures and not any(k in r for r in rows for k, _ in _IMAGES):
        kind, note = "table", ""  # rows that are no images
    return Drawn(
        id=anchor,
        kind=kind,
        title=text(figure.get("title"), 120),
        says=text(figure.get("says"), 400),
        table=table(rows, desk.thrift.rows),
        heat=heat(figure) if kind == "heat" else None,
        pictures=pictures,
        note=note,
        chart=spec is not None,
    )
