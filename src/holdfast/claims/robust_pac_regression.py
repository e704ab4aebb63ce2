"""The median of boosted functions fits every perturbation; fitting the rows alone does not."""

from __future__ import annotations

from itertools import combinations, product
from math import log
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.measures.classes import median_boost as boosting
from holdfast.measures.classes.median_boost import median_boost
from holdfast.testing.worlds import draws

GRID, LEVELS = 20, (0.0, 0.5, 1.0)
STEP = 1 / 20
MOVES = torch.tensor([-STEP, 0.0, STEP]).double()
TRAIN, TEST, ETA = 40, 2000, 0.1


def _class() -> Tensor:
    """`(F, 5)`: all functions with two steps: two places and three levels."""
    places = combinations([(k + 0.5) / GRID for k in range(GRID)], 2)
    return torch.tensor([(*p, *v) for p, v in product(places, product(LEVELS, repeat=3))]).double()


def _values(functions: Tensor, x: Tensor) -> Tensor:
    """`(F, ...)`: every function at every point."""
    first, second, low, mid, high = (c.reshape(-1, *[1] * x.dim()) for c in functions.unbind(1))
    return torch.where(x < first, low, torch.where(x < second, mid, high))


def _data(count: int, truth: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows whose label is the same at every perturbation."""
    x = torch.rand(4 * count + 100, generator=g).double()
    seen = _values(truth[None], x[:, None] + MOVES)[0]
    kept = (seen == seen[:, :1]).all(1)
    return x[kept][:count], seen[kept][:count, 0]


def _mean(values: Tensor) -> Tensor:
    """Bug: the mean instead of the median, which one bad function can spoil."""
    return values.mean(0)


def _one(seed: int, mutant: str) -> tuple[float, float, bool]:
    """Robust test losses of boosting and of fitting the rows alone, and whether the former fits."""
    g, functions = draws(seed), _class()
    pick = torch.randint(len(functions), (200,), generator=g)
    truths = functions[pick]
    truth = truths[(truths[:, 2] != truths[:, 3]) & (truths[:, 3] != truths[:, 4])][0]
    x, y = _data(TRAIN, truth, g)
    test, labels = _data(TEST, truth, g)
    near = _values(functions, x[:, None] + MOVES)
    shown = near[:, :, 1:2] if mutant == "clean-points-only" else near
    with patch.object(boosting, "median", _mean if mutant == "mean-of-all" else boosting.median):
        found = median_boost(shown, y, ETA, g)
        fits = float((found(near) - y[:, None]).abs().max()) <= ETA
        robust = boosting.median(_values(functions[found.chosen], test[:, None] + MOVES))
    rounds = len(found.chosen) <= 10 * log(TRAIN * 3) + 2
    clean = (near[:, :, 1] == y).all(1).nonzero().flatten()
    plain = functions[clean[torch.randint(len(clean), (), generator=g)]]
    other = _values(plain[None], test[:, None] + MOVES)[0]
    losses = [float((v - labels[:, None]).abs().amax(1).mean()) for v in (robust, other)]
    return losses[0], losses[1], fits and rounds


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean robust loss on unseen rows over three targets, and whether all were fitted."""
    ours, plain, fits = zip(*(_one(10 * seed + k, mutant) for k in range(3)), strict=True)
    left, right = sum(ours) / 3, sum(plain) / 3
    return Trial(left, right, all(fits) and left <= right)


CLAIM = Claim(
    paper="robust-pac-regression",
    methods=(),
    says="Medians of boosted step functions fit every perturbation of every row within "
    "10 log(n k) rounds, and lose no more on unseen rows than a function that fits the rows.",
    left="mean robust absolute loss of the boosted median on 2000 new rows",
    right="mean robust loss of a random function that fits the rows without perturbations",
    trial=trial,
    mutants=("clean-points-only", "mean-of-all"),
    seconds=9,
)
