"""The calibration error sees over-confidence, and its end at the right temperature."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.outputs.calibration import ece


def _error(z: Tensor, y: Tensor, mutant: str) -> float:
    if mutant == "confidence-of-the-label":
        # The probability of the true class in place of the largest one.
        own = z.softmax(1).gather(1, y[:, None]).squeeze(1)
        return float((own - (z.argmax(1) == y).double()).mean().abs())
    return ece(z, y, draws=1).error.value


def trial(seed: int, mutant: str = "") -> Trial:
    """Logits twice too large for their labels, before and after division by two."""
    g = torch.Generator().manual_seed(seed)
    z = 4 * torch.randn(5000, 10, generator=g, dtype=torch.float64)
    y = torch.multinomial((z / 2).softmax(1), 1, generator=g).squeeze(1)
    right = z * 2 if mutant == "temperature-upside-down" else z / 2
    after, before = _error(right, y, mutant), _error(z, y, mutant)
    return Trial(after, 0.3 * before, after < 0.3 * before)


CLAIM = Claim(
    paper="calibration-baseline",
    methods=("measure:ece",),
    says="At the right temperature the expected calibration error is less than 0.3 of that of "
    "logits twice too large.",
    left="expected calibration error at the right temperature",
    right="0.3 of the one without",
    trial=trial,
    mutants=("confidence-of-the-label", "temperature-upside-down"),
    seconds=2,
)
