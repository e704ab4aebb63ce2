"""Quantiles of margins come with intervals that hold for any distribution."""

from __future__ import annotations

from unittest.mock import patch

import torch
from scipy.stats import binom, norm
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.outputs import accuracy
from holdfast.measures.outputs.accuracy import margins
from holdfast.measures.outputs.labelled import Labelled
from holdfast.ops.statistics import quantile_interval

DRAWS, ROWS, ALPHA = 200, 80, 0.05
LEVELS = (0.1, 0.5, 0.9)


def _normal(values: Tensor, share: float, alpha: float) -> tuple[float, float]:
    """Bug: the interval of a mean around the quantile."""
    middle = float(values.quantile(share))
    half = float(norm.ppf(1 - alpha / 2) * values.std() / len(values) ** 0.5)
    return middle - half, middle + half


def _over_the_mean(rows: Labelled) -> Tensor:
    """Bug: the lead over the mean of the other classes, not over the best of them."""
    own = rows.z.gather(1, rows.y[:, None]).squeeze(1)
    return own - (rows.z.sum(1) - own) / (rows.z.shape[1] - 1)


def trial(seed: int, mutant: str = "") -> Trial:
    """Leads from a skewed distribution whose quantiles are known, drawn anew 200 times."""
    g = torch.Generator().manual_seed(seed)
    truth = [float(torch.tensor(norm.ppf(q)).exp()) - 1 for q in LEVELS]
    covered = [0, 0, 0]
    lead = property(_over_the_mean) if mutant == "lead-over-the-mean" else Labelled.lead
    spread = _normal if mutant == "interval-of-a-mean" else quantile_interval
    with (
        patch.object(Labelled, "lead", lead),
        patch.object(accuracy, "quantile_interval", spread),
    ):
        for _ in range(DRAWS):
            ahead = torch.randn(ROWS, generator=g, dtype=torch.float64).exp() - 1
            z = torch.stack([ahead, torch.zeros_like(ahead), torch.zeros_like(ahead) - 3], 1)
            found = margins(z, torch.zeros(ROWS, dtype=torch.long), levels=LEVELS, alpha=ALPHA)
            for i, (reading, value) in enumerate(zip(found, truth, strict=True)):
                covered[i] += reading.low <= value <= reading.high
    # So few of 200 intervals may cover by chance if each does with probability 95 %.
    least = int(binom.ppf(1e-4, DRAWS, 1 - ALPHA))
    return Trial(min(covered) / DRAWS, least / DRAWS, min(covered) >= least)


CLAIM = Claim(
    paper="measure:margins",
    methods=("measure:margins",),
    says="The 95 % intervals of three quantiles of a skewed margin cover the true ones in 95 % of "
    "200 draws, less what chance explains at level 1e-4.",
    left="share of intervals that cover, the least of three quantiles",
    right="least share that chance allows",
    trial=trial,
    seeds=(401, 402, 403),
    mutants=("interval-of-a-mean", "lead-over-the-mean"),
    seconds=4,
)
