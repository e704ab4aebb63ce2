"""Data tables: plain text cells, numbers to the right, shares in percent."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.report.document import Document, number, text
from holdfast.report.numbers import plain

_ORDER = (
    "title", "caption", "threat", "state", "before", "after", "breaks at", "found by", "method",
    "check", "label",
    "result", "series", "row", "column", "norm", "bound", "radius", "x", "y", "confidence",
    "accuracy", "left", "right", "count", "value", "low", "high", "n", "tried on", "rows", "asked",
    "rows proved", "of", "broken", "success (share)", "median radius", "forwards", "backwards",
)  # fmt: skip
_HIDDEN = {"image", "changed", "difference", "reasons", "control", "text"}
_SHARE = " (share)"
_WORDS = {"pass": "good", "fail": "bad"}


@dataclass(frozen=True)
class Table:
    """A data table, how many of its rows are not shown, and which columns hold numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    hidden: int = 0
    numeric: tuple[bool, ...] = ()

    @property
    def head(self) -> list[tuple[str, str]]:
        """Each column with its class."""
        return [(name, self._side(i)) for i, name in enumerate(self.columns)]

    @property
    def body(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Each row with its class, each cell with its own."""
        made = []
        for row in self.rows:
            cells = [(c, _WORDS.get(c.lower(), self._side(i))) for i, c in enumerate(row)]
            made.append(("whole" if row and "pointwise worst" in row[0] else "", cells))
        return made

    def _side(self, column: int) -> str:
        return "r" if column < len(self.numeric) and self.numeric[column] else ""


def entry(value: object) -> str:
    """One cell of a table as text."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int | float):
        known = number(value)
        return "not determined" if known is None else plain(known)
    return text(value, 160)


def _cell(name: str, value: object) -> str:
    """A cell of a column; shares in percent."""
    known = number(value)
    return f"{100 * known:.1f}%" if name.endswith(_SHARE) and known is not None else entry(value)


def table(rows: list[Document], most: int, gone: int = 0) -> Table:
    """All columns that occur, known ones first; pictures are never columns.

    Args:
        rows: of the figure.
        most: how many of them are shown.
        gone: rows of the figure that were left out before.
    """
    seen = dict.fromkeys(text(k, 60) for row in rows for k in row)
    names = [k for k in _ORDER if k in seen] + [k for k in seen if k not in _ORDER]
    columns = [k for k in names if k not in _HIDDEN][:12]
    body = tuple(tuple(_cell(k, row.get(k)) for k in columns) for row in rows[:most])
    numeric = tuple(
        all(number(row.get(k)) is not None or row.get(k) is None for row in rows) for k in columns
    )
    shown = tuple(k.removesuffix(_SHARE) for k in columns)
    return Table(shown, body, max(0, len(rows) - most) + gone, numeric)
