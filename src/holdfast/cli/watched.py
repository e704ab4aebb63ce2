"""How far one attack is: rows done, rows broken, time left."""

from __future__ import annotations

import time

from holdfast.cli.progress import Told, clock
from holdfast.run.keeper import Keeper


class Watched(Told):
    """Tells how many rows an attack has dealt with, and how many of them are broken."""

    broken = 0
    open = 0  # rows that are attacked: they are right without any change
    begun = 0.0
    keeper: Keeper | None = None

    def starts(self, name: str, total: int) -> None:
        """From here on so many rows are attacked."""
        self.name, self.total, self.begun = name, total, time.monotonic()
        self._line(f"{name} on {total:,} rows")
        self._refresh()

    def keeps(self, keeper: Keeper | None) -> None:
        """Pieces are kept here; some may be there from an earlier attempt."""
        self.keeper = keeper
        if keeper is not None and keeper.before:
            self._line(f"going on: {keeper.before} pieces of an earlier attempt are there")

    def dealt(self, done: int, count: int, broken: int) -> None:
        """So many of the rows that were right are done, and so many of them are broken."""
        lost = self.total - count
        self.done, self.broken, self.open = done + lost, broken + lost, count
        self._refresh()

    def turns(self, name: str) -> None:
        """What happens now, where rows are not counted."""
        self.name, self.total = name, 0
        self._line(name)
        self._refresh()

    def status(self) -> str:
        took = time.monotonic() - self.begun
        if not self.total:
            return f"{self.name}   {clock(took)}"
        read = 0 if self.keeper is None else self.keeper.resumed
        made = self.done - (self.total - self.open) - read
        if not self.open or made <= 0:
            return f"{self.done:,}/{self.total:,} rows   {self.name}   {clock(took)}"
        left = took * (self.total - self.done) / made
        stand = f"{1 - self.broken / self.done:.1%} stand so far, not yet checked"
        return f"{self.done:,}/{self.total:,} rows   {stand}   {self.name}   eta {clock(left)}"
