"""Figures made ready for the page: caption, chart, heat map, pictures, and always a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.report.charts import DRAW
from holdfast.report.document import Document, mapping, mappings, text
from holdfast.report.dumbbells import Dumbbells, dumbbells
from holdfast.report.heat import Heat, heat, listed
from holdfast.report.limits import Limits, limits
from holdfast.report.multiples import Multiples, multiples
from holdfast.report.pictures import Picture, picture, pictured
from holdfast.report.proofs import Proofs, proofs
from holdfast.report.stages import Check, Ledger, ledger, panel
from holdfast.report.tables import Table, table
from holdfast.report.thinned import LEFT_OUT, MOST, short
from holdfast.report.vega import Spec


@dataclass(frozen=True)
class Thrift:
    """How much a page may carry; tightened step by step where it grows beyond its limit.

    Args:
        pictures: bytes of all pictures together.
        rows: rows of one data table.
        points: rows that one chart draws.
    """

    pictures: int = 380_000
    rows: int = 200
    points: int = MOST


@dataclass(frozen=True)
class Drawn:
    """One figure of the page."""

    id: str
    kind: str
    title: str
    says: str
    table: Table
    heat: Heat | None = None
    ledger: Ledger | None = None
    panel: tuple[Check, ...] = ()
    proofs: Proofs | None = None
    dumbbells: Dumbbells | None = None
    multiples: Multiples | None = None
    limits: Limits | None = None
    pictures: tuple[Picture, ...] = ()
    note: str = ""
    svg: Any = ""
    chart: bool = False
    signed: bool = False  # whether changes are drawn in two colours
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
    """Pictures and texts while there is room, and a note on what was left out."""
    made, refused = [], 0
    for row in rows:
        one = picture(row)
        size = sum(len(i.source) for i in one.images)
        if not (one.images or one.tokens) or desk.spent + size > desk.thrift.pictures:
            refused += 1
            continue
        desk.spent += size
        made.append(one)
    note = f"{refused} more without a picture here; all are listed in the table." if refused else ""
    return tuple(made), note


def drawn(desk: Desk, figure: Mapping[str, Any]) -> Drawn | None:
    """The figure made ready; None where it holds no rows."""
    figure = short(figure, desk.thrift.points)
    rows, kind = mappings(figure.get("rows")), text(figure.get("kind"))
    if not rows:
        return None
    anchor = desk.anchor(text(figure.get("name")) or kind)
    pairs = dumbbells(figure) if kind == "bars" else None
    reached = limits(figure) if kind == "bars" and pairs is None else None
    squares = multiples(figure) if kind == "lines" else None
    plain = kind in DRAW and not (pairs or reached or squares)
    spec = DRAW[kind](mapping(figure)) if plain else None
    if spec is not None:
        desk.charts[anchor] = spec
    ladder = proofs(rows) if kind == "table" else None
    if ladder is not None:
        kind = "proofs"
    pictures, note = _pictures(desk, rows) if kind == "gallery" else ((), "")
    if kind == "gallery" and not pictures and not any(map(pictured, rows)):
        kind, note = "table", ""  # rows that are no images
    return Drawn(
        id=anchor,
        kind=kind,
        title=text(figure.get("title"), 120),
        says=text(figure.get("says"), 400),
        table=table(
            listed(figure) if kind == "heat" else rows,
            desk.thrift.rows,
            int(figure.get(LEFT_OUT) or 0),
        ),
        heat=heat(figure) if kind == "heat" else None,
        ledger=ledger(rows) if kind == "table" else None,
        panel=panel(rows) if kind == "table" else (),
        proofs=ladder,
        dumbbells=pairs,
        multiples=squares,
        limits=reached,
        pictures=pictures,
        note=note,
        chart=spec is not None,
        signed=any("gain" in r for r in rows) and bool(pictures),
    )
