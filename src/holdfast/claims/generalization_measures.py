"""Sharpness and margins rank by how much worse nets are on new rows than on those they learned.

Published is more: that sharpness ranks better than norms do. At this scale norms rank as well,
so that part is not claimed.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

from holdfast.claims.digits import accuracy, net, split
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.measures.model.sharpness import sharpness
from holdfast.measures.outputs.accuracy import margins

NOISE, EACH, ROWS, LEAST = (0.0, 0.2, 0.4, 0.6), 2, 256, 0.6


@cache
def _nets(seed: int) -> list[tuple[nn.Sequential, Batches, float]]:
    """Nets trained to one loss on labels of rising noise, their rows, and their gap."""
    found = []
    for number, noise in enumerate(n for n in NOISE for _ in range(EACH)):
        data, test = split(100 * seed + number, ROWS, noise)
        model = net(100 * seed + number, 128)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(600):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(data.x), data.y)
            loss.backward()
            if float(loss.detach()) < 0.05:
                break
            optimizer.step()
        model.zero_grad()
        found.append((model, data, accuracy(model, data) - accuracy(model, test)))
    return found


def trial(seed: int, mutant: str = "") -> Trial:
    """The smaller of two rank correlations (Kendall) with the gap, over eight nets."""
    from scipy.stats import kendalltau

    radius = 1e-7 if mutant == "hardly-moves-the-weights" else 0.5
    gaps, rises, leads = [], [], []
    for model, data, gap in _nets(seed):
        rise = sharpness(model, data, kind="random", adaptive=False, radius=radius).value
        with torch.no_grad():
            z = model(data.x)
        y = z.argmin(1) if mutant == "lead-of-the-last-class" else data.y
        gaps.append(gap)
        rises.append(rise)
        leads.append(-margins(z, y, levels=(0.5,))[0].value)
    left = min(float(kendalltau(gaps, v).statistic) for v in (rises, leads))
    return Trial(left, LEAST, left > LEAST)


CLAIM = Claim(
    paper="generalization-measures",
    methods=("measure:sharpness", "measure:margins"),
    says="Over eight nets trained to one loss on labels of rising noise, sharpness and margins "
    "rank by the generalisation gap with a correlation above 0.6.",
    left="smaller of the two rank correlations (Kendall)",
    right="0.6",
    trial=trial,
    seeds=(301, 302, 303),
    mutants=("hardly-moves-the-weights", "lead-of-the-last-class"),
    seconds=8,
)
