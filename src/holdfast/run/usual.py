"""What a check usually takes where nobody has timed it: it shapes forecasts, never results.

Passes alone tell little of a small model: a check imports libraries, fits detectors, draws noise.
The numbers are least squares over audits of small networks, in seconds of one processor; they are
scaled by how fast this machine is at small operations.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import torch
from torch import Tensor

from holdfast.core.records import Subject
from holdfast.run.speed import BACK, Speed

REFERENCE = 1.8e-3  # seconds that `slowness` counts as 1
ROUNDS = 200
MANY = 1e4  # passes that the table is for
LEAST = 1e-3  # seconds of a check that sees at once that it has nothing to ask


class Usual(NamedTuple):
    """What a check takes.

    Passes are a bound: attacks let decided rows go, proofs end early, large batches cost less. So
    work grows with a power of them; all numbers are for ten thousand.

    Args:
        alone: seconds, whatever it is asked about.
        row: microseconds a pass.
        value: nanoseconds a pass and value of a row.
        model: seconds per second that its passes take through the model, forward, in batches.
        slopes: the same of passes through the model and back, a third of their number.
        power: of passes that work grows with.
        pictures: whether it asks about images alone.
    """

    alone: float = 0.0
    row: float = 0.0
    value: float = 0.0
    model: float = 1.0
    slopes: float = 0.0
    power: float = 1.0
    pictures: bool = False


USUAL = {
    "check:clean": Usual(0.001, 6.5, 8.7, 0.8, 0.9),
    "check:calibration": Usual(0.03, 50.0, 0.0, 0.1, 0.3),
    "check:slices": Usual(0.002, 2.9, 3.8, 1.0),
    "check:ood": Usual(0.03, 3.3, 42.0, 1.7, 0.8),
    "check:curvature": Usual(0.05, 0.0, 4.3, 0.9),
    "check:corruptions": Usual(0.0, 56.0, 16.0, 1.4, 0.8, pictures=True),
    "check:explanation-stability": Usual(0.08, 0.0, 6.3, 1.0, 0.8),
    "check:envelope": Usual(0.05, 0.0, 14.0, 3.0, 0.6),
    "check:worst-case": Usual(0.045, 5.6, 14.5, 1.1, 0.4),
    "check:certificates": Usual(0.04, 0.0, 2.1, 1.4, 0.6),
    "check:smoothed": Usual(0.0, 0.0, 9.1, 0.8),
}


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
    own = usual.alone + work * (1e-6 * usual.row + 1e-9 * usual.value * values)
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
    """How long small operations take here, next to the machine of the table; the best of ten."""
    best, x = float("inf"), torch.ones(64)
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(ROUNDS):
            x = x * 0.5 + 0.5
        best = min(best, time.perf_counter() - start)
    return min(max(best / REFERENCE, 0.1), 10.0)
