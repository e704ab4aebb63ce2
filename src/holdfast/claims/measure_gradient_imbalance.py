"""The imbalance of slopes is known where the slopes are."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.measures.model import imbalance as module
from holdfast.measures.model.imbalance import gradient_imbalance
from holdfast.testing.worlds import three_class

SIZE, ROWS = 100, 32


def trap(x: Tensor) -> Tensor:
    """Two logits of t = 2x - 1: the label's falls ten times as fast as the other one.

    Near t = -1 the other one rises steeply; ascent on their difference never gets there.
    """
    t = 2 * x - 1
    own = SIZE - t.sum(1)
    other = -SIZE + (-0.1 * t + 4 * torch.relu(-t - 0.8) / 0.2).sum(1)
    return torch.stack([own, other], 1)


def _of_the_margin(model: object, x: Tensor, y: Tensor) -> Tensor:
    """Bug: compares the slope of the margin with that of the label."""
    ratio = TRUE(model, x, y)  # type: ignore[arg-type]
    return (ratio - 1) / ratio


TRUE = module.imbalance


def trial(seed: int, mutant: str = "") -> Trial:
    """The ratio in the trap, which is ten, and in a linear world, from its weights."""
    g = torch.Generator().manual_seed(seed)
    x = 0.2 + 0.6 * torch.rand(ROWS, SIZE, generator=g, dtype=torch.float64)
    world = three_class(ROWS, seed=seed)
    weight = world.model.weight.detach().abs().sum(1)  # type: ignore[operator]
    with torch.no_grad():
        second = world.model(world.x).topk(2, 1).indices[:, 1]
    if mutant == "mean-slope":
        weight = weight.mean().expand_as(weight)
    a, b = weight[world.y], weight[second]
    known = torch.maximum(a, b) / torch.minimum(a, b)
    seen = _of_the_margin if mutant == "slope-of-the-margin" else TRUE
    with patch.object(module, "imbalance", seen):
        trapped = gradient_imbalance(trap, Batches(x=x, y=torch.zeros(ROWS, dtype=torch.int64)))
        linear = gradient_imbalance(world.model, Batches(x=world.x, y=world.y))
    close = bool((linear.ratio - known).abs().max() <= 1e-9)
    value = trapped.readings()[0].value
    return Trial(value, 10.0, abs(value - 10) <= 1e-9 and close)


CLAIM = Claim(
    paper="measure:gradient-imbalance",
    methods=("measure:gradient-imbalance",),
    says="it is ten where one slope is ten times the other, and the ratio of the weights' sums in "
    "a linear world",
    left="median ratio in the trap",
    right="ten",
    trial=trial,
    seeds=(441, 442, 443),
    mutants=("slope-of-the-margin", "mean-slope"),
    seconds=2,
)
