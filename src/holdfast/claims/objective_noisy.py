"""Training behind noise: what makes votes agree."""

from __future__ import annotations

from dataclasses import replace

import torch

from holdfast.claims.digits import split, trained
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.smoothed_digits import radii
from holdfast.objectives.noisy import Noisy

SIGMA, ROWS, TEST, EPOCHS = 0.5, 600, 150, 12


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean certified radius of nets trained behind noise, with agreement, and plainly."""
    data, test = split(seed, ROWS)
    rows = test.take(slice(0, TEST))
    noise = 0.01 if mutant == "trains-without-noise" else SIGMA
    wanted = data
    if mutant == "forgets-the-labels":
        wanted = replace(data, y=torch.zeros_like(data.y))
    behind = trained(seed, wanted, Noisy(sigma=noise), EPOCHS)
    agreed = trained(seed, wanted, Noisy(sigma=noise, copies=2, weight=5.0), EPOCHS)
    plain = trained(seed, data, "objective:supervised", EPOCHS)
    mean = [float(radii(m, rows, SIGMA).mean()) for m in (behind, agreed, plain)]
    return Trial(mean[0], mean[2], mean[0] >= 1.1 * mean[2] and mean[1] >= mean[0])


CLAIM = Claim(
    paper="objective:noisy",
    methods=("objective:noisy",),
    says="Trained behind noise of 0.5, a net on digits has a mean certified radius larger by a "
    "tenth than one trained plainly, and drawing noisy copies together does not lower it.",
    left="mean certified L2 radius of the net trained behind noise",
    right="mean certified L2 radius of the net trained plainly",
    trial=trial,
    mutants=("trains-without-noise", "forgets-the-labels"),
    seconds=20,
    quick=False,
)
