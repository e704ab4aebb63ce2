"""Where classes are unequally sure, frequencies bin by bin do what no temperature can."""

from __future__ import annotations

from dataclasses import replace

import torch

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.unsure import Unsure, brier, drawn
from holdfast.defend.one_by_one import HistogramBinning
from holdfast.defend.temperature import Temperature

SCALES = torch.tensor([0.5, 1.0, 2.0, 4.0]).double()
MARGIN = 0.02


def trial(seed: int, mutant: str = "") -> Trial:
    """Score on new rows after either."""
    true, y = drawn(seed)
    scene = Unsure(true.log_softmax(1) * SCALES, y)
    fitted = scene.fitted(HistogramBinning())
    if mutant == "of-another-class":
        fitted = replace(fitted, heights=fitted.heights[1:] + fitted.heights[:1])
    if mutant == "one-bin":
        fitted = scene.fitted(HistogramBinning(bins=1))
    left, right = (scene.after(f, brier) for f in (fitted, scene.fitted(Temperature())))
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
