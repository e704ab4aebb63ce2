"""What bounds of a model take on this machine: it shapes forecasts, never results."""

from __future__ import annotations

from contextlib import suppress
from math import ceil
from typing import Any, NamedTuple

from torch import Tensor

from holdfast.core.catalog import resolve
from holdfast.core.dice import Dice
from holdfast.core.fields import Part
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Certifier, Check
from holdfast.core.quiet import quiet
from holdfast.core.records import Subject
from holdfast.run.load import clock
from holdfast.run.speed import Speed
from holdfast.run.statements import CERTIFIED_AT_ONCE

TRIED = (1, 1, 4, 16, 64)  # rows; the first call loads what a certifier imports
LOOK, LONG = 0.05, 1.0  # seconds of a call behind which no more rows are tried, and none at all
SHARED = 0.15  # power of their number by which a row takes less among many: they share operations
WAYS = 16.0  # passes through the model and back that a bound of a row takes, for each bend


class Bound(NamedTuple):
    """What a certifier takes.

    Args:
        call: seconds of a call, however many rows it is about.
        row: further seconds of each row, where as many as usual are asked about at once.
    """

    call: float = 0.0
    row: float = 0.0


class Bounds:
    """Seconds that the certifiers of a check take, timed on a few rows of the subject.

    Bounds follow no passes: what they cost depends on the layers, on how they are bounded and on
    the classes. So each certifier of an audit is asked about a few rows once, within the first
    threat. One that cannot answer takes no time, nor does one with a time limit of its own, which
    is not tried. Where a single row seems to take seconds, bounds count as passes do.

    Args:
        subject: whose model and rows.
        speed: what a row costs there and back.
    """

    def __init__(self, subject: Subject, speed: Speed) -> None:
        self.subject, self.likely = subject, WAYS * max(speed.bends, 1.0) * speed.slopes
        self._known: dict[str, Bound] = {}

    def seconds(self, check: Check) -> float:
        """Seconds in which the certifiers of a check bound all its rows at all its radii."""
        count = 0 if self.subject.batches is None else len(self.subject.batches)
        radii, limit = getattr(check, "radii", ()), getattr(check, "limit", count)
        parts = getattr(check, "certifiers", ()) or (getattr(check, "certifier", None),)
        times = len(radii) * len(self.subject.threats)
        rows = min(count, limit)
        found = [self._bound(part) for part in parts if part is not None]
        return times * sum(ceil(rows / CERTIFIED_AT_ONCE) * b.call + rows * b.row for b in found)

    def _bound(self, part: Part[Certifier]) -> Bound:
        certifier = resolve(part)
        key = repr(certifier)
        if key not in self._known:
            dear = self.likely > LONG
            self._known[key] = Bound(row=self.likely) if dear else Bound()
            if not dear and not hasattr(certifier, "seconds"):
                with suppress(Exception):  # whatever prevents bounds, a check will say it
                    self._known[key] = timed(certifier, self.subject)
        return self._known[key]


def timed(certifier: Certifier, subject: Subject) -> Bound:
    """What a certifier takes, by calls about one row and about as many as time allows.

    Time in which others had the processor does not count.

    Cost: bounds of a few rows, about a tenth of a second unless a single row takes longer.
    """
    batches: Any = subject.batches
    done: list[tuple[int, float]] = []
    with quiet(subject.model):
        for count in TRIED:
            few = batches.take(slice(0, count))
            if len(few) < count and done:
                break
            start = clock()
            _asked(certifier, subject, few)
            done.append((count, clock() - start))
            if done[-1][1] > (LOOK if done[1:] else LONG):
                break
    (_, one), (most, many) = done[min(1, len(done) - 1)], done[-1]
    row = max(many - one, 0.0) / (most - 1) if most > 1 else one
    return Bound(max(one - row, 0.0), row * (most / CERTIFIED_AT_ONCE) ** SHARED)


def _asked(certifier: Certifier, subject: Subject, few: Any) -> Tensor:
    """Margins of a few rows within the first threat; on a device they are there when this ends."""
    threat = subject.threats[0].take(slice(0, len(few)))
    dice = Dice(subject.seed, few.index, "bounds/timed")
    model: Any = subject.model
    said = certifier(model, few.x, Untargeted(few.y), threat, dice=dice)
    return said.margin.cpu()
