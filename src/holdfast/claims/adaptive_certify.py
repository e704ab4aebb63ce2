"""Hierarchical certification: the level of the test is kept and related classes get a group."""

from __future__ import annotations

import torch
from scipy.stats import binom
from torch import Tensor

from holdfast.certify.smoothing.segmentation import Segmentation
from holdfast.certify.smoothing.segments import information_gain
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.core.fields import settings
from holdfast.defend.smoothed import Smoothed, smoothed

SIDE, ROWS, ALPHA, CLASSES = 8, 150, 0.05, 8
TREE = torch.tensor([list(range(8)), [0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 0, 0, 1, 1, 1, 1]])
RELATED = torch.tensor([0.47, 0.47, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01])
CLEAR = torch.tensor([0.97, 0.01, 0.01, 0.01, 0.0, 0.0, 0.0, 0.0])
# A group of two holds a share of exactly tau, whichever of the four is looked at first.
EDGE = torch.tensor([0.375, 0.375, 0.125, 0.125, 0.0, 0.0, 0.0, 0.0])


def _pixels(*shares: Tensor) -> Smoothed:
    """Pixels whose class, in noisy copies, has known shares: by turns the ones given."""
    edges = torch.stack([shares[i % len(shares)] for i in range(SIDE * SIDE)]).cumsum(-1)

    def model(x: Tensor) -> Tensor:
        place = (x.flatten(1) * 1e4) % 1
        chosen = (place[..., None] > edges[:, :-1]).sum(-1).view(-1, SIDE, SIDE)
        return torch.nn.functional.one_hot(chosen, CLASSES).double()

    return smoothed(model, sigma=0.25)


@settings
class _AtHalf(Segmentation):
    """Bug: tests for a majority, and hands out the radius of tau."""

    def _significant(self, wins: Tensor) -> Tensor:
        return Segmentation(tau=0.5, alpha=self.alpha)._significant(wins)


def trial(seed: int, mutant: str = "") -> Trial:
    """Family-wise errors where nothing may be certified, and what is told about related classes."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(ROWS, 1, SIDE, SIDE, generator=g, dtype=torch.float64)
    alpha = min(ALPHA * SIDE * SIDE, 0.99) if mutant == "forgets-the-pixels" else ALPHA
    kind = _AtHalf if mutant == "tests-for-a-majority" else Segmentation
    tree, flat = kind(hierarchy=TREE, thresholds=(0.0, 0.9), alpha=alpha), kind(alpha=alpha)
    coin, even = torch.tensor([0.5, 0.5, *[0.0] * 6]), torch.full((CLASSES,), 1 / CLASSES)
    dice = Dice.of(ROWS, seed)
    found = [
        tree.segments(_pixels(EDGE), x, dice),
        tree.segments(_pixels(even), x, dice),
        Segmentation(tau=0.5, alpha=alpha).segments(_pixels(coin), x, dice),
    ]
    errors = [float(s.certified.flatten(1).any(1).double().mean()) for s in found]
    model, y = _pixels(CLEAR, RELATED), torch.zeros(ROWS, SIDE, SIDE, dtype=torch.long)
    told, least = (
        float(information_gain(c.segments(model, x, dice), y, TREE).mean()) for c in (tree, flat)
    )
    allowed = float(binom.ppf(1 - 1e-4, ROWS, ALPHA)) / ROWS
    kept = max(errors) <= allowed
    return Trial(told, least, kept and told >= least + 0.2)


CLAIM = Claim(
    paper="adaptive-certify",
    methods=("certifier:segmentation",),
    says="Any false position appears in at most a share alpha = 0.05 of images, and where half of "
    "the pixels waver between related classes groups tell 0.2 more than single classes.",
    left="certified information gain with groups",
    right="certified information gain of single classes",
    trial=trial,
    seeds=(441, 442, 443),
    mutants=("tests-for-a-majority", "forgets-the-pixels"),
    seconds=10,
)
