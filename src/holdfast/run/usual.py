"""What a check usually takes where nobody has timed it: it shapes forecasts, never results.

Passes alone tell little of a small model: a check imports libraries, fits detectors, draws noise.
The numbers are least squares over audits of small networks, in seconds of one processor; they are
scaled by how fast this machine is at small operations. Bounds, and what detectors do with
features, follow no passes and stand in `bounds` and `dense`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.core.records import Subject
from holdfast.run.load import clock
from holdfast.run.speed import BACK, Speed, typical

REFERENCE = 9e-6  # seconds of a round that `slowness` counts as 1
ROUNDS, TRIES = 50, 40
MANY = 1e4  # passes that the table is for
DOUBT = 0.25  # how far off, in logarithms, checks of the table are one by one
LEAST = 1e-3  # seconds of a check that sees at once that it has nothing to ask


class Usual(NamedTuple):
    """What a check takes.

    Passes are a bound: attacks let decided rows go, proofs end early, large batches cost less. So
    work may grow with a power of them; all numbers are for ten thousand. What follows slopes is
    told by a pass there and back, which is no fixed multiple of one there.

    Args:
        alone: seconds, whatever it is asked about.
        each: seconds for each bend of the model, whose batches are too small to fill a processor.
        row: microseconds a pass.
        value: nanoseconds a pass and value of a row.
        model: seconds per second that its passes take through the model, forward, in batches.
        slopes: the same of passes through the model and back, a third of their number.
        power: of passes that work grows with.
        pictures: whether it asks about images alone.
    """

    alone: float = 0.0
    each: float = 0.0
    row: float = 0.0
    value: float = 0.0
    model: float = 1.0
    slopes: float = 0.0
    power: float = 1.0
    pictures: bool = False


def _sloped(alone: float, each: float, value: float, slopes: float, power: float = 1.0) -> Usual:
    """A check that follows slopes."""
    return Usual(alone, each, 0.0, value, 0.0, slopes, power)


USUAL = {
    "check:clean": Usual(alone=0.0016, row=5.3, value=14.0, model=1.4),
    "check:calibration": Usual(row=65.0, value=9.0, model=0.17, power=0.3),
    "check:slices": Usual(alone=0.0021, row=1.1, value=15.0, model=1.3),
    "check:ood": Usual(alone=0.034, row=1.7, value=98.0, model=1.5),
    "check:corruptions": Usual(alone=0.092, row=41.0, value=49.0, model=0.91, pictures=True),
    "check:smoothed": Usual(value=11.0, model=0.83),
    "check:curvature": _sloped(0.051, 0.017, 4.4, 0.99, power=0.8),
    "check:explanation-stability": _sloped(0.071, 0.014, 5.4, 1.1),
    "check:worst-case": _sloped(0.11, 0.033, 10.0, 0.89, power=0.8),
    "check:envelope": _sloped(0.060, 0.0091, 4.9, 0.34, 0.9),
    "check:certificates": _sloped(0.041, 0.0028, 0.45, 0.11, 0.9),
}

# Of the rows and radii of a check those at which its certifiers are asked: rows that are wrong
# without a change, or proved by a cheaper rung or at a larger radius, are not.
BOUNDED = {"check:certificates": 0.75, "check:envelope": 0.65}


def seconds(
    name: str,
    passes: float,
    speed: Speed,
    values: int = 0,
    slow: float = 1.0,
    pictured: bool = True,
) -> float:
    """Seconds that a check usually takes.

    Args:
        name: of the check in the catalogue; one that is not known takes the time of its passes.
        passes: rows through the model, a backward pass counted as two.
        speed: what a row costs, forward and back.
        values: numbers in one row.
        slow: how much slower this machine is than that of the table.
        pictured: whether rows are images.
    """
    usual = USUAL.get(name, Usual())
    if usual.pictures and not pictured:
        return LEAST
    work: float = MANY * (max(passes, 1.0) / MANY) ** usual.power
    own = (
        usual.alone
        + usual.each * speed.bends
        + work * (1e-6 * usual.row + 1e-9 * usual.value * values)
    )
    model = usual.model * speed.forward + usual.slopes * speed.slopes / BACK
    return max(own * slow + work * model, LEAST)


def pictured(subject: Subject) -> bool:
    """Whether rows of a subject are images."""
    x = getattr(subject.batches, "x", None)
    return isinstance(x, Tensor) and x.dim() == 4


def values(subject: Subject) -> int:
    """Numbers in one row of a subject; 0 where rows are no tensor."""
    x = getattr(subject.batches, "x", None)
    return int(x[:1].numel()) if isinstance(x, Tensor) and x.dim() > 0 else 0


def slowness() -> float:
    """How long small operations take here, next to the machine of the table."""
    took, x = [], torch.ones(64)
    for _ in range(TRIES):
        start = clock()
        for _ in range(ROUNDS):
            x = x * 0.5 + 0.5
        took.append(clock() - start)
    return min(max(typical(took) / ROUNDS / REFERENCE, 0.1), 10.0)
