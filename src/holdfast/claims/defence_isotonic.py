"""Where classes are unequally sure, a rising curve for each does what no temperature can."""

from __future__ import annotations

from dataclasses import replace

import torch

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.unsure import Unsure, brier, drawn
from holdfast.defend.one_by_one import Isotonic
from holdfast.defend.temperature import Temperature

SCALES = torch.tensor([0.5, 1.0, 2.0, 4.0]).double()
MARGIN = 0.02


def trial(seed: int, mutant: str = "") -> Trial:
    """Score on new rows after either."""
    true, y = drawn(seed)
    scene = Unsure(true.log_softmax(1) * SCALES, y)
    fitted = scene.fitted(Isotonic())
    if mutant == "of-another-class":
        fitted = replace(fitted, heights=fitted.heights[1:] + fitted.heights[:1],
                         knots=fitted.knots[1:] + fitted.knots[:1])  # fmt: skip
    if mutant == "falling":
        fitted = replace(fitted, heights=tuple(h[::-1] for h in fitted.heights))
    left, right = (scene.after(f, brier) for f in (fitted, scene.fitted(Temperature())))
    return Trial(left, right, left < right - MARGIN)


CLAIM = Claim(
    paper="defence:isotonic",
    methods=("defence:isotonic",),
    says="Where the classes are unequally sure, Brier's score on new rows is at least 0.02 lower "
    "than after the best temperature.",
    left="Brier's score after it",
    right="Brier's score after one temperature",
    trial=trial,
    mutants=("of-another-class", "falling"),
    seconds=2,
)
