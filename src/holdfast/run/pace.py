"""How long what is left will take: forecasts of cells, corrected by those that have finished."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from holdfast.core.records import Subject
from holdfast.run import usual
from holdfast.run.perform import Done
from holdfast.run.plan import Cell
from holdfast.run.rates import Rates

_PRIOR = 2.0  # seconds that the first forecast counts for: one cheap cell proves little


@dataclass
class Pace:
    """Forecasts seconds from passes, from what checks took before, and from this run so far.

    Args:
        per_pass: seconds of one row through the model.
        rates: what checks have cost on this machine.
        workers: how many cells run at once; 0 where a cluster has not said so yet, which counts
            as one.
        values: numbers in one row.
        slow: how much slower this machine is than that on which usual times were measured.
        pictured: whether rows are images.
    """

    per_pass: float = 1e-9
    rates: Rates = field(default_factory=Rates)
    workers: int = 1
    values: int = 0
    slow: float = 1.0
    pictured: bool = True
    told: float = 0.0
    took: float = 0.0
    ends: float = 0.0  # when all cells are finished, and until when that is believed
    believed: float = 0.0

    def one(self, cell: Cell) -> float:
        """Seconds of a cell."""
        factor = (self.took + _PRIOR) / (self.told + _PRIOR)
        return self._before(cell) * factor

    def all(self, cells: Iterable[Cell]) -> float:
        """Seconds until all these cells are finished."""
        each = [self.one(cell) for cell in cells if not cell.skipped]
        return max([sum(each) / max(self.workers, 1), *each]) if each else 0.0

    def left(self, cells: Iterable[Cell]) -> float:
        """Seconds until all cells that are left are finished, asked again and again.

        A forecast is believed for twenty times as long as it took to make: with thousands of cells
        a new one for each would take longer than they do.
        """
        now = time.monotonic()
        if now >= self.believed:
            self.ends = now + self.all(cells)
            self.believed = now + 20 * (time.monotonic() - now)
        return max(self.ends - now, 0.0)

    def learn(self, done: Done) -> None:
        """Take in what a finished cell took."""
        if done.outcome.skipped or done.outcome.error:
            return
        busy = self.rates.busy()
        self.told += self._before(done.cell) / busy
        self.took += done.outcome.seconds / busy
        self.rates.learn(done.cell.name, self._nominal(done.cell), done.outcome.seconds)

    def meet(self, subject: Subject, per_pass: float) -> None:
        """Take in how long the rows of a subject take on this machine."""
        self.per_pass, self.values = per_pass, usual.values(subject)
        self.slow, self.pictured = usual.slowness(), usual.pictured(subject)

    def _nominal(self, cell: Cell) -> float:
        return usual.seconds(
            cell.name, cell.cost, self.per_pass, self.values, self.slow, self.pictured
        )

    def _before(self, cell: Cell) -> float:
        return self.rates.forecast(cell.name, self._nominal(cell))
