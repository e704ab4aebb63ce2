"""Slopes sampled in a ball approach the local Lipschitz constant from below."""

from __future__ import annotations

import torch
from torch import nn

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, trained
from holdfast.measures.model.lipschitz import local_lipschitz


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean slope over 10 points of a ball against the slope at the input, both below the bound."""
    model, rows = trained(seed), digits(seed)[1].take(slice(0, 60))
    radius = 0.0 if mutant == "never-leaves-the-input" else 1.0
    many = local_lipschitz(model, rows, radius=radius, samples=10, steps=10, seed=seed).slope
    if mutant == "adds-instead-of-maximum":
        many = 10 * many
    one = local_lipschitz(model, rows, samples=1, steps=10, seed=seed).slope
    bound = 1.0
    for layer in model:
        if isinstance(layer, nn.Linear):
            bound *= float(torch.linalg.matrix_norm(layer.weight.detach(), 2))
    left, right = float(many.mean()), 1.02 * float(one.mean())
    return Trial(left, right, left > right and float(many.max()) <= bound)


CLAIM = Claim(
    paper="clever",
    methods=("measure:local-lipschitz",),
    says="Ten points in a ball show steeper slopes than the input alone, and never one above the "
    "product of the layers' norms.",
    left="mean steepest slope over ten points",
    right="1.02 times the mean slope at the input",
    trial=trial,
    mutants=("never-leaves-the-input", "adds-instead-of-maximum"),
    seconds=3,
)
