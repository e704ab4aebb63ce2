"""Dual smoothing: radii of models that are linear on each half, whose true radius is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import sqrt
from unittest.mock import patch

import torch
from scipy.stats import binom
from torch import Tensor, nn

from holdfast.certify.smoothing import dual as smoothing_dual
from holdfast.certify.smoothing.dual import DualRadius
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Model
from holdfast.defend import dual
from holdfast.defend.dual import DualSmoothing, half
from holdfast.ops.statistics import clopper_pearson_lower
from holdfast.testing.worlds import Linear
from holdfast.threats.norms import L2

ROWS, ALPHA, SIGMA = 800, 0.05, 0.2


def _observed(k: Tensor, n: int, alpha: float) -> Tensor:
    """Bug: the observed share instead of its lower confidence bound."""
    return (k.double() / n).clamp(1e-9, 1 - 1e-9)


@contextmanager
def _bug(mutant: str) -> Iterator[None]:
    share = _observed if mutant == "observed-share" else clopper_pearson_lower
    root = (lambda x: 1.0) if mutant == "forgets-the-root" else sqrt
    seen = (lambda x, side: x) if mutant == "halves-see-everything" else half
    with (
        patch.object(smoothing_dual, "clopper_pearson_lower", share),
        patch.object(smoothing_dual, "sqrt", root),
        patch.object(dual, "half", seen),
    ):
        yield


def quantiles(model: nn.Module, x: Tensor) -> Tensor:
    """`(2, B)`: quantiles of the share of class 1 in each half of a linear model."""
    found = []
    for side in (0, 1):
        seen = x.clone().requires_grad_(True)
        z = model(half(seen, side))
        score = z[:, 1] - z[:, 0]
        (weight,) = torch.autograd.grad(score.sum(), seen)
        found.append(score.detach() / (SIGMA * weight.norm(dim=1)))
    return torch.stack(found)


def trial(seed: int, mutant: str = "") -> Trial:
    """Share of radii beyond the true one, and how much of the true ones many samples reach."""
    world = Linear.make(2, ROWS, 8, seed)
    total = quantiles(world.model, world.x).sum(0)
    y, exact = (total > 0).long(), SIGMA * total.abs() / sqrt(2)
    model: Model = DualSmoothing(sigma=SIGMA)(world.model)
    with _bug(mutant):
        found = DualRadius(samples=300, alpha=ALPHA)(
            model, world.x, Untargeted(y), L2(radius=0.0), dice=Dice.of(ROWS, seed)
        )
        few = (exact > 0.3 * SIGMA) & (exact < 2 * SIGMA)
        few = few & (few.cumsum(0) <= 20)
        fine = DualRadius(samples=20_000)(
            model,
            world.x[few],
            Untargeted(y[few]),
            L2(radius=0.0),
            dice=Dice(seed, few.nonzero()[:, 0]),
        )
    radius, near = found.radius, fine.radius
    if radius is None or near is None:
        return Trial(1.0, 0.0, False)
    over = float((radius > exact).double().mean())
    allowed = float(binom.ppf(1 - 1e-4, ROWS, ALPHA)) / ROWS
    reached = float(near.sum() / exact[few].sum())
    return Trial(over, allowed, over <= allowed and 0.9 <= reached <= 1)


CLAIM = Claim(
    paper="drs",
    methods=("certifier:dual-smoothing", "defence:dual-smoothed"),
    says="Radii of linear halves exceed the true ones with probability at most alpha = 0.05 per "
    "row, and with 20,000 samples reach 90 % of them.",
    left="share of rows whose radius exceeds the true one",
    right="largest share that chance allows at that alpha, at level 1e-4",
    trial=trial,
    seeds=(421, 422, 423),
    mutants=("observed-share", "forgets-the-root", "halves-see-everything"),
    seconds=8,
)
