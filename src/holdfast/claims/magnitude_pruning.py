"""Magnitude against chance."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.claims.digits import accuracy, split, trained
from holdfast.claims.harness import Claim, Trial
from holdfast.compress.magnitude import MagnitudePruning, smallest
from holdfast.core.fields import settings


@settings
class Chance(MagnitudePruning):
    """Drops weights at random."""

    seed: int = 0

    def masks(self, weights: list[nn.Parameter]) -> list[Tensor]:
        g = torch.Generator().manual_seed(self.seed)
        return [smallest(torch.rand(w.shape, generator=g), self.density) for w in weights]


@settings
class Largest(MagnitudePruning):
    """The mutant: drops the largest."""

    def masks(self, weights: list[nn.Parameter]) -> list[Tensor]:
        return [smallest(-w.detach().abs(), self.density) for w in weights]


@settings
class Signed(MagnitudePruning):
    """The mutant: forgets the absolute value."""

    def masks(self, weights: list[nn.Parameter]) -> list[Tensor]:
        return [smallest(w.detach(), self.density) for w in weights]


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy with 30 % of the weights, without further training."""
    data, test = split(seed, 512)
    model = trained(seed, data, "objective:supervised", 15)
    kinds = {"": MagnitudePruning, "drops-the-largest": Largest, "forgets-the-sign": Signed}
    left = accuracy(kinds[mutant](density=0.3)(model), test)
    right = accuracy(Chance(density=0.3, seed=seed)(model), test)
    return Trial(left, right, left > right + 0.5)


CLAIM = Claim(
    paper="magnitude-pruning",
    methods=("rewrite:magnitude-pruning",),
    says="Dropping the smallest 70 % costs over 50 points less than dropping random ones.",
    left="accuracy after dropping the smallest weights",
    right="accuracy after dropping random weights",
    trial=trial,
    mutants=("drops-the-largest", "forgets-the-sign"),
    seconds=5,
)
