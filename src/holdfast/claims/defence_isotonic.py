"""Where classes are unequally sure, a rising curve for each does what no temperature can."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.defend.one_by_one import Isotonic
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
    fitted = Isotonic().fit(_same, data)
    if mutant == "of-another-class":
        fitted = replace(fitted, heights=fitted.heights[1:] + fitted.heights[:1],
                         knots=fitted.knots[1:] + fitted.knots[:1])  # fmt: skip
    if mutant == "falling":
        fitted = replace(fitted, heights=tuple(h[::-1] for h in fitted.heights))
    other = Temperature().fit(_same, data)
    left, right = (
        _apart(model(_same)(z[4000:]), y[4000:])  # type: ignore[arg-type]
        for model in (fitted, other)
    )
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
