"""Small images of stripes whose direction is the class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice


@dataclass(frozen=True, eq=False)
class Stripes:
    """The truth about images of stripes.

    Args:
        phase: `(n,)` where the stripes of each image begin, in periods.
        contrast: `(n,)` height of the stripes of each image.
    """

    phase: Tensor
    contrast: Tensor

    def rule(self, x: Tensor) -> Tensor:
        """`(B,)`: 1 where brightness varies more from column to column, 0 from row to row."""
        rows = x.mean((1, 3)).var(1)
        columns = x.mean((1, 2)).var(1)
        return (columns > rows).long()


@register("source", name="stripes")
def stripes(n: int, dice: Dice) -> Batches:
    """Grey images of 12 by 12 pixels with lying (0) or standing (1) stripes and a little noise.

    Averaging along the stripes removes the noise, so the rule in `truth` is right on practically
    every row, whatever the phase.

    Args:
        n: images.
        dice: `n` of them.
    """
    side, period = 12, 4
    phase, contrast = dice.uniform(), 0.2 + 0.2 * dice.uniform()
    y = torch.arange(n) % 2
    wave = torch.sin(2 * torch.pi * (torch.arange(side) / period + phase[:, None]))
    flat = (0.5 + contrast[:, None] * wave)[:, :, None].expand(n, side, side)
    image = torch.where(y[:, None, None] == 0, flat, flat.transpose(1, 2))
    x = (image + 0.05 * dice.normal((side, side))).clamp(0, 1)[:, None]
    return Batches(x=x, y=y, classes=("lying", "standing"), truth=Stripes(phase, contrast))
