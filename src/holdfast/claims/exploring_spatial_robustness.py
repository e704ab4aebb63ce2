"""Turning and shifting together break more than either does alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.core.kinds import Threat
from holdfast.threats.affine import Rotation, Translation
from holdfast.threats.product import Product

STEPS, ROWS = 3, 200


class _Stiff(Rotation):
    """Forgets the angle."""

    def inverse(self, x: Tensor, change: Tensor) -> Tensor:
        return super().inverse(x, 0 * change)


class _Stuck(Translation):
    """Forgets the shift."""

    def inverse(self, x: Tensor, change: Tensor) -> Tensor:
        return super().inverse(x, 0 * change)


def _model(x: Tensor, y: Tensor, seed: int) -> Callable[[Tensor], Tensor]:
    """A small net, trained for a second."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
        )
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(80):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    return net


def _worst(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, threat: Threat) -> float:
    """Share of rows that are right under every change of a grid."""
    right = torch.ones(len(x), dtype=torch.bool)
    ticks = torch.linspace(-1, 1, STEPS).tolist()
    for point in product(ticks, repeat=threat.none(x).shape[1]):
        change = torch.tensor(point).expand(len(x), -1)
        with torch.no_grad():
            right &= threat.through(model, x, change).argmax(1) == y  # type: ignore[union-attr]
    return float(right.float().mean())


def trial(seed: int, mutant: str = "") -> Trial:
    """Digits, a small net, grids over angle, shift and both."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(seed))
    x = (torch.tensor(data.images, dtype=torch.float32) / 16)[order, None]
    y = torch.tensor(data.target)[order].long()
    model = _model(x[ROWS:], y[ROWS:], seed)
    rotation = (_Stiff if mutant == "forgets-the-angle" else Rotation)(degrees=12.0)
    translation = (_Stuck if mutant == "forgets-the-shift" else Translation)(share=0.06)
    both = Product(parts=(rotation, translation))
    alone = [_worst(model, x[:ROWS], y[:ROWS], t) for t in (rotation, translation)]
    left, right = _worst(model, x[:ROWS], y[:ROWS], both), min(alone) - 0.05
    return Trial(left, right, left < right)


CLAIM = Claim(
    paper="exploring-spatial-robustness",
    methods=("threat:product", "threat:rotation", "threat:translation"),
    says="Over a grid, rotation and translation together leave at least 5 points less accuracy "
    "than the stronger of the two alone.",
    left="accuracy under the worst of 27 turned and shifted copies",
    right="accuracy under the worst turn or the worst shift, minus 0.05",
    trial=trial,
    mutants=("forgets-the-angle", "forgets-the-shift"),
    seconds=8,
)
