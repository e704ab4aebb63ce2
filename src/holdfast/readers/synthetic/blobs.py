"""Two or more round clouds of points in the unit cube."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice


@dataclass(frozen=True, eq=False)
class Blobs:
    """The truth about clouds of points.

    Args:
        centres: `(K, d)` middle of each class.
        spread: standard deviation of every coordinate (before clipping to [0, 1]).
    """

    centres: Tensor
    spread: float

    def rule(self, x: Tensor) -> Tensor:
        """`(B,)`: the class of the nearest centre, the best possible answer."""
        return torch.cdist(x.double(), self.centres.double()).argmin(1)


@register("source", name="blobs")
def blobs(n: int, dice: Dice) -> Batches:
    """Four Gaussian clouds at corners of the unit square; the nearest centre is the best rule.

    The centres have distance 0.5 and the clouds a standard deviation of 0.08, so that the best
    rule is right on 99.8 % of the rows and the LInf radius of a row is known: half the difference
    of squared distances over the L1 distance of two centres.

    Args:
        n: rows.
        dice: `n` of them.
    """
    centres = torch.tensor([[0.25, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.75]])
    y = torch.arange(n) % 4
    x = (centres[y] + 0.08 * dice.normal((2,))).clamp(0, 1)
    names = ("south-west", "north-west", "south-east", "north-east")
    return Batches(x=x, y=y, classes=names, truth=Blobs(centres, 0.08))
