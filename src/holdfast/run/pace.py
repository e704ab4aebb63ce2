"""How long what is left will take: forecasts of cells, corrected by those that have finished."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from holdfast.core.records import Subject
from holdfast.run import usual
from holdfast.run.alike import form, question
from holdfast.run.bounds import Bounds
from holdfast.run.dense import Dense
from holdfast.run.perform import Done
from holdfast.run.plan import Cell
from holdfast.run.rates import FIXED, Guess, Rates
from holdfast.run.speed import Speed, timed

COMMON = 0.2  # how far off all forecasts of a run typically are together, in logarithms
JITTER = 0.05  # seconds by which any check is off


@dataclass
class Pace:
    """Forecasts seconds from passes, from what checks took before, and from this run so far.

    Forecasts are off together (a model that is harder than others, a machine that is slow today)
    and each by itself. How much they are off together is the mean of what the finished checks
    say, each weighted by how well its own time was known, and drawn towards nothing by as much as
    is known beforehand: the posterior mean where both are normal in logarithms.

    Args:
        speed: what a row costs, forward and back.
        rates: what checks have cost on this machine.
        workers: how many cells run at once; 0 where a cluster has not said so yet, which counts
            as one.
        values: numbers in one row.
        slow: how much slower this machine is than that on which usual times were measured.
        pictured: whether rows are images.
    """

    speed: Speed = Speed()
    rates: Rates = field(default_factory=Rates)
    workers: int = 1
    values: int = 0
    slow: float = 1.0
    pictured: bool = True
    about: str = ""  # what the time of a question follows from, as `form` tells it
    sure: float = 0.0  # precision of what finished checks say, and their sum weighted by it
    said: float = 0.0
    ends: float = 0.0  # when all cells are finished, and until when that is believed
    believed: float = 0.0
    bounds: Bounds | None = None  # what certifiers and detectors take on the subject that was met
    dense: Dense | None = None
    _asked: dict[str, str] = field(default_factory=dict)
    _worked: dict[str, float] = field(default_factory=dict)

    def one(self, cell: Cell) -> float:
        """Seconds of a cell."""
        return self.rates.busy() * self._guess(cell).seconds * self.factor

    @property
    def factor(self) -> float:
        """How much longer checks take in this run than they were expected to."""
        return math.exp(self.said / (self.sure + COMMON**-2))

    def all(self, cells: Iterable[Cell]) -> float:
        """Seconds until all these cells are finished."""
        return self.together([self.one(cell) for cell in cells if not cell.skipped])

    def together(self, each: Sequence[float]) -> float:
        """Seconds until cells that take so long are all finished."""
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
        guess = self._guess(done.cell)
        alone = done.alone or done.outcome.seconds / self.rates.busy()
        precision = 1 / (guess.doubt**2 + (JITTER / guess.seconds) ** 2)
        self.sure += precision
        self.said += precision * math.log((alone + FIXED) / (guess.seconds + FIXED))
        self.rates.learn(
            done.cell.name, self._nominal(done.cell), done.outcome.seconds,
            self._question(done.cell), alone,
        )  # fmt: skip

    def meet(self, subject: Subject) -> None:
        """Take in what follows from a subject, and how long its rows take on this machine."""
        before = usual.slowness()
        self.speed = timed(subject)
        self.slow = min(before, usual.slowness())  # of two moments the quieter one
        self.values, self.pictured = usual.values(subject), usual.pictured(subject)
        self.about = form(subject)
        self.bounds, self.dense = Bounds(subject, self.speed), Dense(subject)
        self._worked.clear()

    def _nominal(self, cell: Cell) -> float:
        """What is usual; a question that is known is not looked into again, which takes time."""
        if known := self.rates.nominal(cell.name, self._question(cell)):
            return known
        own = usual.seconds(cell.name, cell.cost, self.speed, self.values, self.slow, self.pictured)
        return own + self._beside(cell)

    def _beside(self, cell: Cell) -> float:
        """Seconds that a cell works beside its passes: on bounds, and on features."""
        if cell.key not in self._worked:
            work, share = 0.0, usual.BOUNDED.get(cell.name, 0.0)
            if self.bounds is not None and share:
                work += share * self.bounds.seconds(cell.check)
            if self.dense is not None:
                work += self.dense.seconds(cell.check, cell.cost)
            self._worked[cell.key] = work
        return self._worked[cell.key]

    def _question(self, cell: Cell) -> str:
        if cell.key not in self._asked:
            self._asked[cell.key] = question(cell.check, self.about)
        return self._asked[cell.key]

    def _guess(self, cell: Cell) -> Guess:
        guess = self.rates.guess(cell.name, self._nominal(cell), self._question(cell))
        known = cell.name in usual.USUAL
        return guess._replace(doubt=min(guess.doubt, usual.DOUBT)) if known else guess
