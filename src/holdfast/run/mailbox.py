"""Outcomes on their way between machines that share a disk: one whole file for each cell.

A file is JSON and sealed, written under another name and renamed; what is half there, or was
changed on the way, is not there. Nobody locks anything, so any file system will do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from holdfast.run.elsewhere import Unfit
from holdfast.run.perform import Done
from holdfast.run.plan import Cell
from holdfast.run.restored import outcome_of
from holdfast.run.workers import Broken
from holdfast.run.writing import canonical, plain, write

_KINDS = {"broken": Broken, "unfit": Unfit}


@dataclass(frozen=True)
class Mailbox:
    """The folder in which jobs leave what became of their cells.

    Args:
        folder: made when the first file is left.
    """

    folder: Path

    def names(self) -> frozenset[str]:
        """All files that are there now, from one look at the folder."""
        try:
            return frozenset(entry.name for entry in os.scandir(self.folder))
        except FileNotFoundError:
            return frozenset()

    def begin(self, cell: Cell) -> None:
        """Leave a mark: if nothing follows it, the process died with this cell."""
        write(self.folder / begun(cell), "")

    def post(self, cell: Cell, found: Done | Broken | Unfit) -> None:
        """Leave what became of a cell; it is on disk when this returns."""
        if isinstance(found, Done):
            body = {"kind": "done"} | {
                k: plain(getattr(found, k))
                for k in ("outcome", "trace", "lasting", "times", "alone")
            }
        else:
            body = {"kind": type(found).__name__.lower()} | plain(found)
        seal = sha256(canonical(body).encode()).hexdigest()
        write(self.folder / posted(cell), canonical({"body": body, "sha256": seal}))

    def fetch(self, cell: Cell) -> Done | Broken | Unfit | None:
        """What was left for a cell; None without it, or if the file was damaged."""
        try:
            row = json.loads((self.folder / posted(cell)).read_text("utf-8"))
            body: dict[str, Any] = row["body"]
            if row["sha256"] != sha256(canonical(body).encode()).hexdigest():
                return None
            kind = _KINDS.get(str(body.pop("kind")))
            if kind is not None:
                found: Broken | Unfit = kind(**body)
                return found
            return Done(cell, outcome_of(body.pop("outcome")), **body)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def empty(self, cells: Iterable[Cell]) -> None:
        """Remove whatever was left for some cells."""
        there = self.names()
        for cell in cells:
            for name in {begun(cell), posted(cell)} & there:
                (self.folder / name).unlink(missing_ok=True)


def begun(cell: Cell) -> str:
    """The name of the mark that a cell was begun."""
    return f"{cell.key}.{cell.place}.begun"


def posted(cell: Cell) -> str:
    """The name of the file that holds what became of a cell."""
    return f"{cell.key}.{cell.place}.json"
