"""Pointer value retrieval: some bits say which of the others count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Count

Aggregator = Literal["parity", "majority", "min"]
Pointer = Annotated[int, Field(ge=1, le=6)]


@dataclass(frozen=True, eq=False)
class PVR:
    """The truth about rows of bits.

    Args:
        pointer: how many of the first bits are the pointer, highest first.
        window: bits that count.
        aggregator: what is made of them.
    """

    pointer: int
    window: int
    aggregator: Aggregator

    @property
    def size(self) -> int:
        """Bits of a row: pointer, a value for each place, and the rest of the last window."""
        return self.pointer + (1 << self.pointer) + self.window - 1

    def rule(self, x: Tensor) -> Tensor:
        """`(B,)`: the class of rows of bits, 0 or 1."""
        bits = (x > 0.5).long()
        weight = 2 ** torch.arange(self.pointer - 1, -1, -1)
        start = self.pointer + (bits[:, : self.pointer] * weight).sum(1)
        chosen = bits.gather(1, start[:, None] + torch.arange(self.window))
        if self.aggregator == "parity":
            return chosen.sum(1) % 2
        if self.aggregator == "min":
            return chosen.amin(1)
        return (2 * chosen.sum(1) >= self.window).long()


@register("source", cites="pvr-boolean-influence", name="pvr")
def pvr(
    n: int,
    dice: Dice,
    *,
    pointer: Pointer = 2,
    window: Count = 3,
    aggregator: Aggregator = "parity",
) -> Batches:
    """Rows of fair bits; the first ones name a window among the others, whose bits give the class.

    The last windows have further bits of their own instead of wrapping around, so bits at both
    ends are in fewer windows and matter less: influences differ, and are known by enumeration.

    Args:
        n: rows.
        dice: `n` of them.
        pointer: bits of the pointer.
        window: bits that count.
        aggregator: parity, majority (a tie is 1) or minimum of the window.
    """
    truth = PVR(pointer, window, aggregator)
    x = (dice.uniform((truth.size,)) < 0.5).float()
    return Batches(x=x, y=truth.rule(x), classes=("0", "1"), truth=truth)
