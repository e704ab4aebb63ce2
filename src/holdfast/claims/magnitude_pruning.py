"""Magnitude against chance, and one ranking of all layers against one of each."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.claims.digits import accuracy, split, trained
from holdfast.claims.harness import Claim, Trial
from holdfast.compress.magnitude import MagnitudePruning, smallest
from holdfast.compress.sites import sites
from holdfast.core.data import Batches
from holdfast.core.fields import Later, settings
from holdfast.core.kinds import Hook, Run
from holdfast.run.loop import Training


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


@settings
class Keeps(Hook):
    """What is zero when a run starts is zero after each step."""

    def start(self, run: Run) -> None:
        weights = sites(run.model)
        run.memory(self)["masks"] = {n: w.detach() != 0 for n, w in weights.items()}

    @torch.no_grad()
    def stepped(self, run: Run) -> None:
        masks = run.memory(self)["masks"]
        for name, w in sites(run.model).items():
            w.mul_(masks[name])


@cache
def _dense(seed: int) -> nn.Sequential:
    return trained(seed, split(seed, 512)[0], "objective:supervised", 15)


def _tuned(pruned: nn.Module, data: Batches) -> nn.Module:
    """The pruned net after two more epochs, in which zeros stay."""
    rate = Later("torch:Adam", lr=1e-3)
    Training(epochs=2, optimizer=rate, schedule="constant", hooks=(Keeps(),))(pruned, data)
    return pruned


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy with a fifth of the weights, after two more epochs."""
    data, test = split(seed, 512)
    kinds = {"": MagnitudePruning, "drops-the-largest": Largest, "forgets-the-sign": Signed}
    left = accuracy(_tuned(kinds[mutant](density=0.2)(_dense(seed)), data), test)
    right = accuracy(_tuned(Chance(density=0.2, seed=seed)(_dense(seed)), data), test)
    joint = accuracy(kinds[mutant](density=0.1)(_dense(seed)), test)
    each = accuracy(MagnitudePruning(density=0.1, scope="layer")(_dense(seed)), test)
    return Trial(left, right, left >= right + 0.03 and joint >= each - 0.02)


CLAIM = Claim(
    paper="magnitude-pruning",
    methods=("rewrite:magnitude-pruning",),
    says="Keeping the largest fifth of the weights and tuning for two epochs ends at least 3 "
    "points above keeping a random fifth; without tuning, one ranking of all layers is at most "
    "2 points worse than one of each layer, at a tenth of the weights.",
    left="accuracy with the largest fifth of the weights",
    right="accuracy with a random fifth",
    trial=trial,
    seeds=(31, 32, 33),
    mutants=("drops-the-largest", "forgets-the-sign"),
    seconds=5,
)
