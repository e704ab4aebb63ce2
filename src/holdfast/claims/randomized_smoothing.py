"""Randomized smoothing: certified radii exceed the true distance no more often than promised."""

from __future__ import annotations

from unittest.mock import patch

import torch
from scipy.stats import binom
from torch import Tensor

from holdfast.certify import smoothing
from holdfast.certify.smoothing import Smoothing
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.defend.smoothed import smoothed
from holdfast.ops.statistics import clopper_pearson_lower
from holdfast.testing.worlds import Linear
from holdfast.threats.norms import L2

ROWS, ALPHA = 300, 0.001


def _plain_share(k: Tensor, n: int, alpha: float) -> Tensor:
    """Bug: the observed share instead of its lower confidence bound."""
    return k.double() / (n + 1e-9)


def trial(seed: int, mutant: str = "") -> Trial:
    """Radii of a linear model, whose true radius is the distance to its boundary."""
    world = Linear.make(2, ROWS, 6, seed)
    distance = world.radius(2.0)
    sigma = 0.2
    model = smoothed(world.model, sigma=sigma)
    share = _plain_share if mutant == "no-confidence-bound" else clopper_pearson_lower
    with patch.object(smoothing, "clopper_pearson_lower", share):
        found = Smoothing(samples=1000, alpha=ALPHA)(
            model, world.x, world.goal, L2(radius=0.1), dice=Dice.of(ROWS, seed)
        )
    radius = found.radius if found.radius is not None else torch.zeros_like(distance)
    if mutant == "half-sigma":
        radius = radius / 2
    over = float((radius > distance).double().mean())
    # Each row may be wrong with probability ALPHA; more wrong rows than this are no accident.
    limit = float(binom.ppf(1 - 1e-4, ROWS, ALPHA)) / ROWS
    reached = distance < 2 * sigma
    ratio = float((radius[reached].sum() / distance[reached].sum()).clamp(max=1))
    return Trial(over, limit, over <= limit and ratio > 0.65)


CLAIM = Claim(
    paper="randomized-smoothing",
    methods=("certifier:smoothing", "defence:smoothed"),
    says="Radii exceed the true distance with probability at most alpha per row, and come near it.",
    left="share of rows whose radius exceeds the true distance (alpha = 0.001)",
    right="largest share that chance allows at that alpha, at level 1e-4",
    trial=trial,
    seeds=(11, 12, 13),
    mutants=("no-confidence-bound", "half-sigma"),
    seconds=4,
)
