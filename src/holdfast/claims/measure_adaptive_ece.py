"""Bins of equal mass see miscalibration where confidences crowd, and none where there is none."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.outputs import reliability
from holdfast.measures.outputs.bins import Tally, equal_mass, equal_width
from holdfast.measures.outputs.calibration import adaptive_ece

ROWS, GAP = 30000, 0.02


def _signed(found: Tally, norm: str, debias: bool) -> float:
    """Bug: gaps of opposite sign cancel."""
    return float((found.sure - found.right).sum().abs() / found.rows.sum())


def _halves(confidence: Tensor, bins: int) -> Tensor:
    """Bug: rows are put into bins in the order in which they come."""
    return torch.arange(len(confidence))[:, None] * bins // len(confidence)


BINS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "equal-width": equal_width, "bins-by-position": _halves,
}  # fmt: skip


def _measured(confidence: Tensor, truth: Tensor, mutant: str, g: torch.Generator) -> float:
    """The error of two-class answers of given confidence that are right with given chances."""
    z = torch.stack([confidence, 1 - confidence], 1).log()
    wrong = torch.rand(len(truth), generator=g, dtype=torch.float64) >= truth
    with patch.object(reliability, "equal_mass", BINS.get(mutant, equal_mass)):
        if mutant == "gaps-cancel":
            with patch.object(reliability, "error", _signed):
                return adaptive_ece(z, wrong.long(), draws=1).error.value
        return adaptive_ece(z, wrong.long(), draws=1).error.value


def trial(seed: int, mutant: str = "") -> Trial:
    """Confidences between 0.95 and 0.99: too high below the median and too low above, or right."""
    g = torch.Generator().manual_seed(seed)
    confidence = 0.95 + 0.04 * torch.rand(ROWS, generator=g, dtype=torch.float64)
    tilt = torch.where(confidence < 0.97, -GAP, GAP / 2)
    crooked = _measured(confidence, confidence + tilt, mutant, g)
    straight = _measured(confidence, confidence, mutant, g)
    # A bin's gap has the standard error s = sqrt(p (1 - p) bins / rows), and E|N(0, s)| is
    # 0.80 s; four standard errors of the mean over the bins are left to chance.
    s = float((confidence * (1 - confidence)).mean() * 15 / ROWS) ** 0.5
    floor = 0.8 * s
    off = abs(crooked - 0.75 * GAP)
    allowed = 0.2 * floor + 4 * s / 15**0.5
    holds = off <= allowed and abs(straight - floor) <= 4 * 0.6 * s / 15**0.5
    return Trial(crooked, straight, holds)


CLAIM = Claim(
    paper="measure:adaptive-ece",
    methods=("measure:adaptive-ece",),
    says="Confidences that are 0.02 too high below the median and 0.01 too low above it have an "
    "error of 0.015, honest ones that of the noise of 15 bins, up to 4 standard errors.",
    left="adaptive calibration error of the crooked confidences",
    right="the same of the honest ones",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("equal-width", "bins-by-position", "gaps-cancel"),
    seconds=2,
)
