"""The exact interval covers every share at any number of rows; shorter ones do not."""

from __future__ import annotations

import torch
from scipy.stats import binom

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.outputs.accuracy import accuracy
from holdfast.ops.statistics import wilson

ROWS, ALPHA = (5, 12, 40, 100), 0.05


def _interval(right: int, rows: int, mutant: str) -> tuple[float, float]:
    if mutant == "normal-approximation":
        p = right / rows
        half = 1.96 * (p * (1 - p) / rows) ** 0.5
        return p - half, p + half
    if mutant == "interval-of-scores":
        return wilson(right, rows, ALPHA)
    y = (torch.arange(rows) >= right).long()
    alpha = 2 * ALPHA if mutant == "each-side-at-alpha" else ALPHA
    found = accuracy(torch.tensor([[1.0, 0.0]]).expand(rows, 2), y, alpha=alpha)
    return found.low, found.high


def trial(seed: int, mutant: str = "") -> Trial:
    """Exact coverage, by summing the binomial distribution, at 60 shares and 4 numbers of rows."""
    g = torch.Generator().manual_seed(seed)
    shares = torch.rand(60, generator=g, dtype=torch.float64)
    shares[::3] = 1 - 0.05 * shares[::3]  # accuracies are often close to one
    least = 1.0
    for rows in ROWS:
        ends = [_interval(right, rows, mutant) for right in range(rows + 1)]
        for share in shares.tolist():
            chance = binom.pmf(range(rows + 1), rows, share)
            covered = sum(c for c, (a, b) in zip(chance, ends, strict=True) if a <= share <= b)
            least = min(least, float(covered))
    return Trial(least, 1 - ALPHA, least >= 1 - ALPHA)


CLAIM = Claim(
    paper="clopper-pearson",
    methods=("measure:accuracy", "measure:confusion"),
    says="The 95 % interval of an accuracy covers the true share with at least 95 %, for 60 shares "
    "and 5 to 100 rows, computed exactly.",
    left="least coverage over shares and numbers of rows",
    right="promised coverage",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=("normal-approximation", "interval-of-scores", "each-side-at-alpha"),
    seconds=2,
)
