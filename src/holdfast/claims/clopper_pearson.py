"""The exact interval covers a share near one, where the normal approximation does not."""

from __future__ import annotations

import torch

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.outputs.accuracy import accuracy

ROWS, SHARE, REPEATS = 40, 0.97, 4000


def _interval(right: int, mutant: str) -> tuple[float, float]:
    if mutant == "normal-approximation":
        p = right / ROWS
        half = 1.96 * (p * (1 - p) / ROWS) ** 0.5
        return p - half, p + half
    y = (torch.arange(ROWS) >= right).long()
    found = accuracy(torch.tensor([[1.0, 0.0]]).expand(ROWS, 2), y)
    return found.low, found.high


def trial(seed: int, mutant: str = "") -> Trial:
    """Coverage of the interval of an accuracy of 97 % seen on 40 rows."""
    g = torch.Generator().manual_seed(seed)
    counts = (torch.rand(REPEATS, ROWS, generator=g) < SHARE).sum(1)
    covered = 0
    for right, times in zip(*(v.tolist() for v in counts.unique(return_counts=True)), strict=True):
        low, high = _interval(right, mutant)
        covered += times * (low <= SHARE <= high)
    return Trial(covered / REPEATS, 0.95, covered / REPEATS >= 0.95)


CLAIM = Claim(
    paper="clopper-pearson",
    methods=("measure:accuracy", "measure:confusion"),
    says="The 95 % interval of an accuracy covers a true share of 0.97 on 40 rows at least 95 % "
    "of the time.",
    left="coverage in 4,000 repetitions",
    right="promised coverage",
    trial=trial,
    mutants=("normal-approximation",),
    seconds=1,
)
