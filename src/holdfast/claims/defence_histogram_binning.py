"""Where classes are unequally sure, frequencies bin by bin do what no temperature can."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.defend.one_by_one import HistogramBinning
from holdfast.defend.temperature import Temperature

SCALES = torch.tensor([0.5, 1.0, 2.0, 4.0]).double()
MARGIN = 0.02


def _same(x: Tensor) -> Tensor:
    return x


def _apart(z: Tensor, y: Tensor) -> float:
    """Brier's score: squared distance of the probabilities from the labels."""
    return float((z.softmax(1) - F.one_hot(y, 4)).square().sum(1).mean())


def trial(seed: int, mutant: str = "") -> Trial:
    """Score on new rows after either."""
    g = torch.Generator().manual_seed(seed)
    true = 1.5 * torch.randn(6000, 4, generator=g, dtype=torch.float64)
    y = torch.multinomial(true.softmax(1), 1, generator=g)[:, 0]
    z = true.log_softmax(1) * SCALES
    data = Batches(x=z[:4000], y=y[:4000])
    fitted = HistogramBinning().fit(_same, data)
    if mutant == "of-another-class":
        fitted = replace(fitted, heights=fitted.heights[1:] + fitted.heights[:1])
    if mutant == "one-bin":
        fitted = HistogramBinning(bins=1).fit(_same, data)
    other = Temperature().fit(_same, data)
    left, right = (
        _apart(model(_same)(z[4000:]), y[4000:])  # type: ignore[arg-type]
        for model in (fitted, other)
    )
    return Trial(left, right, left < right - MARGIN)


CLAIM = Claim(
    paper="defence:histogram-binning",
    methods=("defence:histogram-binning",),
    says="Where the classes are unequally sure, Brier's score on new rows is at least 0.02 lower "
    "than after the best temperature.",
    left="Brier's score after it",
    right="Brier's score after one temperature",
    trial=trial,
    mutants=("of-another-class", "one-bin"),
    seconds=2,
)
