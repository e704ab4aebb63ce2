"""What an audit tells while it runs, and to whom."""

from __future__ import annotations

from typing import Protocol

from holdfast.run.perform import Done
from holdfast.run.plan import Cell


class Progress(Protocol):
    """What an audit tells while it runs."""

    def planned(self, cells: tuple[Cell, ...], seconds: float) -> None:
        """Once, before the first cell: what will run and the forecast in seconds."""

    def begins(self, cell: Cell, left: float) -> None:
        """A cell starts; `left` is the forecast for it and all behind it, in seconds."""

    def within(self, cell: Cell, done: int, count: int, broken: int) -> None:
        """A search of a running cell has dealt with `done` of `count` rows."""

    def finished(self, done: Done, found: bool) -> None:
        """A cell is on disk; `found` if it was already there."""

    def ended(self) -> None:
        """Once, behind the last cell."""


class Silent:
    """Tells nothing."""

    def planned(self, cells: tuple[Cell, ...], seconds: float) -> None:
        """Say nothing."""

    def begins(self, cell: Cell, left: float) -> None:
        """Say nothing."""

    def within(self, cell: Cell, done: int, count: int, broken: int) -> None:
        """Say nothing."""

    def finished(self, done: Done, found: bool) -> None:
        """Say nothing."""

    def ended(self) -> None:
        """Say nothing."""
