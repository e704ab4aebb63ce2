"""The score is a sound distance for smoothed margins, tight at the boundary."""

from __future__ import annotations

from math import pi, sqrt
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.outputs import great
from holdfast.measures.outputs.great import great_score, hoeffding
from holdfast.measures.outputs.labelled import Labelled

ROWS, REPEATS = 500, 100


def _confidence(rows: Labelled, squash: str, temperature: float) -> Tensor:
    """Bug: the label's own output instead of its lead."""
    own: Tensor = rows.z.gather(1, rows.y[:, None]).squeeze(1)
    return sqrt(pi / 2) * own


def _half(n: int, alpha: float) -> float:
    """Bug: half the interval."""
    return hoeffding(n, alpha) / 2


def trial(seed: int, mutant: str = "") -> Trial:
    """Scores of half-spaces, smoothed by hand, over the distance that each is from its boundary."""
    g = torch.Generator().manual_seed(seed)
    distance = 3 * torch.rand(ROWS, generator=g, dtype=torch.float64) ** 3 + 1e-3
    lead = 2 * torch.special.ndtr(distance) - 1
    outputs = torch.stack([(1 + lead) / 2, (1 - lead) / 2], 1)
    y = torch.zeros(ROWS, dtype=torch.int64)
    # Sure or lost at random: the widest spread that scores can have, with a known mean.
    coin = torch.rand(REPEATS, ROWS, generator=g) < 0.5
    scores = _confidence if mutant == "confidence-for-lead" else great._scores
    spread = _half if mutant == "half-an-interval" else hoeffding
    most = {"inverse-constant": sqrt(2 / pi), "variance-forgotten": sqrt(pi)}.get(
        mutant, great.MOST
    )
    with (
        patch.object(great, "_scores", scores),
        patch.object(great, "hoeffding", spread),
        patch.object(great, "MOST", most),
    ):
        share = great_score(outputs, y, squash="none").per_row / distance
        found = [
            great_score(torch.stack([c, ~c], 1).double(), y, squash="none").score for c in coin
        ]
    truth = sqrt(pi / 2) / 2
    covered = sum(r.low <= truth <= r.high for r in found) / REPEATS
    left = float(share.max())
    return Trial(left, 1.0, 0.99 <= left <= 1 + 1e-9 and covered >= 0.95)


CLAIM = Claim(
    paper="measure:great-score",
    methods=("measure:great-score",),
    says="The score of a smoothed half-space is at most its distance from the boundary, and that "
    "distance where it is small; Hoeffding's interval covers the mean in 95 % of 100 draws.",
    left="largest score over distance",
    right="1",
    trial=trial,
    seeds=(11, 12, 13),
    mutants=("confidence-for-lead", "half-an-interval", "inverse-constant", "variance-forgotten"),
    seconds=8,
)
