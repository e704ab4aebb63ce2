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

REFERENCE = 1.8e-3  # seconds that `slowness` counts as 1
ROUNDS = 200


class Usual(NamedTuple):
    """What a check takes.

    Args:
        alone: seconds, whatever it is asked about.
        row: microseconds a pass.
        value: nanoseconds a pass and value of a row.
        model: seconds per second that its passes through the model take one by one in batches;
            below 1 where passes are a bound that is seldom reached.
    """

    alone: float = 0.0
    row: float = 0.0
    value: float = 0.0
    model: float = 1.0


USUAL = {
    "check:clean": Usual(0.01, 4.2, 9.7, 1.0),
    "check:calibration": Usual(0.19, 250.0, 0.0, 0.0),
    "check:slices": Usual(0.0, 8.9, 0.0, 1.8),
    "check:ood": Usual(1.2, 8.3, 44.0, 4.7),
    "check:curvature": Usual(0.06, 0.0, 0.0, 4.1),
    "check:corruptions": Usual(0.22, 26.0, 31.0, 4.3),
    "check:explanation-stability": Usual(0.08, 0.0, 0.0, 4.0),
    "check:envelope": Usual(0.1, 0.0, 0.6, 4.6),
    "check:worst-case": Usual(0.2, 0.0, 7.2, 1.1),
    "check:certificates": Usual(0.05, 0.0, 3.5, 0.8),
    "check:smoothed": Usual(0.01, 0.0, 0.5, 1.7),
}


def seconds(name: str, passes: float, per_pass: float, values: int = 0, slow: float = 1.0) -> float:
    """Seconds that a check usually takes.

    Args:
        name: of the check in the catalogue; one that is not known takes the time of its passes.
        passes: rows through the model, a backward pass counted as two.
        per_pass: seconds of one row through the model.
        values: numbers in one row.
        slow: how much slower this machine is than that of the table.
    """
    usual = USUAL.get(name, Usual())
    own = usual.alone + passes * (1e-6 * usual.row + 1e-9 * usual.value * values)
    return max(own * slow + usual.model * max(passes, 1.0) * per_pass, 1e-9)


def values(subject: Subject) -> int:
    """Numbers in one row of a subject; 0 where rows are no tensor."""
    x = getattr(subject.batches, "x", None)
    return int(x[:1].numel()) if isinstance(x, Tensor) and x.dim() > 0 else 0


def slowness() -> float:
    """How long small operations take here, next to the machine of the table; the best of three."""
    best, x = float("inf"), torch.ones(64)
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(ROUNDS):
            x = x * 0.5 + 0.5
        best = min(best, time.perf_counter() - start)
    return min(max(best / REFERENCE, 0.1), 10.0)
