"""How far a certificate is: rows asked about, rows proved, time left."""

from __future__ import annotations

import time

from holdfast.cli.progress import Told, clock


class Proving(Told):
    """Tells how many rows were asked about, and how many of them are proved."""

    proved = asked = 0
    begun = 0.0

    def starts(self, name: str, total: int) -> None:
        """From here on so many rows are certified."""
        self.name, self.total, self.begun = name, total, time.monotonic()
        self._line(f"{name} on {total:,} rows")
        self._refresh()

    def goes_on(self, pieces: int) -> None:
        """So much is there from an earlier attempt."""
        self._line(f"going on: {pieces} pieces of an earlier attempt are there")

    def heard(self, rows: int, proved: int) -> None:
        """So many more rows were asked about, and so many of them are proved."""
        self.asked += rows
        self.done, self.proved = min(self.asked, self.total), self.proved + proved
        self._refresh()

    def attacked(self, done: int, count: int, broken: int) -> None:
        """What is not proved is attacked, and a share of what is."""
        if self.total:
            self.total = 0
            self._line(f"{self.proved:,} proved; the rest and some of these are attacked")
        self.name = f"{done:,}/{count:,} rows attacked"
        self._refresh()

    def status(self) -> str:
        took = time.monotonic() - self.begun
        if not self.total or not self.asked:
            return f"{self.name}   {clock(took)}"
        left = took * max(self.total - self.asked, 0) / self.asked
        return (
            f"{self.done:,}/{self.total:,} rows   {self.proved:,} proved   {self.name}   "
            f"at most {clock(left)} more"
        )
