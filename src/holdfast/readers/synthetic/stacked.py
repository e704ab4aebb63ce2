"""Two digits on top of each other, both of which tell the class: one easily, one less so."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Share
from holdfast.readers.built_in import BUILT_IN


@dataclass(frozen=True, eq=False)
class Stacked:
    """The truth about images of two blocks.

    Args:
        height: rows of pixels of the upper block.
        lower: lower blocks that were drawn from, and their labels.
        upper: `(n,)` class that the upper block shows.
    """

    height: int
    lower: tuple[Tensor, Tensor]
    upper: Tensor

    def rule(self, x: Tensor) -> Tensor:
        """`(B,)`: the class of the nearest lower block that was drawn from."""
        seen = x[:, :, self.height :].flatten(1).double()
        known, labels = self.lower
        return labels[torch.cdist(seen, known.flatten(1).double()).argmin(1)]

    def block(self, x: Tensor) -> Tensor:
        """The places of the upper block in a flattened row of `x`: what may be randomised."""
        mask = torch.zeros(x.shape[1:], dtype=torch.bool)
        mask[:, : self.height] = True
        return mask.flatten().nonzero().flatten()


def two(batches: Batches, labels: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The images of two labels, as classes 0 and 1.

    Raises:
        Unsupported: if the inputs are not images.
        ConfigError: if one of the labels does not occur.
    """
    if not isinstance(batches.x, Tensor) or batches.x.dim() != 4:
        raise Unsupported(
            "stacked blocks need images (B, C, H, W)", fix="Give images (B, C, H, W)."
        )
    places = [(batches.y == label).nonzero().flatten() for label in labels]
    if not all(len(p) for p in places):
        raise ConfigError(
            f"stacked blocks: labels {labels} do not both occur",
            fix="Name two classes that the rows have.",
        )
    y = torch.cat([torch.full((len(p),), k) for k, p in enumerate(places)])
    return batches.x[torch.cat(places)], y


def stacked(
    upper: tuple[Tensor, Tensor],
    lower: tuple[Tensor, Tensor],
    n: int,
    dice: Dice,
    *,
    agree: float = 1.0,
) -> Batches:
    """Images that stack a drawn upper block on a drawn lower one of the same class.

    Args:
        upper: images `(., C, H, W)` and their classes, 0 or 1; see `two`.
        lower: likewise, of the same channels and width. Labels are theirs.
        n: images.
        dice: `n` of them.
        agree: share of rows whose upper block is of the label's class; of the others it is of
            the other one. At 1/2 it says nothing.
    """
    y = torch.arange(n) % 2
    shown = torch.where(dice.uniform(dtype=torch.float64) < agree, y, 1 - y)
    blocks = [_drawn(*upper, shown, dice), _drawn(*lower, y, dice)]
    truth = Stacked(blocks[0].shape[2], lower, shown)
    return Batches(x=torch.cat(blocks, 2), y=y, classes=("first", "second"), truth=truth)


def _drawn(x: Tensor, y: Tensor, wanted: Tensor, dice: Dice) -> Tensor:
    """One image of the class wanted for each row."""
    counts = torch.bincount(y, minlength=2)
    start = torch.tensor([0, int(counts[0])])
    inside = (dice.uniform(dtype=torch.float64) * counts[wanted]).long()
    return x[start[wanted] + inside]


@cache
def _digits() -> Batches:
    return BUILT_IN["digits"]()


@register("source", cites="simplicity-bias", says="Two stacked digits, an easy and a hard pair.")
def block_digits(
    n: int,
    dice: Dice,
    *,
    easy: tuple[int, int] = (0, 1),
    hard: tuple[int, int] = (3, 8),
    agree: Share = 1.0,
) -> Batches:
    """Grey images of 16 by 8 pixels: above one of an easy pair of digits, below one of a hard pair.

    With `agree=1` either block tells the class. Which one a model relies on shows as the loss of
    accuracy when the other is drawn anew (`measure:reliance`). From other digits, and of any
    size: `stacked(two(data, (0, 1)), two(data, (3, 8)), n, dice)`.

    Args:
        n: images.
        dice: `n` of them.
        easy: labels of the upper digits.
        hard: labels of the lower digits.
        agree: share of rows whose upper digit is of the label's class.
    """
    data = _digits()
    return stacked(two(data, easy), two(data, hard), n, dice, agree=agree)
