"""The calibration error sees over-confidence, and its end at the right temperature."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.outputs.calibration import ece

ROWS, CLASSES, BINS = 5000, 10, 15


def _by_loops(z: Tensor, y: Tensor, *, weighted: bool = True) -> float:
    """Row by row: the gap of each bin, counted with its share of the rows."""
    sums = [[0.0, 0.0, 0.0] for _ in range(BINS)]
    sure, answer = z.softmax(1).max(1)
    for p, hit in zip(sure.tolist(), (answer == y).tolist(), strict=True):
        into = next(m for m in range(BINS) if p <= (m + 1) / BINS or m == BINS - 1)
        sums[into][0] += p
        sums[into][1] += hit
        sums[into][2] += 1
    full = [s for s in sums if s[2]]
    if not weighted:
        return sum(abs(p - hit) / n for p, hit, n in full) / len(full)
    return sum(abs(p - hit) for p, hit, _ in full) / len(y)


def _error(z: Tensor, y: Tensor, mutant: str) -> float:
    if mutant == "confidence-of-the-label":
        # The probability of the true class in place of the largest one.
        own = z.softmax(1).gather(1, y[:, None]).squeeze(1)
        return float((own - (z.argmax(1) == y).double()).mean().abs())
    if mutant == "all-bins-count-alike":
        return _by_loops(z, y, weighted=False)
    return ece(z, y, bins=1 if mutant == "one-bin" else BINS, draws=1).error.value


def trial(seed: int, mutant: str = "") -> Trial:
    """Logits twice too large for their labels, before and after division by two."""
    g = torch.Generator().manual_seed(seed)
    z = 4 * torch.randn(ROWS, CLASSES, generator=g, dtype=torch.float64)
    y = torch.multinomial((z / 2).softmax(1), 1, generator=g).squeeze(1)
    right = z * 2 if mutant == "temperature-upside-down" else z / 2
    after, before = _error(right, y, mutant), _error(z, y, mutant)
    exact = max(abs(after - _by_loops(right, y)), abs(before - _by_loops(z, y)))
    return Trial(after, 0.3 * before, exact < 1e-9 and after < 0.3 * before)


CLAIM = Claim(
    paper="calibration-baseline",
    methods=("measure:ece",),
    says="The expected calibration error is that of loops over the rows, and at the right "
    "temperature less than 0.3 of that of logits twice too large.",
    left="expected calibration error at the right temperature",
    right="0.3 of the one without",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=(
        "confidence-of-the-label",
        "temperature-upside-down",
        "all-bins-count-alike",
        "one-bin",
    ),
    seconds=2,
)
